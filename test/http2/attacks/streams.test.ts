// Frames that their stream's state, or their own form, does not allow (RFC 9113, sections 4 to 6).

import assert from "node:assert/strict";
import test from "node:test";
import { ErrorCode } from "../../../src/http2/error-code.ts";
import { HOLD, STREAM, UNARY } from "../support/echo.ts";
import {
  data,
  Flag,
  frame,
  headers,
  ping,
  priority,
  rstStream,
  Setting,
  settings,
  Type,
  uint32,
  windowUpdate,
} from "../support/frames.ts";
import { callBlock, message } from "../support/grpc.ts";
import { underAttack, type Victim } from "../support/victim.ts";

const unary = (id: number): Buffer => Buffer.concat([headers(id, callBlock(UNARY)), data(id, message("x"), true)]);
const hold = callBlock(HOLD);

interface Case {
  readonly what: string;
  readonly code: number;
  readonly bytes: Buffer;
}

const CONNECTION_ERRORS: readonly Case[] = [
  { what: "a stream of an even number", code: ErrorCode.PROTOCOL_ERROR, bytes: headers(2, hold) },
  { what: "HEADERS on stream 0", code: ErrorCode.PROTOCOL_ERROR, bytes: headers(0, hold) },
  {
    what: "a stream that depends on itself",
    code: ErrorCode.PROTOCOL_ERROR,
    bytes: headers(1, hold, { dependsOn: 1 }),
  },
  { what: "DATA on stream 0", code: ErrorCode.PROTOCOL_ERROR, bytes: data(0, Buffer.from("x")) },
  { what: "DATA on an idle stream", code: ErrorCode.PROTOCOL_ERROR, bytes: data(1, Buffer.from("x")) },
  { what: "RST_STREAM on an idle stream", code: ErrorCode.PROTOCOL_ERROR, bytes: rstStream(1, ErrorCode.CANCEL) },
  { what: "RST_STREAM on stream 0", code: ErrorCode.PROTOCOL_ERROR, bytes: rstStream(0, ErrorCode.CANCEL) },
  { what: "WINDOW_UPDATE on an idle stream", code: ErrorCode.PROTOCOL_ERROR, bytes: windowUpdate(1, 10) },
  {
    what: "PRIORITY of four bytes on an idle stream",
    code: ErrorCode.FRAME_SIZE_ERROR,
    bytes: frame(Type.PRIORITY, 0, 1, Buffer.alloc(4)),
  },
  { what: "PRIORITY of an idle stream that depends on itself", code: ErrorCode.PROTOCOL_ERROR, bytes: priority(1, 1) },
  { what: "PRIORITY on stream 0", code: ErrorCode.PROTOCOL_ERROR, bytes: priority(0, 1) },
  {
    what: "CONTINUATION without HEADERS",
    code: ErrorCode.PROTOCOL_ERROR,
    bytes: frame(Type.CONTINUATION, Flag.END_HEADERS, 1, hold),
  },
  {
    what: "CONTINUATION after the end of the headers",
    code: ErrorCode.PROTOCOL_ERROR,
    bytes: Buffer.concat([headers(1, hold), frame(Type.CONTINUATION, Flag.END_HEADERS, 1)]),
  },
  {
    what: "PUSH_PROMISE from a client",
    code: ErrorCode.PROTOCOL_ERROR,
    bytes: Buffer.concat([headers(1, hold), frame(Type.PUSH_PROMISE, Flag.END_HEADERS, 1, uint32(2))]),
  },
  { what: "PING of seven bytes", code: ErrorCode.FRAME_SIZE_ERROR, bytes: frame(Type.PING, 0, 0, Buffer.alloc(7)) },
  { what: "PING on a stream", code: ErrorCode.PROTOCOL_ERROR, bytes: frame(Type.PING, 0, 1, Buffer.alloc(8)) },
  { what: "SETTINGS on a stream", code: ErrorCode.PROTOCOL_ERROR, bytes: frame(Type.SETTINGS, 0, 1) },
  {
    what: "SETTINGS of five bytes",
    code: ErrorCode.FRAME_SIZE_ERROR,
    bytes: frame(Type.SETTINGS, 0, 0, Buffer.alloc(5)),
  },
  {
    what: "an acknowledgement of settings that is not empty",
    code: ErrorCode.FRAME_SIZE_ERROR,
    bytes: frame(Type.SETTINGS, Flag.ACK, 0, Buffer.alloc(6)),
  },
  {
    what: "SETTINGS_ENABLE_PUSH of 2",
    code: ErrorCode.PROTOCOL_ERROR,
    bytes: settings([[Setting.ENABLE_PUSH, 2]]),
  },
  {
    what: "SETTINGS_INITIAL_WINDOW_SIZE of 2^31",
    code: ErrorCode.FLOW_CONTROL_ERROR,
    bytes: settings([[Setting.INITIAL_WINDOW_SIZE, 2 ** 31]]),
  },
  {
    what: "SETTINGS_MAX_FRAME_SIZE below 16,384",
    code: ErrorCode.PROTOCOL_ERROR,
    bytes: settings([[Setting.MAX_FRAME_SIZE, 16_383]]),
  },
  {
    what: "SETTINGS_MAX_FRAME_SIZE above 2^24-1",
    code: ErrorCode.PROTOCOL_ERROR,
    bytes: settings([[Setting.MAX_FRAME_SIZE, 2 ** 24]]),
  },
  {
    what: "GOAWAY on a stream",
    code: ErrorCode.PROTOCOL_ERROR,
    bytes: frame(Type.GOAWAY, 0, 1, Buffer.alloc(8)),
  },
  { what: "GOAWAY of four bytes", code: ErrorCode.FRAME_SIZE_ERROR, bytes: frame(Type.GOAWAY, 0, 0, Buffer.alloc(4)) },
  {
    what: "WINDOW_UPDATE of three bytes",
    code: ErrorCode.FRAME_SIZE_ERROR,
    bytes: frame(Type.WINDOW_UPDATE, 0, 0, Buffer.alloc(3)),
  },
  {
    what: "RST_STREAM of five bytes",
    code: ErrorCode.FRAME_SIZE_ERROR,
    bytes: Buffer.concat([headers(1, hold), frame(Type.RST_STREAM, 0, 1, Buffer.alloc(5))]),
  },
  {
    what: "a DATA frame larger than SETTINGS_MAX_FRAME_SIZE",
    code: ErrorCode.FRAME_SIZE_ERROR,
    bytes: Buffer.concat([headers(1, hold), frame(Type.DATA, 0, 1, Buffer.alloc(16_385))]),
  },
  {
    what: "a HEADERS frame larger than SETTINGS_MAX_FRAME_SIZE",
    code: ErrorCode.FRAME_SIZE_ERROR,
    bytes: frame(Type.HEADERS, Flag.END_HEADERS, 1, Buffer.alloc(20_000, 0x82)),
  },
  {
    what: "a frame of an unknown type that announces 16 MiB",
    code: ErrorCode.FRAME_SIZE_ERROR,
    bytes: frame(0x42, 0, 0, Buffer.alloc(10), 0xffffff),
  },
];

async function assertConnectionError(victim: Victim, { what, code, bytes }: Case): Promise<void> {
  const connection = await victim.connect();
  connection.send(bytes);
  const goaway = await connection.goaway();
  assert.equal(goaway.code, code, `${what}: ${goaway.debug}`);
  assert.notEqual(goaway.debug, "", `${what}: GOAWAY says why`);
  await connection.closed();
}

for (const each of CONNECTION_ERRORS) {
  test(`${each.what} is an error of the connection`, async () => {
    await underAttack({}, (victim) => assertConnectionError(victim, each));
  });
}

test("HEADERS on a stream that has been used is an error of the connection", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect();
    connection.send(unary(1));
    await connection.answer(1);
    connection.send(unary(1));
    const { code } = await connection.goaway();
    assert.ok(code === ErrorCode.STREAM_CLOSED || code === ErrorCode.PROTOCOL_ERROR, String(code));
    await connection.closed();
  });
});

test("what is on its way to a stream that the server or the client has ended is let pass", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect();
    connection.send(unary(1));
    await connection.answer(1);
    connection.send(windowUpdate(1, 100), rstStream(1, ErrorCode.CANCEL), priority(1, 0));
    connection.send(
      headers(3, hold),
      rstStream(3, ErrorCode.CANCEL),
      windowUpdate(3, 5),
      rstStream(3, ErrorCode.CANCEL),
    );
    connection.send(unary(5));
    assert.equal((await connection.answer(5)).messages.join(), "x");
    // The server ends a call whose method does not exist before its body has come.
    connection.send(headers(7, callBlock("/test.Echo/Missing")));
    const answer = await connection.answer(7);
    assert.equal(answer.fields.get("grpc-status"), "12");
    connection.send(data(7, message("late"), true), unary(9));
    assert.equal((await connection.answer(9)).messages.join(), "x");
    assert.equal(connection.wentAway, undefined);
  });
});

test("DATA on a stream that the client has reset is STREAM_CLOSED, and its bytes come back to the connection's window", async () => {
  await underAttack({ connectionWindowBytes: 65_536 }, async (victim) => {
    const connection = await victim.connect();
    for (let i = 0; i < 30; i++) {
      const id = 2 * i + 1;
      connection.send(headers(id, hold), rstStream(id, ErrorCode.CANCEL), data(id, Buffer.alloc(5000)));
      await connection.roundTrip();
      const { wentAway } = connection;
      if (wentAway !== undefined) {
        assert.equal(wentAway.code, ErrorCode.STREAM_CLOSED);
        return;
      }
    }
    connection.send(unary(101));
    assert.equal((await connection.answer(101)).messages.join(), "x");
  });
});

test("numbers that are left out are closed, not idle", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect();
    connection.send(unary(7));
    await connection.answer(7);
    connection.send(unary(3));
    const { code } = await connection.goaway();
    assert.ok(code === ErrorCode.PROTOCOL_ERROR || code === ErrorCode.STREAM_CLOSED, String(code));
    await connection.closed();
  });
});

test("a body that is shorter or longer than its content-length is never a whole request", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect();
    const halfClosed = victim.counts.halfClosed;
    const announced = (length: number): Buffer => callBlock(HOLD, [["content-length", `${length}`]]);
    connection.send(headers(1, announced(100)), data(1, message("short"), true));
    assert.equal(await connection.reset(1), ErrorCode.PROTOCOL_ERROR);
    connection.send(headers(3, announced(6)), data(3, message("long")));
    assert.equal(await connection.reset(3), ErrorCode.PROTOCOL_ERROR);
    connection.send(headers(5, announced(10), { end: true }));
    assert.equal(await connection.reset(5), ErrorCode.PROTOCOL_ERROR);
    connection.send(
      headers(7, announced(100)),
      data(7, message("short")),
      headers(7, Buffer.from([0, 1, 0x61, 0]), { end: true }),
    );
    assert.equal(await connection.reset(7), ErrorCode.PROTOCOL_ERROR);
    const exact = message("exact");
    connection.send(headers(9, callBlock(STREAM, [["content-length", `${exact.length}`]])), data(9, exact, true));
    assert.equal((await connection.answer(9)).messages.join(), "exact");
    const own = victim.counts.halfClosed - halfClosed;
    assert.ok(own >= 1, "the exact one was a whole request");
  });
});

test("a request that ends inside a message is INTERNAL or a reset, and no message of it is delivered", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect();
    connection.send(
      headers(1, callBlock(STREAM)),
      data(1, message("whole")),
      data(1, message("half").subarray(0, 7), true),
    );
    const answer = await connection.answer(1);
    assert.equal(answer.messages.filter((each) => each.toString() !== "whole").length, 0);
    assert.ok(
      answer.reset !== undefined || answer.fields.get("grpc-status") !== "0",
      JSON.stringify([...answer.fields]),
    );
    await connection.roundTrip();
  });
});

test("the reserved bit of a stream's number is ignored", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect();
    connection.send(headers(0x80000001, callBlock(UNARY)), data(0x80000001, message("x"), true));
    assert.equal((await connection.answer(1)).messages.join(), "x");
    connection.send(ping());
    await connection.roundTrip();
  });
});

test("settings and frames that nobody knows are ignored", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect({
      settings: [
        [0x99, 7],
        [0xffff, 0xffffffff],
      ],
    });
    connection.send(frame(0xee, 0xff, 0, Buffer.alloc(100)), frame(0xef, 0, 99), unary(1));
    assert.equal((await connection.answer(1)).messages.join(), "x");
  });
});
