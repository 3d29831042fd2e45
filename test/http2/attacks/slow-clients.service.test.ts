// Clients that keep what they have begun from ending: bytes that do not come, and answers that are not taken.

import assert from "node:assert/strict";
import test from "node:test";
import { certificate } from "../../support/certificate.ts";
import { ErrorCode } from "../../../src/http2/error-code.ts";
import { FLOOD, HOLD, LARGE, STREAM, UNARY } from "../support/echo.ts";
import { data, frame, headers, PREFACE, Setting, settings, Type, windowUpdate } from "../support/frames.ts";
import { callBlock, message } from "../support/grpc.ts";
import type { RawConnection } from "../support/raw-connection.ts";
import { underAttack, Victim, whileServing } from "../support/victim.ts";

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends byte after byte for as long as the connection is open. */
async function drip(connection: RawConnection, bytes: Uint8Array, everyMs: number): Promise<void> {
  for (const byte of bytes) {
    if (connection.isClosed || connection.wentAway !== undefined) return;
    connection.send(Uint8Array.of(byte));
    await pause(everyMs);
  }
}

test("a connection on which nothing comes is closed after GRPC_HANDSHAKE_TIMEOUT", async () => {
  await underAttack({ handshakeTimeoutMs: 200 }, async (victim) => {
    const connection = await victim.connect({ settings: undefined });
    await connection.closed();
    victim.assertAttacked("slow_handshake");
  });
});

test("a preface that comes byte by byte is cut after GRPC_HANDSHAKE_TIMEOUT", async () => {
  await underAttack({ handshakeTimeoutMs: 200 }, async (victim) => {
    const connection = await victim.connect({ settings: undefined });
    await drip(connection, PREFACE.subarray(0, -1), 50);
    await connection.closed();
    victim.assertAttacked("slow_handshake");
  });
});

test("a preface without SETTINGS is cut after GRPC_HANDSHAKE_TIMEOUT", async () => {
  await underAttack({ handshakeTimeoutMs: 200 }, async (victim) => {
    const connection = await victim.connect({ settings: undefined, acknowledges: false });
    connection.send(PREFACE, settings().subarray(0, 5));
    await connection.closed();
    victim.assertAttacked("slow_handshake");
  });
});

test("headers that come byte by byte are cut after GRPC_HEADERS_TIMEOUT", async () => {
  await underAttack({ headersTimeoutMs: 200 }, async (victim) => {
    const connection = await victim.connect();
    await connection.roundTrip();
    await drip(connection, headers(1, callBlock(UNARY)), 20);
    const { code, debug } = await connection.goaway();
    assert.equal(code, ErrorCode.ENHANCE_YOUR_CALM, debug);
    assert.match(debug, /GRPC_HEADERS_TIMEOUT|header/i);
    await connection.closed();
    victim.assertAttacked("slow_headers");
  });
});

test("headers whose CONTINUATION does not come are cut after GRPC_HEADERS_TIMEOUT", async () => {
  await underAttack({ headersTimeoutMs: 200 }, async (victim) => {
    const connection = await victim.connect();
    await connection.roundTrip();
    connection.send(frame(Type.HEADERS, 0, 1, callBlock(UNARY)));
    const { code, debug } = await connection.goaway();
    assert.equal(code, ErrorCode.ENHANCE_YOUR_CALM, debug);
    await connection.closed();
    victim.assertAttacked("slow_headers");
  });
});

test("a message that comes byte by byte ends its call after GRPC_MESSAGE_TIMEOUT, and its connection goes on", async () => {
  await underAttack({ messageTimeoutMs: 300 }, async (victim) => {
    const connection = await victim.connect();
    connection.send(headers(1, callBlock(STREAM)));
    const slow = message(Buffer.alloc(1000));
    for (let at = 0; at < 100 && !connection.frames.some(({ id }) => id === 1); at++) {
      connection.send(data(1, slow.subarray(at, at + 1)));
      await pause(20);
    }
    const answer = await connection.answer(1);
    assert.ok(answer.reset !== undefined || answer.fields.get("grpc-status") !== undefined, "the call ended");
    assert.notEqual(answer.fields.get("grpc-status"), "0");
    connection.send(headers(3, callBlock(UNARY)), data(3, message("served"), true));
    assert.equal((await connection.answer(3)).messages.join(), "served");
    victim.assertAttacked("slow_message");
  });
});

test("a stream that is silent between messages is no slow message", async () => {
  await underAttack({ messageTimeoutMs: 200, headersTimeoutMs: 200, handshakeTimeoutMs: 200 }, async (victim) => {
    const connection = await victim.connect();
    connection.send(headers(1, callBlock(STREAM)), data(1, message("one")));
    await connection.until("one", () => (connection.messages(1) === 1 ? true : undefined));
    await pause(2500);
    connection.send(data(1, message("two"), true));
    assert.equal((await connection.answer(1)).messages.join(), "one,two");
    assert.deepEqual(victim.allAttacks, {});
  });
});

test("answers that no window is opened for are cut after GRPC_STALL_TIMEOUT", async () => {
  await underAttack({ stallTimeoutMs: 300 }, async (victim) => {
    const connection = await victim.connect({ settings: [[Setting.INITIAL_WINDOW_SIZE, 0]] });
    connection.send(headers(1, callBlock(LARGE)), data(1, message("1000"), true));
    await connection.until("the end", () =>
      connection.isClosed ||
      connection.wentAway !== undefined ||
      connection.frames.some((each) => each.type === Type.RST_STREAM)
        ? true
        : undefined,
    );
    assert.ok(victim.attacks("zero_window") > 0, JSON.stringify(victim.allAttacks));
    victim.assertAttacked("zero_window");
  });
});

for (const tls of [undefined, { ...certificate(), clientCa: undefined }]) {
  test(`answers that are not read from the socket${tls === undefined ? "" : ", over TLS,"} are cut after GRPC_STALL_TIMEOUT, and are bounded until then`, async () => {
    await using victim = await Victim.start({ stallTimeoutMs: 500, unsentBytesMax: 400_000, tls });
    const attack = async (): Promise<void> => {
      const connection = await victim.connect({
        settings: [[Setting.INITIAL_WINDOW_SIZE, 0x7fffffff]],
        ...(tls === undefined ? {} : { tls: {} }),
      });
      connection.send(windowUpdate(0, 0x7fffffff - 65_535));
      await connection.roundTrip();
      connection.socket.pause();
      connection.send(headers(1, callBlock(FLOOD)), data(1, message("go")));
      for (let i = 0; i < 500 && victim.attacks("slow_read") === 0; i++) await pause(20);
      victim.assertAttacked("slow_read");
      connection.socket.resume();
      await connection.closed();
      assert.equal(victim.counts.cancelled, 1, "the call's handler was told");
    };
    // The honest client beside it speaks plaintext only.
    await (tls === undefined ? whileServing(victim, attack) : attack());
  });
}

test("beyond GRPC_UNSENT_BYTES_MAX new calls are refused, and those that were taken get their answers", async () => {
  await underAttack({ unsentBytesMax: 200_000 }, async (victim) => {
    const connection = await victim.connect({ settings: [[Setting.INITIAL_WINDOW_SIZE, 0]] });
    const ids = Array.from({ length: 20 }, (_, i) => 2 * i + 1);
    for (const id of ids) {
      connection.send(headers(id, callBlock(LARGE)), data(id, message("20000"), true));
      await connection.roundTrip();
    }
    const refused = ids.filter((id) => connection.wasReset(id) === ErrorCode.REFUSED_STREAM);
    assert.ok(refused.length >= 8 && refused.length <= 10, `${refused.length} of 20 were refused`);
    connection.send(windowUpdate(0, 10_000_000));
    for (const id of ids) if (!refused.includes(id)) connection.send(windowUpdate(id, 1_000_000));
    for (const id of ids) if (!refused.includes(id)) assert.equal((await connection.answer(id)).messages.length, 1);
    assert.deepEqual(victim.allAttacks, {});
  });
});

test("answers of which a client takes none are held up to four times GRPC_UNSENT_BYTES_MAX, and no longer", async () => {
  await underAttack({ unsentBytesMax: 100_000 }, async (victim) => {
    const connection = await victim.connect({ settings: [[Setting.INITIAL_WINDOW_SIZE, 0]] });
    connection.send(headers(1, callBlock(LARGE)), data(1, message("400000"), true));
    await connection.until("the end", () =>
      connection.isClosed || connection.wentAway !== undefined ? true : undefined,
    );
    const { wentAway } = connection;
    if (wentAway !== undefined) {
      assert.equal(wentAway.code, ErrorCode.ENHANCE_YOUR_CALM);
      assert.match(wentAway.debug, /GRPC_UNSENT_BYTES_MAX/);
    }
    await connection.closed();
    assert.deepEqual(Object.keys(victim.allAttacks), ["slow_read"]);
  });
});

test("a client that takes its answers slowly but takes them is not cut", async () => {
  await underAttack({ stallTimeoutMs: 1000 }, async (victim) => {
    const connection = await victim.connect({ settings: [[Setting.INITIAL_WINDOW_SIZE, 0]] });
    connection.send(headers(1, callBlock(LARGE)), data(1, message("60000"), true));
    for (let i = 0; i < 13; i++) {
      await pause(300);
      connection.send(windowUpdate(1, 5000));
    }
    assert.equal((await connection.answer(1)).messages[0]!.length, 60_000);
    assert.deepEqual(victim.allAttacks, {});
  });
});

test("a client that does not answer PING is cut after GRPC_KEEPALIVE_TIMEOUT, and one that does is not", async () => {
  await underAttack({ keepaliveTimeMs: 200, keepaliveTimeoutMs: 200 }, async (victim) => {
    const silent = await victim.connect();
    silent.send(headers(1, callBlock(HOLD)));
    const answering = await victim.connect();
    answering.send(headers(1, callBlock(HOLD)));
    let answered = 0;
    answering.socket.on("data", () => {
      const pings = answering.frames.filter(({ type, flags }) => type === Type.PING && flags === 0);
      for (const { payload } of pings.slice(answered)) {
        answering.send(frame(Type.PING, 1, 0, payload));
        answered++;
      }
    });
    await silent.closed();
    await pause(2500);
    assert.ok(answered >= 2, `${answered} PINGs were answered`);
    assert.equal(answering.isClosed, false);
  });
});
