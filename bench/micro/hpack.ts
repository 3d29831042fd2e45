// What it costs to read a request's headers: `node bench/micro/hpack.ts`. Nanoseconds a block, without sockets.
//
// The shapes are those of gRPC clients: the same block again (no deadlines), a deadline that goes into the table with each
// request (grpc-go), nghttp2's (node, curl), which never puts the path into the table, and literals each time. `request`
// is with the check of what was decoded, as it is for a block that is new. Cases are measured in turns, and the median counts.

import "./worker-v8.ts";
import { HeaderDecoder } from "../../src/http2/hpack/decoder.ts";
import { encodeHeaders } from "../../src/http2/hpack/encoder.ts";
import { staticNameIndex } from "../../src/http2/hpack/static-table.ts";
import { requestOf } from "../../src/http2/request-headers.ts";
import { median } from "../statistics.ts";

const ROUNDS = 15;
const BLOCKS_PER_ROUND = 20_000;
const TABLE_BYTES = 4096;
const LIST_BYTES_MAX = 16_384;

const CONSTANT = [
  [":path", "/sluice.v1.EventIngest/Publish"],
  [":authority", "ingest.example.com:50051"],
  ["content-type", "application/grpc"],
  ["user-agent", "grpc-go/1.76.0"],
  ["te", "trailers"],
] as const;
const METHOD_AND_SCHEME = [0x83, 0x86];
const NEWEST = 0x80 | 62;
/** "4999912u", Huffman-coded. */
const DEADLINE = [...Buffer.from("8669f7df7c22b7", "hex")];
/** How many deadlines the table takes before an entry of CONSTANT is evicted. */
const DEADLINES = 50;

function text(value: string): number[] {
  return [value.length, ...Buffer.from(value, "latin1")];
}

/** All of CONSTANT, and the name of the deadline, inserted. */
const FIRST = Buffer.from([
  ...METHOD_AND_SCHEME,
  ...CONSTANT.flatMap(([name, value]) => {
    const index = staticNameIndex(name);
    return [0x40 | index, ...(index === 0 ? text(name) : []), ...text(value)];
  }),
  0x40,
  ...text("grpc-timeout"),
  ...DEADLINE,
]);

/** What FIRST has inserted as indices, after so many later insertions. */
function constants(insertions: number): number[] {
  return [...METHOD_AND_SCHEME, ...CONSTANT.map((_, i) => NEWEST + insertions + CONSTANT.length - i)];
}

/** Blocks that may follow each other for ever. */
const CASES: readonly { readonly name: string; readonly blocks: readonly Buffer[] }[] = [
  { name: "the same seven indices", blocks: [Buffer.from(constants(0))] },
  {
    name: "a deadline inserted each time",
    blocks: [
      FIRST,
      ...Array.from({ length: DEADLINES }, (_, i) => Buffer.from([...constants(i), 0x40 | 62, ...DEADLINE])),
    ],
  },
  {
    name: "nghttp2: a path in Huffman code, indices",
    blocks: [
      Buffer.from([
        0x83,
        0x04,
        ...Buffer.from("9661145a62157ee15f0772d49c954c54258d76c741913f", "hex"),
        0x86,
        ...constants(0).slice(3),
      ]),
    ],
  },
  {
    name: "eight literals",
    blocks: [encodeHeaders([[":method", "POST"], [":scheme", "http"], ...CONSTANT, ["grpc-timeout", "4999912u"]])],
  },
];

const VARIANTS = [
  { name: "cached", cachedBlocksMax: 16, checked: false },
  { name: "decoded", cachedBlocksMax: 0, checked: false },
  { name: "request", cachedBlocksMax: 0, checked: true },
] as const;

const runs = CASES.flatMap(({ name, blocks }) =>
  VARIANTS.map((variant) => {
    const decoder = new HeaderDecoder({ tableBytesMax: TABLE_BYTES, listBytesMax: LIST_BYTES_MAX, ...variant });
    decoder.decode(FIRST, 0, FIRST.length);
    return { name, blocks, variant, decoder, ns: [] as number[] };
  }),
);

let fields = 0;
for (let round = 0; round < ROUNDS; round++) {
  for (const { blocks, variant, decoder, ns } of runs) {
    const start = process.hrtime.bigint();
    for (let i = 0, at = 0; i < BLOCKS_PER_ROUND; i++) {
      const block = blocks[at]!;
      at = at + 1 === blocks.length ? 0 : at + 1;
      const list = decoder.decode(block, 0, block.length);
      fields += list.fields.length;
      if (variant.checked && requestOf(list) instanceof Error) throw new Error("a request was refused");
    }
    ns.push(Number(process.hrtime.bigint() - start) / BLOCKS_PER_ROUND);
  }
}

const width = Math.max(...CASES.map(({ name }) => name.length));
console.log(
  `${"ns a block".padEnd(width)} ${"bytes".padStart(8)} ${VARIANTS.map(({ name }) => name.padStart(8)).join(" ")}`,
);
for (const { name, blocks } of CASES) {
  const figures = runs.filter((run) => run.name === name).map(({ ns }) => median(ns).toFixed(0).padStart(8));
  console.log(`${name.padEnd(width)} ${String(blocks.at(-1)!.length).padStart(8)} ${figures.join(" ")}`);
}
if (fields === 0) throw new Error("nothing was decoded");
