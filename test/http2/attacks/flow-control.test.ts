// Windows that are overrun, overflow, never open, or are spent one byte at a time.

import assert from "node:assert/strict";
import test from "node:test";
import { ErrorCode } from "../../../src/http2/error-code.ts";
import { HOLD, LARGE, STOP, STREAM, UNARY } from "../support/echo.ts";
import {
  data,
  headers,
  PAYLOAD_BYTES_MAX,
  Setting,
  settings,
  Type,
  WINDOW_BYTES,
  WINDOW_BYTES_MAX,
  windowUpdate,
} from "../support/frames.ts";
import { callBlock, message } from "../support/grpc.ts";
import type { RawConnection } from "../support/raw-connection.ts";
import { underAttack } from "../support/victim.ts";

/** The windows that the server has announced, for a stream and for the connection. */
async function windowsOf(connection: RawConnection): Promise<{ stream: number; connection: number }> {
  await connection.roundTrip();
  let stream = WINDOW_BYTES;
  let whole = WINDOW_BYTES;
  for (const { type, flags, id, payload } of connection.frames) {
    if (type === Type.WINDOW_UPDATE && id === 0) whole += payload.readUInt32BE(0);
    if (type !== Type.SETTINGS || flags !== 0) continue;
    for (let at = 0; at < payload.length; at += 6) {
      if (payload.readUInt16BE(at) === Setting.INITIAL_WINDOW_SIZE) stream = payload.readUInt32BE(at + 2);
    }
  }
  return { stream, connection: whole };
}

/** DATA frames with so many bytes in all. */
function body(id: number, bytes: Buffer): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += PAYLOAD_BYTES_MAX) {
    frames.push(data(id, bytes.subarray(at, at + PAYLOAD_BYTES_MAX)));
  }
  return Buffer.concat(frames);
}

test("the announced windows are the options'", async () => {
  await underAttack({ streamWindowBytes: 100_000, connectionWindowBytes: 300_000 }, async (victim) => {
    const connection = await victim.connect();
    assert.deepEqual(await windowsOf(connection), { stream: 100_000, connection: 300_000 });
  });
});

test("a body beyond its stream's window is a FLOW_CONTROL_ERROR, and the connection's window is not lost with it", async () => {
  await underAttack({ streamWindowBytes: 65_536, connectionWindowBytes: 200_000 }, async (victim) => {
    const connection = await victim.connect();
    await windowsOf(connection);
    for (let i = 0; i < 20; i++) {
      const id = 2 * i + 1;
      const before = connection.frames.length;
      // The handler takes no more than the first message, so nothing of the rest is given back.
      connection.send(headers(id, callBlock(STOP)), data(id, message("first")), body(id, Buffer.alloc(70_000)));
      const ended = await connection.until("RST_STREAM or GOAWAY", () =>
        connection.frames.slice(before).find(({ type }) => type === Type.RST_STREAM || type === Type.GOAWAY),
      );
      const code = ended.payload.readUInt32BE(ended.type === Type.RST_STREAM ? 0 : 4);
      assert.equal(code, ErrorCode.FLOW_CONTROL_ERROR);
      if (ended.type === Type.GOAWAY) return;
      await connection.roundTrip();
    }
    connection.send(headers(101, callBlock(UNARY)), data(101, message("served"), true));
    assert.equal((await connection.answer(101)).messages.join(), "served");
  });
});

test("bodies beyond the connection's window are a FLOW_CONTROL_ERROR of the connection", async () => {
  await underAttack({ streamWindowBytes: 65_536, connectionWindowBytes: 65_536 }, async (victim) => {
    const connection = await victim.connect();
    await windowsOf(connection);
    const held = message(Buffer.alloc(30_000), false, 500_000);
    connection.send(...[1, 3, 5, 7, 9].flatMap((id) => [headers(id, callBlock(HOLD)), body(id, held)]));
    const { code, debug } = await connection.goaway();
    assert.equal(code, ErrorCode.FLOW_CONTROL_ERROR, debug);
    await connection.closed();
  });
});

test("padding counts against the windows", async () => {
  await underAttack({ streamWindowBytes: 65_536, connectionWindowBytes: 65_536 }, async (victim) => {
    const connection = await victim.connect();
    await windowsOf(connection);
    // Were padding not counted, or not given back, one of these would hang or be refused.
    connection.send(headers(1, callBlock(STREAM)));
    for (let i = 0; i < 1500; i++) {
      connection.send(data(1, message(`${i}`), false, 255));
      if (i % 100 === 99)
        await connection.until("the answers", () => (connection.messages(1) === i + 1 ? true : undefined));
    }
    const given = { stream: 0, connection: 0 };
    await connection.roundTrip();
    for (const { type, id, payload } of connection.frames) {
      if (type === Type.WINDOW_UPDATE) given[id === 0 ? "connection" : "stream"] += payload.readUInt32BE(0);
    }
    const sent = 1500 * 256;
    assert.ok(given.stream > sent - 65_536, `${given.stream} of more than ${sent} bytes were given back to the stream`);
    assert.ok(given.connection > sent - 65_536, `${given.connection} to the connection`);
  });
});

test("a window of the connection that overflows is an error of the connection", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect();
    connection.send(windowUpdate(0, WINDOW_BYTES_MAX));
    assert.equal((await connection.goaway()).code, ErrorCode.FLOW_CONTROL_ERROR);
    await connection.closed();
    const zero = await victim.connect();
    zero.send(windowUpdate(0, 0));
    assert.equal((await zero.goaway()).code, ErrorCode.PROTOCOL_ERROR);
    await zero.closed();
  });
});

test("an initial window that makes a stream's window overflow is an error of the connection", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect();
    connection.send(headers(1, callBlock(HOLD)), windowUpdate(1, WINDOW_BYTES_MAX - WINDOW_BYTES));
    await connection.roundTrip();
    assert.equal(connection.wentAway, undefined);
    connection.send(settings([[Setting.INITIAL_WINDOW_SIZE, WINDOW_BYTES + 1]]));
    assert.equal((await connection.goaway()).code, ErrorCode.FLOW_CONTROL_ERROR);
    await connection.closed();
  });
});

test("an answer keeps to the client's windows: of its stream, changed by SETTINGS, below zero, and of the connection", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect({ settings: [[Setting.INITIAL_WINDOW_SIZE, 1000]] });
    connection.send(headers(1, callBlock(LARGE)), data(1, message("300000"), true));
    const taken = async (bytes: number): Promise<void> => {
      await connection.until(`${bytes} bytes`, () => (connection.bodyBytes(1) >= bytes ? true : undefined));
      await connection.roundTrip();
      assert.equal(connection.bodyBytes(1), bytes);
    };
    await taken(1000);
    connection.send(settings([[Setting.INITIAL_WINDOW_SIZE, 400]]));
    await taken(1000);
    connection.send(windowUpdate(1, 600));
    await taken(1000);
    connection.send(windowUpdate(1, 5));
    await taken(1005);
    connection.send(settings([[Setting.INITIAL_WINDOW_SIZE, 2400]]));
    await taken(3005);
    connection.send(windowUpdate(1, 500_000));
    await taken(WINDOW_BYTES);
    connection.send(windowUpdate(0, 500_000));
    assert.equal((await connection.answer(1)).messages[0]!.length, 300_000);
  });
});

test("a client that opens its windows byte by byte is served or cut, and nobody else waits for it", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect({ settings: [[Setting.INITIAL_WINDOW_SIZE, 0]] });
    connection.send(headers(1, callBlock(LARGE)), data(1, message("100000"), true));
    for (let i = 0; i < 30_000 && connection.wentAway === undefined && !connection.isClosed; i += 100) {
      await connection.sendAll(...Array.from({ length: 100 }, () => windowUpdate(1, 1)));
    }
    const { code } = await connection.goaway();
    assert.equal(code, ErrorCode.ENHANCE_YOUR_CALM);
    victim.assertAttacked("window_update_flood");
  });
});
