// Header blocks that are too much: too large, never ending, small ones that unfold, and ones that are not HPACK.

import assert from "node:assert/strict";
import test from "node:test";
import { ErrorCode } from "../../../src/http2/error-code.ts";
import { STREAM, UNARY } from "../support/echo.ts";
import { data, Flag, frame, headers, Setting, settings, Type } from "../support/frames.ts";
import { callBlock, callFields, message } from "../support/grpc.ts";
import { indexed, indexing, integer, literal, literals, tableSize } from "../support/hpack.ts";
import type { RawConnection } from "../support/raw-connection.ts";
import { flood, underAttack } from "../support/victim.ts";

const streamOf = (i: number): number => 2 * i + 1;

async function assertServed(connection: RawConnection, id: number): Promise<void> {
  connection.send(headers(id, callBlock(UNARY)), data(id, message("served"), true));
  assert.equal((await connection.answer(id)).messages.join(), "served");
}

test("a header list over the limit is answered with 431, and its connection goes on", async () => {
  await underAttack({ headerListBytesMax: 4096 }, async (victim) => {
    const connection = await victim.connect();
    const announced = await connection.until("SETTINGS", () =>
      connection.frames.find(({ type, flags }) => type === Type.SETTINGS && flags === 0),
    );
    const limits = new Map<number, number>();
    for (let at = 0; at < announced.payload.length; at += 6) {
      limits.set(announced.payload.readUInt16BE(at), announced.payload.readUInt32BE(at + 2));
    }
    assert.equal(limits.get(Setting.MAX_HEADER_LIST_SIZE), 4096);
    connection.send(headers(1, callBlock(UNARY, [["x-large", "x".repeat(5000)]]), { end: true }));
    const answer = await connection.answer(1);
    assert.equal(answer.fields.get(":status"), "431");
    await assertServed(connection, 3);
    victim.assertAttacked("header_list_too_large");
  });
});

test("a list of many small fields counts by RFC 9113's rule, 32 bytes more for each", async () => {
  await underAttack({ headerListBytesMax: 4096 }, async (victim) => {
    const connection = await victim.connect();
    const fields = Array.from({ length: 200 }, (_, i): [string, string] => [`x${i}`, ""]);
    connection.send(headers(1, callBlock(UNARY, fields), { end: true }));
    assert.equal((await connection.answer(1)).fields.get(":status"), "431");
    await assertServed(connection, 3);
  });
});

test("what an oversized list put into the dynamic table can be used by the next", async () => {
  await underAttack({ headerListBytesMax: 4096 }, async (victim) => {
    const connection = await victim.connect();
    const large = literal("x-large", "x".repeat(5000));
    connection.send(headers(1, Buffer.concat([indexing("x-kept", "kept"), callBlock(UNARY), large]), { end: true }));
    assert.equal((await connection.answer(1)).fields.get(":status"), "431");
    connection.send(headers(3, Buffer.concat([callBlock(UNARY), indexed(62)])), data(3, message("kept"), true));
    assert.equal((await connection.answer(3)).messages.join(), "kept");
  });
});

test("a header list that does not end is cut after a multiple of the limit", async () => {
  await underAttack({ headerListBytesMax: 4096 }, async (victim) => {
    const connection = await victim.connect();
    await connection.roundTrip();
    connection.send(frame(Type.HEADERS, 0, 1, callBlock(UNARY)));
    const endless = literal("x-more", "m".repeat(1000));
    const sent = await flood(connection, () => frame(Type.CONTINUATION, 0, 1, endless), { batch: 4 });
    const { code, debug } = await connection.goaway();
    assert.equal(code, ErrorCode.ENHANCE_YOUR_CALM, debug);
    assert.ok(sent < 1000, `${sent} KiB were taken`);
    await connection.closed();
    const [kind] = Object.keys(victim.allAttacks);
    assert.ok(kind === "continuation_flood" || kind === "header_list_too_large", JSON.stringify(victim.allAttacks));
  });
});

test("a small block that refers to a large entry thousands of times (HPACK bomb) is not unfolded", async () => {
  await underAttack({ headerListBytesMax: 16_384 }, async (victim) => {
    const connection = await victim.connect();
    const entry = indexing("x-bomb", "b".repeat(3900));
    const bomb = (): Buffer => Buffer.concat([callBlock(UNARY), Buffer.alloc(8000, 0xbe)]);
    connection.send(headers(1, Buffer.concat([callBlock(UNARY), entry]), { end: true }));
    await connection.answer(1);
    connection.send(headers(3, bomb(), { end: true }));
    const status = await connection.until("431 or GOAWAY", () =>
      connection.wentAway !== undefined || connection.frames.some(({ id }) => id === 3) ? true : undefined,
    );
    assert.ok(status);
    if (connection.wentAway === undefined) {
      assert.equal((await connection.answer(3)).fields.get(":status"), "431");
      await flood(connection, (i) => headers(streamOf(i + 2), bomb(), { end: true }));
    }
    const { code, debug } = await connection.goaway();
    assert.ok(code === ErrorCode.ENHANCE_YOUR_CALM || code === ErrorCode.COMPRESSION_ERROR, debug);
    await connection.closed();
    assert.ok(victim.attacks("hpack_bomb") > 0, JSON.stringify(victim.allAttacks));
  });
});

test("a dynamic table that is resized and filled again and again (churn) ends its connection", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect();
    const churn = Buffer.concat([
      tableSize(0),
      tableSize(4096),
      ...Array.from({ length: 20 }, (_, i) => indexing(`x-churn-${i}`, "c".repeat(60))),
    ]);
    const block = Buffer.concat([churn, callBlock(UNARY)]);
    await flood(connection, (i) => Buffer.concat([headers(streamOf(i), block), data(streamOf(i), message("x"), true)]));
    const { code, debug } = await connection.goaway();
    assert.equal(code, ErrorCode.ENHANCE_YOUR_CALM, debug);
    await connection.closed();
    victim.assertAttacked("hpack_table_churn");
  });
});

const BROKEN: readonly (readonly [what: string, block: Buffer])[] = [
  ["index 0", Buffer.from([0x80])],
  ["an index beyond both tables", indexed(62)],
  ["an index of 2^35", integer(2 ** 35, 7, 0x80)],
  ["an integer that does not end", Buffer.from([0xff, ...Array.from({ length: 30 }, () => 0x80)])],
  ["a string longer than the block", Buffer.from([0x00, 0x05, 0x61])],
  ["a string of 2^31 bytes", Buffer.concat([Buffer.from([0x00]), integer(2 ** 31, 7)])],
  ["a table size over the one allowed", tableSize(65_536)],
  ["a table size after the first field", Buffer.concat([indexed(2), tableSize(0)])],
  ["three table sizes that a block may not have", Buffer.concat([tableSize(0), tableSize(10), tableSize(4097)])],
  ["Huffman padding of more than seven bits", Buffer.from([0x00, 0x81, 0xff, 0x00])],
  ["Huffman padding of zeros", Buffer.from([0x00, 0x01, 0x61, 0x81, 0x18])],
  ["Huffman's end-of-string symbol", Buffer.from([0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00])],
];

for (const [what, block] of BROKEN) {
  test(`${what} is a COMPRESSION_ERROR of the connection`, async () => {
    await underAttack({}, async (victim) => {
      const connection = await victim.connect();
      connection.send(headers(1, block, { end: true }));
      const { code, debug } = await connection.goaway();
      assert.equal(code, ErrorCode.COMPRESSION_ERROR, debug);
      await connection.closed();
    });
  });
}

test("broken HPACK in trailers, and in the header block of a refused stream, is an error of the connection too", async () => {
  await underAttack({ streamsMax: 1 }, async (victim) => {
    const inTrailers = await victim.connect();
    inTrailers.send(headers(1, callBlock(STREAM)), headers(1, indexed(0), { end: true }));
    assert.equal((await inTrailers.goaway()).code, ErrorCode.COMPRESSION_ERROR);
    const refused = await victim.connect();
    await refused.roundTrip();
    refused.send(headers(1, callBlock(STREAM)), headers(3, indexed(0)));
    assert.equal((await refused.goaway()).code, ErrorCode.COMPRESSION_ERROR);
  });
});

type Fields = readonly (readonly [string, string])[];
const without = (name: string): Fields => callFields(UNARY).filter(([each]) => each !== name);
const MALFORMED: readonly (readonly [what: string, fields: Fields])[] = [
  ["no :method", without(":method")],
  ["no :path", without(":path")],
  ["no :scheme", without(":scheme")],
  ["an empty :path", [...without(":path"), [":path", ""]]],
  ["two :path", [[":path", UNARY], ...callFields(UNARY)]],
  ["an unknown pseudo-header field", [[":unknown", "1"], ...callFields(UNARY)]],
  [":status in a request", [[":status", "200"], ...callFields(UNARY)]],
  ["a pseudo-header field after a regular one", [["x-first", "1"], ...callFields(UNARY)]],
  ["connection", callFields(UNARY, [["connection", "close"]])],
  ["transfer-encoding", callFields(UNARY, [["transfer-encoding", "chunked"]])],
  ["te that is not trailers", [...without("te"), ["te", "gzip"]]],
  ["a line feed in a value", callFields(UNARY, [["x-evil", "a\r\nb: c"]])],
  ["a NUL in a value", callFields(UNARY, [["x-evil", "a\0b"]])],
  ["a space in a name", callFields(UNARY, [["x evil", "1"]])],
  ["an empty name", callFields(UNARY, [["", "1"]])],
  ["a content-length that is no number", callFields(UNARY, [["content-length", "1x"]])],
  ["a negative content-length", callFields(UNARY, [["content-length", "-1"]])],
  [
    "two content-lengths that differ",
    callFields(UNARY, [
      ["content-length", "1"],
      ["content-length", "2"],
    ]),
  ],
];

for (const [what, fields] of MALFORMED) {
  test(`a request with ${what} is malformed, and its connection goes on`, async () => {
    await underAttack({}, async (victim) => {
      const connection = await victim.connect();
      const opened = victim.counts.opened;
      connection.send(headers(1, literals(fields)), data(1, message("x"), true));
      assert.equal(await connection.reset(1), ErrorCode.PROTOCOL_ERROR);
      await assertServed(connection, 3);
      assert.ok(victim.counts.messages >= victim.counts.opened - opened, "no handler has seen the request");
    });
  });
}

test("frames between HEADERS and its CONTINUATION are an error of the connection", async () => {
  const between = [
    ["PING", frame(Type.PING, 0, 0, Buffer.alloc(8))],
    ["DATA", data(1, Buffer.alloc(1))],
    ["HEADERS of another stream", headers(3, callBlock(UNARY))],
    ["CONTINUATION of another stream", frame(Type.CONTINUATION, Flag.END_HEADERS, 3)],
    ["SETTINGS", settings()],
    ["a frame of an unknown type", frame(0x42, 0, 1)],
  ] as const;
  await underAttack({}, async (victim) => {
    for (const [what, bytes] of between) {
      const connection = await victim.connect();
      connection.send(frame(Type.HEADERS, 0, 1, callBlock(UNARY)), bytes);
      assert.equal((await connection.goaway()).code, ErrorCode.PROTOCOL_ERROR, what);
      await connection.closed();
    }
  });
});

test("more padding than frame is an error of the connection", async () => {
  await underAttack({}, async (victim) => {
    for (const bytes of [
      frame(Type.HEADERS, Flag.PADDED | Flag.END_HEADERS, 1, Buffer.from([5, 0x82])),
      Buffer.concat([headers(1, callBlock(STREAM)), frame(Type.DATA, Flag.PADDED, 1, Buffer.from([5, 0, 0]))]),
    ]) {
      const connection = await victim.connect();
      connection.send(bytes);
      assert.equal((await connection.goaway()).code, ErrorCode.PROTOCOL_ERROR);
      await connection.closed();
    }
    for (const bytes of [
      frame(Type.HEADERS, Flag.PADDED | Flag.END_HEADERS, 1),
      frame(Type.HEADERS, Flag.PRIORITY | Flag.END_HEADERS, 1, Buffer.alloc(4)),
      frame(Type.HEADERS, Flag.PADDED | Flag.PRIORITY | Flag.END_HEADERS, 1, Buffer.from([2, 0, 0, 0, 0, 1])),
      Buffer.concat([headers(1, callBlock(STREAM)), frame(Type.DATA, Flag.PADDED, 1)]),
    ]) {
      const connection = await victim.connect();
      connection.send(bytes);
      const { code } = await connection.goaway();
      assert.ok(code === ErrorCode.PROTOCOL_ERROR || code === ErrorCode.FRAME_SIZE_ERROR, String(code));
      await connection.closed();
    }
  });
});
