// Frames that are allowed one by one and hurt by the thousand: each kind ends its connection, and nobody else's.

import assert from "node:assert/strict";
import test from "node:test";
import { type Attack, ErrorCode } from "../../../src/http2/error-code.ts";
import { HOLD, UNARY } from "../support/echo.ts";
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
  settingsAck,
  Type,
  windowUpdate,
} from "../support/frames.ts";
import { callBlock, message } from "../support/grpc.ts";
import type { RawConnection } from "../support/raw-connection.ts";
import { flood, underAttack, Victim } from "../support/victim.ts";

const hold = callBlock(HOLD);
const streamOf = (i: number): number => 2 * i + 1;

/** The server has said ENHANCE_YOUR_CALM with a text that names what was too much, and closed. */
async function assertCalmed(connection: RawConnection): Promise<void> {
  const { code, debug } = await connection.goaway();
  assert.equal(code, ErrorCode.ENHANCE_YOUR_CALM, debug);
  assert.notEqual(debug, "");
  await connection.closed();
}

interface Flood {
  readonly what: string;
  readonly attack: Attack;
  /** Sent once, before the flood. */
  readonly first?: () => Buffer;
  readonly make: (i: number) => Buffer;
}

const FLOODS: readonly Flood[] = [
  {
    what: "calls that are cancelled at once (rapid reset)",
    attack: "rapid_reset",
    make: (i) => Buffer.concat([headers(streamOf(i), hold), rstStream(streamOf(i), ErrorCode.CANCEL)]),
  },
  { what: "PING frames", attack: "ping_flood", make: () => ping() },
  {
    what: "SETTINGS frames",
    attack: "settings_flood",
    make: (i) => settings([[Setting.INITIAL_WINDOW_SIZE, 65_535 - (i % 2)]]),
  },
  { what: "empty SETTINGS frames", attack: "settings_flood", make: () => settings() },
  {
    what: "acknowledgements of settings that nobody sent",
    attack: "settings_flood",
    make: () => settingsAck(),
  },
  {
    what: "answers to PINGs that nobody sent",
    attack: "ping_flood",
    make: () => frame(Type.PING, Flag.ACK, 0, Buffer.alloc(8)),
  },
  {
    what: "RST_STREAM frames of a stream that has ended",
    attack: "rapid_reset",
    first: () => Buffer.concat([headers(1, callBlock(UNARY)), data(1, message("x"), true)]),
    make: () => rstStream(1, ErrorCode.CANCEL),
  },
  {
    what: "trailers of a stream that the server has reset",
    attack: "made_you_reset",
    first: () => Buffer.concat([headers(1, hold), windowUpdate(1, 0)]),
    make: () => headers(1, hold, { end: true }),
  },
  { what: "GOAWAY frames", attack: "unknown_frame_flood", make: () => frame(Type.GOAWAY, 0, 0, Buffer.alloc(8)) },
  {
    what: "PRIORITY frames of idle streams",
    attack: "priority_flood",
    make: (i) => priority(streamOf(i), 0),
  },
  {
    what: "WINDOW_UPDATE frames of the connection",
    attack: "window_update_flood",
    make: () => windowUpdate(0, 1),
  },
  {
    what: "WINDOW_UPDATE frames of a stream",
    attack: "window_update_flood",
    first: () => headers(1, hold),
    make: () => windowUpdate(1, 1),
  },
  {
    what: "frames of unknown types",
    attack: "unknown_frame_flood",
    make: (i) => frame(0x20 + (i % 100), 0xff, i % 3, Buffer.alloc(i % 20)),
  },
  {
    what: "empty DATA frames",
    attack: "empty_frame_flood",
    first: () => headers(1, hold),
    make: () => data(1, Buffer.alloc(0)),
  },
  {
    what: "DATA frames of nothing but padding",
    attack: "empty_frame_flood",
    first: () => headers(1, hold),
    make: () => data(1, Buffer.alloc(0), false, 0),
  },
  {
    what: "empty CONTINUATION frames",
    attack: "continuation_flood",
    first: () => frame(Type.HEADERS, 0, 1, hold),
    make: () => frame(Type.CONTINUATION, 0, 1),
  },
  {
    what: "CONTINUATION frames of one byte",
    attack: "continuation_flood",
    first: () => frame(Type.HEADERS, 0, 1),
    make: (i) => frame(Type.CONTINUATION, 0, 1, hold.subarray(i % hold.length, (i % hold.length) + 1)),
  },
];

for (const { what, attack, first, make } of FLOODS) {
  test(`a flood of ${what} is told to calm down and cut, and others are served`, async () => {
    await underAttack({}, async (victim) => {
      const connection = await victim.connect();
      if (first !== undefined) connection.send(first());
      await flood(connection, make);
      await assertCalmed(connection);
      victim.assertAttacked(attack);
    });
  });
}

test("empty HEADERS frames are errors of their streams, and by the thousand of their connection", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect();
    connection.send(headers(1, Buffer.alloc(0), { end: true }));
    assert.equal(await connection.reset(1), ErrorCode.PROTOCOL_ERROR);
    await flood(connection, (i) => headers(streamOf(i + 1), Buffer.alloc(0), { end: true }));
    await assertCalmed(connection);
    victim.assertAttacked("made_you_reset");
  });
});

test("a flood of PING whose answers are not read does not make the server hold them", async () => {
  await underAttack({ unsentBytesMax: 65_536 }, async (victim) => {
    const connection = await victim.connect();
    connection.socket.pause();
    await Promise.race([flood(connection, () => ping(), { max: 1_000_000, batch: 1000 }), connection.closed(20_000)]);
    connection.socket.resume();
    await connection.closed();
    assert.ok(Object.keys(victim.allAttacks).length === 1, JSON.stringify(victim.allAttacks));
  });
});

interface Provocation {
  readonly what: string;
  readonly code: number;
  readonly make: (id: number) => Buffer;
}

/** What makes a server reset a stream, so that it is no longer counted while its work goes on (MadeYouReset). */
const PROVOCATIONS: readonly Provocation[] = [
  {
    what: "a WINDOW_UPDATE of 0",
    code: ErrorCode.PROTOCOL_ERROR,
    make: (id) => Buffer.concat([headers(id, hold), windowUpdate(id, 0)]),
  },
  {
    what: "a WINDOW_UPDATE that overflows the stream's window",
    code: ErrorCode.FLOW_CONTROL_ERROR,
    make: (id) => Buffer.concat([headers(id, hold), windowUpdate(id, 0x7fffffff)]),
  },
  {
    what: "DATA after the end of the request",
    code: ErrorCode.STREAM_CLOSED,
    make: (id) => Buffer.concat([headers(id, hold, { end: true }), data(id, message("x"))]),
  },
  {
    what: "HEADERS after the end of the request",
    code: ErrorCode.STREAM_CLOSED,
    make: (id) => Buffer.concat([headers(id, hold, { end: true }), headers(id, hold, { end: true })]),
  },
  {
    what: "a PRIORITY frame that depends on its own stream",
    code: ErrorCode.PROTOCOL_ERROR,
    make: (id) => Buffer.concat([headers(id, hold), priority(id, id)]),
  },
  {
    what: "a PRIORITY frame of four bytes",
    code: ErrorCode.FRAME_SIZE_ERROR,
    make: (id) => Buffer.concat([headers(id, hold), frame(Type.PRIORITY, 0, id, Buffer.alloc(4))]),
  },
  {
    what: "a body longer than its content-length",
    code: ErrorCode.PROTOCOL_ERROR,
    make: (id) =>
      Buffer.concat([headers(id, callBlock(HOLD, [["content-length", "6"]])), data(id, message("twelve bytes"))]),
  },
  {
    what: "a body shorter than its content-length",
    code: ErrorCode.PROTOCOL_ERROR,
    make: (id) =>
      Buffer.concat([headers(id, callBlock(HOLD, [["content-length", "60"]])), data(id, message("short"), true)]),
  },
  {
    what: "trailers that do not end the request",
    code: ErrorCode.PROTOCOL_ERROR,
    make: (id) => Buffer.concat([headers(id, hold), frame(Type.HEADERS, Flag.END_HEADERS, id)]),
  },
  {
    what: "a field name in upper case",
    code: ErrorCode.PROTOCOL_ERROR,
    make: (id) => headers(id, callBlock(HOLD, [["X-Upper", "1"]])),
  },
];

for (const { what, code, make } of PROVOCATIONS) {
  test(`${what} is an error of its stream alone, and by the thousand (MadeYouReset) of its connection`, async () => {
    await underAttack({}, async (victim) => {
      const connection = await victim.connect();
      connection.send(make(1));
      assert.equal(await connection.reset(1), code);
      connection.send(headers(3, callBlock(UNARY)), data(3, message("served"), true));
      assert.equal((await connection.answer(3)).messages.join(), "served", "the connection goes on");
      await flood(connection, (i) => make(streamOf(i + 2)));
      await assertCalmed(connection);
      victim.assertAttacked("made_you_reset");
    });
  });
}

test("streams that were reset have no calls left behind them", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect();
    await flood(connection, (i) => Buffer.concat([headers(streamOf(i), hold), windowUpdate(streamOf(i), 0)]));
    await connection.closed();
    const { opened, cancelled } = victim.counts;
    // The other client's calls are opened too, and end by themselves.
    assert.ok(cancelled > 0 && opened >= cancelled, `${opened} opened, ${cancelled} cancelled`);
    const held = victim.metrics.grpcHttp2Streams.with().value;
    assert.ok(held <= 1, `${held} streams are open`);
  });
});

test("many connections that attack at once give a few lines, not one each", async () => {
  await using victim = await Victim.start();
  const attackers = 40;
  await Promise.all(
    Array.from({ length: attackers }, async () => {
      const connection = await victim.connect();
      await flood(connection, () => ping());
      await connection.closed();
    }),
  );
  assert.equal(victim.attacks("ping_flood"), attackers);
  const told = victim.told("ping_flood");
  assert.ok(told.length > 0 && told.length < attackers / 2, `${told.length} lines of ${attackers} attacks`);
});
