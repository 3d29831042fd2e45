// The Produce API, encoded and decoded here, against @platformatic/kafka's encoder and parser.

import assert from "node:assert/strict";
import test from "node:test";

import {
  type Connection,
  createRecordsBatch,
  type MessageRecord,
  NumericMap,
  produceV10,
  produceV11,
  produceV9,
  Reader,
  ResponseError,
  type Writer,
} from "@platformatic/kafka";
import {
  decodeProduceResponse,
  encodeProduceRequest,
  indexOfResult,
  type ProduceItem,
  RequestBuffer,
} from "../../src/kafka/direct/produce.ts";
import { ByteWriter } from "../support/fake-broker/writer.ts";
import { type Chance, chance } from "./support/random.ts";

const LIBRARY = { 9: produceV9, 10: produceV10, 11: produceV11 } as const;
type Version = keyof typeof LIBRARY;
const VERSIONS = [9, 10, 11] as const;
const RUNS = 200;

type Message = MessageRecord & { topic: string; partition: number };
interface LibraryResponse {
  readonly responses: readonly {
    readonly name: string;
    readonly partitionResponses: readonly {
      readonly index: number;
      readonly errorCode: number;
      readonly baseOffset: bigint;
      readonly recordErrors: readonly { readonly batchIndex: number; readonly batchIndexErrorMessage: string | null }[];
      readonly errorMessage: string | null;
      readonly currentLeader?: { readonly leaderId: number; readonly leaderEpoch: number };
    }[];
  }[];
  readonly throttleTimeMs: number;
  readonly nodeEndpoints?: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[];
}

/** What the library would send, and how it would read the answer. */
function library(version: Version, timeoutMs: number, messages: Message[]) {
  let captured: { body: Buffer; parse: (reader: Reader) => LibraryResponse } | undefined;
  const connection = {
    send: (
      apiKey: number,
      apiVersion: number,
      createRequest: () => Writer,
      parseResponse: (correlationId: number, apiKey: number, apiVersion: number, reader: Reader) => LibraryResponse,
    ) => {
      captured = {
        body: createRequest().buffer,
        parse: (reader) => {
          try {
            return parseResponse(0, apiKey, apiVersion, reader);
          } catch (thrown) {
            if (thrown instanceof ResponseError) return thrown["response"] as LibraryResponse;
            throw thrown;
          }
        },
      };
    },
  };
  LIBRARY[version].api(connection as unknown as Connection, -1, timeoutMs, messages, options(messages), () => {});
  return captured!;
}

function options(messages: readonly Message[]) {
  const sequences = new NumericMap(messages.map(({ topic, partition }) => [`${topic}:${partition}`, 7] as const));
  return { producerId: 12n, producerEpoch: 3, sequences };
}

function text(dice: Chance, lengthMax: number): string {
  const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
  return Array.from({ length: 1 + dice.below(lengthMax) }, () => alphabet[dice.below(alphabet.length)]).join("");
}

function randomMessages(dice: Chance): Message[] {
  // In the library's order: it sorts partitions, and topics whose names are numbers.
  const names = Array.from({ length: 1 + dice.below(4) }, () => `t${text(dice, dice.hit(0.2) ? 248 : 12)}`);
  const topics = [...new Set(names)].sort();
  return topics.flatMap((topic) => {
    const partitions = new Set(Array.from({ length: 1 + dice.below(5) }, () => dice.below(dice.hit(0.5) ? 10 : 1e6)));
    return [...partitions]
      .sort((a, b) => a - b)
      .flatMap((partition) =>
        Array.from({ length: 1 + dice.below(4) }, () => ({
          topic,
          partition,
          timestamp: 1_700_000_000_000n,
          key: Buffer.from(text(dice, 10)),
          value: Buffer.alloc(dice.hit(0.2) ? 5_000 : dice.below(300), 0x61),
        })),
      );
  });
}

function itemsOf(messages: readonly Message[]): ProduceItem[] {
  const groups = new Map<string, Message[]>();
  for (const message of messages) {
    const key = `${message.topic}:${message.partition}`;
    groups.set(key, [...(groups.get(key) ?? []), message]);
  }
  return [...groups.values()].map((group) => ({
    topic: group[0]!.topic,
    partition: group[0]!.partition,
    bytes: createRecordsBatch(group, options(messages)).buffer,
  }));
}

/** size, api key, api version, correlation id, client id, tags */
function readHeader(request: Buffer) {
  const clientIdEnd = 14 + request.readInt16BE(12);
  return {
    size: request.readInt32BE(0),
    apiKey: request.readInt16BE(4),
    apiVersion: request.readInt16BE(6),
    correlationId: request.readInt32BE(8),
    clientId: request.toString("utf8", 14, clientIdEnd),
    tags: request[clientIdEnd],
    body: request.subarray(clientIdEnd + 1),
  };
}

for (const version of VERSIONS) {
  test(`Produce v${version} requests are byte for byte the library's`, () => {
    const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
    for (let run = 0; run < RUNS; run++) {
      const dice = chance(seed + run);
      const messages = randomMessages(dice);
      const timeoutMs = dice.below(60_000);
      const correlationId = dice.below(2 ** 31);
      const clientId = text(dice, 20);
      const pieces = encodeProduceRequest(
        version,
        correlationId,
        clientId,
        timeoutMs,
        itemsOf(messages),
        new RequestBuffer(),
      );
      const { body, ...header } = readHeader(Buffer.concat(pieces));
      const size = pieces.reduce((sum, piece) => sum + piece.length, 0) - 4;
      assert.deepEqual(header, { size, apiKey: 0, apiVersion: version, correlationId, clientId, tags: 0 });
      assert.deepEqual(body, Buffer.from(library(version, timeoutMs, messages).body), `SEED=${seed + run}`);
    }
  });
}

test("large batches are pieces of their own, as they lie; small ones are copied between their neighbours", () => {
  const [small, large] = [Buffer.alloc(100, 1), Buffer.alloc(5_000, 2)];
  const items = [small, large, small, small, large].map((bytes, partition) => ({ topic: "t", partition, bytes }));
  const pieces = encodeProduceRequest(11, 1, "c", 1_000, items, new RequestBuffer());
  assert.equal(pieces.length, 5);
  assert.equal(pieces[1], large);
  assert.equal(pieces[3], large);
});

test("a buffer takes one request after the other, however large", () => {
  const buffer = new RequestBuffer();
  for (const count of [3, 100, 1, 2]) {
    const items = Array.from({ length: count }, (_, partition) => ({
      topic: "t",
      partition,
      bytes: Buffer.alloc(partition % 10 === 9 ? 5_000 : 2_000, partition),
    }));
    const pieces = encodeProduceRequest(11, count, "c", 1_000, items, buffer);
    const alone = encodeProduceRequest(11, count, "c", 1_000, items, new RequestBuffer());
    assert.deepEqual(Buffer.concat(pieces), Buffer.concat(alone));
    assert.equal(readHeader(Buffer.concat(pieces)).size, Buffer.concat(pieces).length - 4);
  }
});

// --- Responses ----------------------------------------------------------------------------------------------------------

/** Tags that nobody knows, before or behind those that somebody does. */
function tags(
  dice: Chance,
  writer: ByteWriter,
  ...known: readonly (readonly [tag: number, content: Buffer])[]
): ByteWriter {
  const unknown = Array.from(
    { length: dice.hit(0.3) ? dice.below(3) : 0 },
    (_, index) => [known.length + 1 + index, Buffer.alloc(dice.below(200), 0xff)] as const,
  );
  return writer.tags(...known, ...unknown);
}

function randomResponse(dice: Chance, version: Version): Buffer {
  const message = (): string | null => (dice.hit(0.5) ? null : text(dice, 200));
  const writer = new ByteWriter(true);
  tags(dice, writer);
  const topics = [...new Set(Array.from({ length: dice.below(4) }, () => text(dice, dice.hit(0.1) ? 249 : 12)))];
  writer.array(topics, (topic) => {
    const partitions = Array.from({ length: dice.below(6) }, (_, index) => index * 100_000);
    writer.string(topic).array(partitions, (partition) => {
      const offset = dice.hit(0.3) ? -1n : BigInt(dice.below(2 ** 31)) * 2n ** BigInt(dice.below(21));
      writer
        .int32(partition)
        .int16(dice.pick([0, 0, 3, 6, 10, 45, 87, -1]))
        .int64(offset)
        .int64(-1n)
        .int64(0n);
      writer.array(
        Array.from({ length: dice.hit(0.3) ? dice.below(4) : 0 }, () => dice.below(1_000)),
        (index) => tags(dice, writer.int32(index).string(message())),
      );
      writer.string(message());
      const leader = tags(dice, new ByteWriter(true).int32(dice.below(5) - 1).int32(dice.below(100)));
      if (version >= 10 && dice.hit(0.4)) tags(dice, writer, [0, leader.bytes()]);
      else tags(dice, writer);
    });
    tags(dice, writer);
  });
  writer.int32(dice.hit(0.3) ? dice.below(10_000) : 0);
  if (version >= 10 && dice.hit(0.4)) {
    const endpoints = new ByteWriter(true);
    endpoints.array(
      Array.from({ length: dice.below(4) }, (_, nodeId) => nodeId),
      (nodeId) =>
        tags(dice, endpoints.int32(nodeId).string(text(dice, 30)).int32(dice.below(65_536)).string(message())),
    );
    tags(dice, writer, [0, endpoints.bytes()]);
  } else {
    tags(dice, writer);
  }
  return Buffer.from(writer.bytes());
}

/** The library's answer in our words. */
function translate({ responses, throttleTimeMs, nodeEndpoints }: LibraryResponse) {
  return {
    results: responses.flatMap(({ name, partitionResponses }) =>
      partitionResponses.map(({ index, errorCode, baseOffset, errorMessage, recordErrors, currentLeader }) => ({
        topic: name,
        partition: index,
        errorCode,
        baseOffset: Number(baseOffset),
        errorMessage: errorMessage ?? undefined,
        recordErrors: recordErrors.map(({ batchIndex, batchIndexErrorMessage }) => ({
          index: batchIndex,
          message: batchIndexErrorMessage ?? undefined,
        })),
        currentLeader:
          currentLeader === undefined || currentLeader.leaderId < 0
            ? undefined
            : { nodeId: currentLeader.leaderId, epoch: currentLeader.leaderEpoch },
      })),
    ),
    throttleMs: throttleTimeMs,
    nodeEndpoints: (nodeEndpoints ?? []).map(({ nodeId, host, port }) => ({ nodeId, host, port })),
  };
}

for (const version of VERSIONS) {
  test(`Produce v${version} responses are read as the library reads them`, () => {
    const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
    const { parse } = library(version, 0, []);
    for (let run = 0; run < RUNS; run++) {
      const bytes = randomResponse(chance(seed + run), version);
      const reader = Reader.from(Buffer.from(bytes));
      reader.readTaggedFields();
      assert.deepEqual(decodeProduceResponse(bytes), translate(parse(reader)), `SEED=${seed + run}`);
    }
  });
}

test("results are found in whatever order a broker tells them", () => {
  for (let seed = 0; seed < 100; seed++) {
    const dice = chance(seed);
    const items = ["a", "b"].flatMap((topic) => [0, 1, 2].map((partition) => ({ topic, partition })));
    const results = items.filter(() => dice.hit(0.9));
    for (let i = results.length - 1; i > 0; i--) {
      const other = dice.below(i + 1);
      [results[i], results[other]] = [results[other]!, results[i]!];
    }
    let at = -1;
    for (const item of items) {
      at = indexOfResult(results, item, at + 1);
      assert.equal(at, results.indexOf(item), `seed ${seed}`);
    }
  }
});

test("a response that is cut short anywhere is a RangeError, and nothing else", () => {
  for (let seed = 0; seed < 50; seed++) {
    const bytes = randomResponse(chance(seed), 11);
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => decodeProduceResponse(bytes.subarray(0, length)), RangeError, `${length} of seed ${seed}`);
    }
  }
});

test("bytes by chance are read, or a RangeError", () => {
  for (let seed = 0; seed < 5_000; seed++) {
    const dice = chance(seed);
    const bytes = Buffer.from(Array.from({ length: dice.below(60) }, () => dice.below(dice.hit(0.5) ? 256 : 4)));
    try {
      decodeProduceResponse(bytes);
    } catch (thrown) {
      assert.ok(thrown instanceof RangeError, String(thrown));
    }
  }
});
