// Limits that are reached: connections, streams, message sizes, before and after inflation.

import assert from "node:assert/strict";
import test from "node:test";
import { gzipSync } from "node:zlib";
import { ErrorCode } from "../../../src/http2/error-code.ts";
import type { RawConnection } from "../support/raw-connection.ts";
import { HOLD, STREAM, UNARY } from "../support/echo.ts";
import { data, headers, PAYLOAD_BYTES_MAX, Type } from "../support/frames.ts";
import { callBlock, message } from "../support/grpc.ts";
import { flood, underAttack, Victim, whileServing } from "../support/victim.ts";

const GZIP = [["grpc-encoding", "gzip"]] as const;

test("one connection too many gets SETTINGS and a GOAWAY that names the limit, and the others go on", async () => {
  await underAttack({ connectionsMax: 11 }, async (victim) => {
    const idle = [];
    for (let i = 0; i < 10; i++) {
      const connection = await victim.connect();
      await connection.roundTrip();
      idle.push(connection);
    }
    for (let i = 0; i < 5; i++) {
      const refused = await victim.connect();
      const { code, debug, lastId } = await refused.goaway();
      assert.equal(refused.frames[0]!.type, Type.SETTINGS);
      assert.equal(lastId, 0);
      assert.ok(
        code === ErrorCode.ENHANCE_YOUR_CALM || code === ErrorCode.NO_ERROR || code === ErrorCode.REFUSED_STREAM,
      );
      assert.match(debug, /GRPC_CONNECTIONS_MAX/);
      await refused.closed();
    }
    for (const connection of idle) await connection.roundTrip();
    victim.assertAttacked("connections_over_limit");
    idle[0]![Symbol.dispose]();
    for (let tries = 0; ; tries++) {
      const again = await victim.connect();
      again.send(headers(1, callBlock(UNARY)), data(1, message("again"), true));
      const answer = await again.answer(1).catch(() => undefined);
      if (answer?.messages.join() === "again") break;
      assert.ok(tries < 100, "a place that is free is given away");
    }
  });
});

test("thousands of idle connections hold nobody up", async () => {
  await underAttack({ connectionsMax: 3000 }, async (victim) => {
    const idle: RawConnection[] = [];
    for (let i = 0; i < 40; i++) {
      idle.push(...(await Promise.all(Array.from({ length: 50 }, () => victim.connect()))));
    }
    await Promise.all(idle.slice(-50).map((each) => each.roundTrip()));
    assert.equal(idle.filter(({ isClosed }) => isClosed).length, 0);
    assert.deepEqual(victim.allAttacks, {});
  });
});

test("a connection without streams is asked to go after GRPC_CONNECTION_IDLE_MAX, one with streams is not", async () => {
  await underAttack({ idleMaxMs: 300 }, async (victim) => {
    const idle = await victim.connect();
    const busy = await victim.connect();
    busy.send(headers(1, callBlock(HOLD)));
    assert.equal((await idle.goaway()).code, ErrorCode.NO_ERROR);
    await idle.closed();
    await busy.roundTrip();
    assert.equal(busy.wentAway, undefined);
    assert.deepEqual(victim.allAttacks, {});
  });
});

test("streams over GRPC_STREAMS_MAX are refused, those below go on, and thousands of them end the connection", async () => {
  await underAttack({ streamsMax: 10 }, async (victim) => {
    const connection = await victim.connect();
    await connection.roundTrip();
    const streams = Array.from({ length: 10 }, (_, i) => headers(2 * i + 1, callBlock(STREAM)));
    connection.send(...streams, headers(21, callBlock(STREAM)));
    assert.equal(await connection.reset(21), ErrorCode.REFUSED_STREAM);
    connection.send(data(1, message("goes on"), true));
    assert.equal((await connection.answer(1)).messages.join(), "goes on");
    connection.send(headers(23, callBlock(STREAM)), data(23, message("in its place")));
    await connection.until("an answer", () => (connection.messages(23) === 1 ? true : undefined));
    await flood(connection, (i) => headers(25 + 2 * i, callBlock(STREAM)));
    const { code, debug } = await connection.goaway();
    assert.equal(code, ErrorCode.ENHANCE_YOUR_CALM, debug);
    await connection.closed();
    victim.assertAttacked("streams_over_limit");
  });
});

test("a message over GRPC_MESSAGE_BYTES_MAX is RESOURCE_EXHAUSTED as soon as it is announced", async () => {
  await underAttack({ messageBytesMax: 1000 }, async (victim) => {
    const connection = await victim.connect();
    connection.send(headers(1, callBlock(STREAM)), data(1, message(Buffer.alloc(0), false, 1001)));
    const answer = await connection.answer(1);
    assert.equal(answer.fields.get("grpc-status"), "8");
    assert.match(answer.fields.get("grpc-message")!, /GRPC_MESSAGE_BYTES_MAX/);
    connection.send(headers(3, callBlock(STREAM)), data(3, message(Buffer.alloc(0), false, 0xffffffff)));
    assert.equal((await connection.answer(3)).fields.get("grpc-status"), "8");
    connection.send(headers(5, callBlock(UNARY)), data(5, message(Buffer.alloc(1000, 1)), true));
    assert.equal((await connection.answer(5)).messages[0]!.length, 1000);
    victim.assertAttacked("message_too_large");
  });
});

test("a gzip bomb is not inflated beyond GRPC_MESSAGE_BYTES_MAX", async () => {
  await underAttack({ messageBytesMax: 100_000 }, async (victim) => {
    const connection = await victim.connect();
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    assert.ok(bomb.length < 100_000);
    connection.send(headers(1, callBlock(UNARY, GZIP)));
    const body = message(bomb, true);
    for (let at = 0; at < body.length; at += PAYLOAD_BYTES_MAX) {
      const end = at + PAYLOAD_BYTES_MAX;
      connection.send(data(1, body.subarray(at, end), end >= body.length));
    }
    const answer = await connection.answer(1);
    assert.equal(answer.fields.get("grpc-status"), "8");
    assert.match(answer.fields.get("grpc-message")!, /GRPC_MESSAGE_BYTES_MAX/);
    victim.assertAttacked("compressed_message_too_large");
    connection.send(headers(3, callBlock(UNARY, GZIP)), data(3, message(gzipSync("small"), true), true));
    assert.equal((await connection.answer(3)).messages.join(), "small");
  });
});

test("what is not gzip, is cut off, or has an encoding that nobody knows ends its call alone", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect();
    const good = gzipSync("x".repeat(100));
    const broken: readonly (readonly [Buffer, Buffer])[] = [
      [callBlock(UNARY, GZIP), message("no gzip at all", true)],
      [callBlock(UNARY, GZIP), message(good.subarray(0, -9), true)],
      [callBlock(UNARY, GZIP), message(Buffer.concat([good, Buffer.from("garbage")]), true)],
      [callBlock(UNARY, GZIP), message("", true)],
      [callBlock(UNARY), message(good, true)],
      [callBlock(UNARY, [["grpc-encoding", "snappy"]]), message(good, true)],
    ];
    for (const [i, [block, body]] of broken.entries()) {
      const id = 2 * i + 1;
      connection.send(headers(id, block), data(id, body, true));
      const answer = await connection.answer(id);
      assert.ok(
        !["0", undefined].includes(answer.fields.get("grpc-status")),
        `${i}: ${JSON.stringify([...answer.fields])}`,
      );
    }
    connection.send(headers(99, callBlock(UNARY)), data(99, message("served"), true));
    assert.equal((await connection.answer(99)).messages.join(), "served");
  });
});

test("half messages are held up to GRPC_RECEIVE_BYTES_MAX in all, and honest calls pass all the same", async () => {
  await using victim = await Victim.start({ receiveBytesMax: 1_000_000, streamWindowBytes: 65_536 });
  await whileServing(victim, async () => {
    const connections = await Promise.all(Array.from({ length: 10 }, () => victim.connect()));
    for (const connection of connections) {
      for (let i = 0; i < 20; i++) {
        const half = message(Buffer.alloc(10_000), false, 500_000);
        connection.send(headers(2 * i + 1, callBlock(STREAM)), data(2 * i + 1, half));
      }
    }
    await Promise.all(connections.map((each) => each.roundTrip().catch(() => undefined)));
    const held = process.memoryUsage().arrayBuffers;
    assert.ok(held < 100_000_000, `${held} bytes of buffers are held`);
  });
});
