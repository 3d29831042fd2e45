// Honest clients do, in small numbers or for good reason, what attackers do: none of it may trip a limit.

import assert from "node:assert/strict";
import test from "node:test";
import { ErrorCode } from "../../../src/http2/error-code.ts";
import { HOLD, LARGE, STREAM, UNARY } from "../support/echo.ts";
import {
  data,
  frame,
  headers,
  ping,
  priority,
  rstStream,
  Setting,
  settings,
  Type,
  windowUpdate,
} from "../support/frames.ts";
import { callBlock, message } from "../support/grpc.ts";
import type { RawConnection } from "../support/raw-connection.ts";
import { Victim } from "../support/victim.ts";

async function honest(act: (connection: RawConnection, victim: Victim) => Promise<void>): Promise<void> {
  await using victim = await Victim.start();
  const connection = await victim.connect();
  await act(connection, victim);
  await connection.roundTrip();
  assert.equal(connection.wentAway, undefined);
  assert.deepEqual(victim.allAttacks, {});
}

const streamOf = (i: number): number => 2 * i + 1;

test("500 calls that are cancelled at once", async () => {
  await honest(async (connection, victim) => {
    const ids = Array.from({ length: 500 }, (_, i) => streamOf(i));
    connection.send(...ids.map((id) => headers(id, callBlock(HOLD))));
    await connection.roundTrip();
    assert.equal(victim.counts.opened, 500);
    connection.send(...ids.map((id) => rstStream(id, ErrorCode.CANCEL)));
    await connection.roundTrip();
    assert.equal(victim.counts.cancelled, 500);
  });
});

test("one call in ten cancelled, among thousands that are answered", async () => {
  await honest(async (connection) => {
    let i = 0;
    for (let round = 0; round < 50; round++) {
      for (let j = 0; j < 100; j++, i++) {
        const id = streamOf(i);
        connection.send(headers(id, callBlock(UNARY)));
        connection.send(i % 10 === 0 ? rstStream(id, ErrorCode.CANCEL) : data(id, message("x"), true));
      }
      await connection.answer(streamOf(i - 1));
    }
  });
});

test("a PING for every answer, as clients send that probe the bandwidth", async () => {
  await honest(async (connection) => {
    for (let i = 0; i < 2000; i++) {
      connection.send(headers(streamOf(i), callBlock(UNARY)), data(streamOf(i), message("x"), true));
      await connection.answer(streamOf(i));
      connection.send(ping());
    }
  });
});

test("a PING for every message of a stream's answers", async () => {
  await honest(async (connection) => {
    connection.send(headers(1, callBlock(STREAM)));
    for (let i = 0; i < 2000; i++) {
      connection.send(data(1, message("x")), ping());
      await connection.until("an answer", () => (connection.messages(1) > i ? true : undefined));
    }
  });
});

test("a WINDOW_UPDATE for the stream and one for the connection after every DATA", async () => {
  await using victim = await Victim.start();
  const connection = await victim.connect({ settings: [], takes: true });
  connection.send(headers(1, callBlock(STREAM)));
  const batch = 500;
  for (let i = 0; i < 40; i++) {
    connection.send(...Array.from({ length: batch }, () => data(1, message("message"))));
    const wanted = (i + 1) * batch * message("message").length;
    await connection.until("the answers", () => (connection.bodyBytes(1) >= wanted ? true : undefined));
  }
  await connection.roundTrip();
  assert.equal(connection.wentAway, undefined);
  assert.deepEqual(victim.allAttacks, {});
});

test("a large answer that is taken in small pieces", async () => {
  await using victim = await Victim.start();
  const connection = await victim.connect({ settings: [[Setting.INITIAL_WINDOW_SIZE, 1000]], takes: true });
  connection.send(headers(1, callBlock(LARGE)), data(1, message("500000"), true));
  assert.equal((await connection.answer(1)).messages[0]!.length, 500_000);
  assert.equal(connection.wentAway, undefined);
  assert.deepEqual(victim.allAttacks, {});
});

test("a RST_STREAM after each streaming call that the server has ended early, as grpc-go sends", async () => {
  await honest(async (connection) => {
    for (let i = 0; i < 5000; i++) {
      connection.send(headers(streamOf(i), callBlock("/test.Echo/Missing")));
      if (i % 50 < 49) continue;
      await connection.answer(streamOf(i));
      for (let j = i - 49; j <= i; j++) connection.send(rstStream(streamOf(j), ErrorCode.NO_ERROR));
    }
  });
});

test("an empty DATA frame that ends each request", async () => {
  await honest(async (connection) => {
    for (let i = 0; i < 3000; i += 100) {
      for (let j = i; j < i + 100; j++) {
        const id = streamOf(j);
        connection.send(headers(id, callBlock(UNARY)), data(id, message("x")), data(id, Buffer.alloc(0), true));
      }
      await connection.answer(streamOf(i + 99));
    }
  });
});

test("a message in DATA frames of one byte", async () => {
  await honest(async (connection) => {
    const bytes = message(Buffer.alloc(5000, 0x61));
    connection.send(headers(1, callBlock(UNARY)), ...Array.from(bytes, (byte) => data(1, Uint8Array.of(byte))));
    connection.send(data(1, Buffer.alloc(0), true));
    assert.equal((await connection.answer(1)).messages[0]!.length, 5000);
  });
});

test("PRIORITY frames for each stream, settings that change, and frames of extensions now and then", async () => {
  await honest(async (connection) => {
    for (let i = 0; i < 300; i++) {
      const id = streamOf(i);
      connection.send(headers(id, callBlock(UNARY), { dependsOn: 0 }), priority(id, 0), data(id, message("x"), true));
      if (i % 10 === 0)
        connection.send(settings([[Setting.INITIAL_WINDOW_SIZE, 65_535 + i]]), frame(0x10, 0, 0, Buffer.alloc(8)));
      await connection.answer(id);
    }
  });
});

test("headers in CONTINUATION frames, and padding", async () => {
  await honest(async (connection) => {
    for (let i = 0; i < 300; i++) {
      const id = streamOf(i);
      connection.send(
        headers(id, callBlock(UNARY), { fragmentBytes: 20, padding: 7 }),
        data(id, message("x"), true, 100),
      );
      assert.equal((await connection.answer(id)).messages.join(), "x");
    }
  });
});

test("a thousand calls open at a time", async () => {
  await honest(async (connection, victim) => {
    connection.send(...Array.from({ length: 1000 }, (_, i) => headers(streamOf(i), callBlock(STREAM))));
    await connection.roundTrip();
    assert.equal(victim.counts.opened, 1000);
    connection.send(...Array.from({ length: 1000 }, (_, i) => data(streamOf(i), message(`${i}`), true)));
    for (let i = 0; i < 1000; i++) assert.equal((await connection.answer(streamOf(i))).messages.join(), `${i}`);
  });
});

test("WINDOW_UPDATE frames for streams that have ended meanwhile", async () => {
  await honest(async (connection) => {
    for (let i = 0; i < 2000; i += 50) {
      for (let j = i; j < i + 50; j++) {
        connection.send(headers(streamOf(j), callBlock(UNARY)), data(streamOf(j), message("x"), true));
      }
      await connection.answer(streamOf(i + 49));
      for (let j = i; j < i + 50; j++) connection.send(windowUpdate(streamOf(j), 6));
    }
    assert.equal(connection.frames.filter(({ type }) => type === Type.RST_STREAM).length, 0);
  });
});
