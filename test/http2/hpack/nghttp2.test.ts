// Against another implementation: nghttp2, as node:http2 carries it.

import assert from "node:assert/strict";
import http2 from "node:http2";
import test from "node:test";
import { mulberry32 } from "../../../scripts/random.ts";
import { HeaderDecoder } from "../../../src/http2/hpack/decoder.ts";
import { encodeHeaders } from "../../../src/http2/hpack/encoder.ts";
import { STATIC_NAMES, STATIC_VALUES } from "../../../src/http2/hpack/static-table.ts";
import { type Field, pairs } from "./model-encoder.ts";
import { startNodePeer } from "./node-peer.ts";

const SEED = 20_240_917;
const REQUESTS = 1000;
/** What a frame holds at most: a longer block has CONTINUATIONs. */
const FRAME_BYTES = 16_384;
const NO_CONTENT = encodeHeaders([[":status", "204"]]);
const NAMES = [
  "te",
  "user-agent",
  "grpc-timeout",
  "accept-encoding",
  "x-request-id",
  "traceparent",
  "tracestate",
  "x-bin",
  "x-a",
  "x-b",
  "x-a-name-of-more-than-a-few-letters",
  "authorization",
];

class Random {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = mulberry32(seed);
  }

  below(count: number): number {
    return Math.floor(this.#next() * count);
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  value(): string {
    switch (this.below(6)) {
      case 0:
        return this.of(["", "1S", "gzip, deflate", "grpc-node/1", "application/grpc"]);
      case 1:
        return String(this.below(1_000_000));
      case 2:
        // What Huffman makes longer, so that it is sent as it is.
        return this.#text(this.below(12), (i) => this.of(["\x80", "ü", "\xff", "~", "\\", "{"])[0]! + (i % 2));
      case 3:
        return this.#text(this.below(300), () => String.fromCharCode(0x61 + this.below(26)));
      default:
        return this.#text(this.below(30), () => String.fromCharCode(0x21 + this.below(94)));
    }
  }

  #text(length: number, char: (i: number) => string): string {
    return Array.from({ length }, (_, i) => char(i)).join("");
  }
}

function randomList(random: Random): { fields: Field[]; sensitive: string[] } {
  const fields: Field[] = [
    [":method", random.of(["POST", "GET", "PUT"])],
    [":path", random.of(["/", "/pkg.Service/Method", `/pkg.Service/${random.below(50)}`])],
    [":scheme", random.of(["http", "https"])],
    [":authority", random.of(["127.0.0.1:1", "example.com"])],
  ];
  if (random.below(20) === 0) fields.push(["x-large", "<".repeat(20_000)]);
  const names = NAMES.filter(() => random.below(2) === 0);
  for (const name of names) fields.push([name, name === "te" ? "trailers" : random.value()]);
  return { fields, sensitive: names.filter(() => random.below(8) === 0) };
}

test("blocks of nghttp2 decode to what was sent, through insertions, evictions and other sizes of the table", async () => {
  const random = new Random(SEED);
  await using peer = await startNodePeer();
  const decoders = [16, 0].map(
    (cachedBlocksMax) => new HeaderDecoder({ tableBytesMax: 4096, listBytesMax: 65_536, cachedBlocksMax }),
  );
  const seen = { huffman: 0, plain: 0, never: 0, again: 0, continued: 0 };
  const recent = Array.from({ length: 4 }, () => randomList(random));
  for (let i = 0; i < REQUESTS; i++) {
    if (random.below(25) === 0) {
      // Two in a row are two size updates in one block, if the first is the smaller.
      for (let j = random.below(2); j >= 0; j--) await peer.setTableBytes(random.of([0, 64, 200, 1000, 4096]));
    }
    if (random.below(2) === 0) recent[random.below(recent.length)] = randomList(random);
    const sent = random.of(recent);
    const { fields, sensitive } = sent;
    const headers = { ...Object.fromEntries(fields), [http2.sensitiveHeaders]: sensitive };
    const { block } = await peer.request(headers, NO_CONTENT);
    for (const decoder of decoders) {
      const list = decoder.decode(block, 0, block.length);
      assert.deepEqual(pairs(list.fields), fields, `request ${i}: ${block.toString("hex")}`);
      if (list.memo !== undefined) seen.again++;
      list.memo = i;
    }
    if (sensitive.length > 0) seen.never++;
    if (block.length > FRAME_BYTES) seen.continued++;
    if (fields.some(([, value]) => value.length > 3 && block.includes(value, "latin1"))) seen.plain++;
    else seen.huffman++;
  }
  for (const [what, count] of Object.entries(seen)) assert.ok(count > 10, `${what}: ${count}`);
  assert.ok(decoders[0]!.sizeUpdates > 20, `${decoders[0]!.sizeUpdates} size updates`);
});

test("blocks of the encoder are to nghttp2 what was to be sent", async () => {
  const random = new Random(SEED);
  await using peer = await startNodePeer();
  for (let i = 0; i < 300; i++) {
    const fields: Field[] = [
      [":status", random.of(["200", "204", "404", "415", "503"])],
      ["content-type", "application/grpc"],
      ["grpc-status", String(random.below(17))],
      ["date", random.value()],
    ];
    for (const name of NAMES) if (name !== "te" && random.below(2) === 0) fields.push([name, random.value()]);
    const { rawHeaders } = await peer.request({ ":path": "/" }, encodeHeaders(fields));
    assert.deepEqual(pairs(rawHeaders), fields);
  }
});

test("every entry of the static table is to nghttp2 what it is here", async () => {
  await using peer = await startNodePeer();
  const regular: Field[] = [];
  for (const [i, name] of STATIC_NAMES.entries()) {
    // nghttp2 takes neither of these in an answer.
    if (i > 0 && !name.startsWith(":") && name !== "transfer-encoding") regular.push([name, STATIC_VALUES[i]!]);
  }
  for (const status of ["200", "204", "206", "304", "400", "404", "500"]) {
    const fields: Field[] = [[":status", status], ...regular.filter(([name]) => name !== "content-length")];
    const { rawHeaders } = await peer.request({ ":path": "/" }, encodeHeaders(fields));
    assert.deepEqual(pairs(rawHeaders), fields);
  }
});
