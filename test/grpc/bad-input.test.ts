// What is wrong with a request is told exactly: which field, which byte, what to do. Each case on a unary call, where the whole
// batch is a status, and on a stream, where the same status comes as Refused and the stream goes on.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code } from "../../src/errors.ts";
import {
  Durability,
  PublishRequestSchema,
  type PublishResponse,
  PublishResponseSchema,
  Reason,
} from "../../src/gen/sluice/v1/ingest_pb.js";
import { type InProcessService, startInProcess } from "../support/in-process.ts";
import { type PlainStatus, plainStatus, PUBLISH, RawClient } from "../support/raw-client.ts";

const text = (value: string): Uint8Array => Buffer.from(value);

function request(init: Parameters<typeof create<typeof PublishRequestSchema>>[1]): Uint8Array {
  return toBinary(PublishRequestSchema, create(PublishRequestSchema, init));
}

/** A good request with sequence 7 and one event, to put wrong bytes behind. */
const GOOD = request({ sequence: 7n, topic: "t", events: [{ value: text("v") }] });
const withBytes = (...bytes: number[]): Uint8Array => Buffer.concat([GOOD, Buffer.from(bytes)]);

function wrong(code: number, field: string, message: string): PlainStatus {
  return { code, message, violations: [{ field, description: message }], retryDelayMs: undefined };
}

const invalid = (field: string, problem: string): PlainStatus =>
  wrong(Code.INVALID_ARGUMENT, field, `${field} ${problem}`);

const at = GOOD.length;

describe("a batch that is not a valid message is refused as a whole", () => {
  let running: InProcessService;
  let client: RawClient;
  before(async () => {
    running = await startInProcess();
    client = new RawClient(running.address);
  });
  after(async () => {
    client[Symbol.dispose]();
    await running[Symbol.asyncDispose]();
  });

  const cases: readonly (readonly [name: string, bytes: Uint8Array, status: PlainStatus])[] = [
    [
      "a truncated event",
      withBytes(0x22, 0x05, 0x12),
      invalid("events[1]", `is cut short: it says 5 bytes, 1 are left (byte ${at + 1})`),
    ],
    ["a truncated varint", withBytes(0x08, 0x80), invalid("sequence", `is cut short inside a varint (byte ${at + 2})`)],
    ["trailing bytes", withBytes(0x00, 0x01), invalid("PublishRequest", `holds a field with number 0 (byte ${at})`)],
    [
      "a value that runs past its event",
      withBytes(0x22, 0x03, 0x12, 0x05, 0x61),
      invalid("events[1].value", `is cut short: it says 5 bytes, 1 are left (byte ${at + 3})`),
    ],
    [
      "a topic that is a varint",
      withBytes(0x10, 0x01),
      invalid("topic", `has the wrong wire type (varint) (byte ${at})`),
    ],
    [
      "a key that is a 32-bit number",
      withBytes(0x22, 0x05, 0x0d, 0, 0, 0, 0),
      invalid("events[1].key", `has the wrong wire type (32-bit) (byte ${at + 2})`),
    ],
    [
      "a group",
      withBytes(0x7b, 0x7c),
      invalid("PublishRequest.15", `has a wire type that is not supported (group) (byte ${at})`),
    ],
    [
      "an over-long varint",
      withBytes(0x08, ...Array<number>(10).fill(0x80), 0x01),
      invalid("sequence", `is an over-long varint (more than 64 bits) (byte ${at + 10})`),
    ],
    [
      "a topic that is not UTF-8",
      withBytes(0x12, 0x02, 0xc3, 0x28),
      invalid("topic", `is not valid UTF-8 (byte ${at + 2})`),
    ],
    [
      "a header name that is not UTF-8",
      withBytes(0x22, 0x05, 0x1a, 0x03, 0x0a, 0x01, 0xff),
      invalid("events[1].headers[0].key", `is not valid UTF-8 (byte ${at + 6})`),
    ],
    [
      "an unknown durability",
      withBytes(0x18, 0x09),
      wrong(
        Code.INVALID_ARGUMENT,
        "durability",
        "durability 9 is not known: use 0 (the server's default), 1 (REPLICATED) or 2 (PERSISTED)",
      ),
    ],
    [
      "REPLICATED without brokers",
      request({ sequence: 7n, topic: "t", durability: Durability.REPLICATED, events: [{}] }),
      wrong(
        Code.FAILED_PRECONDITION,
        "durability",
        "durability REPLICATED needs Kafka: start the service with KAFKA_BROKERS=host:port, or ask for PERSISTED",
      ),
    ],
  ];

  for (const [name, bytes, status] of cases) {
    test(`${name}, unary`, async () => {
      assert.deepEqual(await client.unary(PUBLISH, bytes), status);
    });

    test(`${name}, on a stream that goes on`, async () => {
      const stream = client.publishStream();
      stream.send(bytes);
      const refused = await stream.next();
      assert.equal(refused.case, "refused");
      assert.ok(refused.value.status !== undefined);
      assert.deepEqual(plainStatus(refused.value.status), status);
      stream.send(GOOD);
      const answer = await stream.next();
      assert.equal(answer.case, "published");
      assert.equal(answer.value.stored, 1);
      stream.halfClose();
      assert.equal((await stream.ended).code, Code.OK);
    });
  }

  test("the sequence of a refused batch comes back", async () => {
    const stream = client.publishStream();
    stream.send(withBytes(0x12, 0x02, 0xc3, 0x28));
    const refused = await stream.next();
    assert.equal(refused.case === "refused" && refused.value.sequence, 7n);
    stream.cancel();
    await stream.ended;
  });

  test("a message over the limit ends the call, and says how large it may be", async () => {
    const status = await client.unary(PUBLISH, Buffer.alloc(4 * 1024 * 1024 + 1));
    assert.deepEqual(status, {
      code: Code.RESOURCE_EXHAUSTED,
      message:
        "the message has 4194305 bytes, and the limit is 4194304 (GRPC_MESSAGE_BYTES_MAX): send smaller batches, or raise it",
      violations: [],
      retryDelayMs: undefined,
    });
  });

  async function publish(init: Parameters<typeof request>[0]): Promise<PublishResponse> {
    const answer = await client.unary(PUBLISH, request(init));
    assert.ok(Buffer.isBuffer(answer), JSON.stringify(answer));
    return fromBinary(PublishResponseSchema, answer);
  }

  test("a batch with no events is answered with stored = 0", async () => {
    const answer = await publish({ sequence: 3n, topic: "t" });
    assert.deepEqual(
      [answer.sequence, answer.stored, answer.failures.length, answer.durability],
      [3n, 0, 0, Durability.PERSISTED],
    );
  });

  test("an event that cannot be stored fails alone, and its neighbours are stored", async () => {
    const good = { value: text("good") };
    const answer = await publish({
      topic: "t",
      events: [
        good,
        { ...good, topic: "no such/topic" },
        { ...good, topic: "" },
        { ...good, partition: 1_000 },
        { ...good, partition: -1 },
        { value: Buffer.alloc(1_048_588) },
        { ...good, timestamp: { seconds: -1n, nanos: 0 } },
        { ...good, timestamp: { seconds: 253_402_300_800n, nanos: 0 } },
        { ...good, timestamp: { seconds: 0n, nanos: 1_000_000_000 } },
        good,
      ],
    });
    const timestamp =
      "timestamp is out of range: seconds must lie between 0 (1970) and 253402300799 (9999), nanos between 0 and 999999999";
    assert.equal(answer.stored, 2);
    assert.deepEqual(
      answer.failures.map(({ index, reason, message, retryable }) => ({ index, reason, message, retryable })),
      [
        {
          index: 1,
          reason: Reason.INVALID_TOPIC,
          message: '"no such/topic" is not a legal topic name: use 1 to 249 of [a-zA-Z0-9._-], and not "." or ".."',
          retryable: false,
        },
        {
          index: 2,
          reason: Reason.INVALID_TOPIC,
          message: "the event has no topic: set PublishRequest.topic or Event.topic",
          retryable: false,
        },
        {
          index: 3,
          reason: Reason.INVALID_PARTITION,
          message: "partition 1000 does not exist: without brokers partitions 0 to 999 can be named",
          retryable: false,
        },
        {
          index: 4,
          reason: Reason.INVALID_PARTITION,
          message: "partition -1 does not exist: without brokers partitions 0 to 999 can be named",
          retryable: false,
        },
        {
          index: 5,
          reason: Reason.TOO_LARGE,
          message: "the event takes 1048662 bytes as a record batch, topic t takes 1048588 (max.message.bytes)",
          retryable: false,
        },
        { index: 6, reason: Reason.INVALID_TIMESTAMP, message: timestamp, retryable: false },
        { index: 7, reason: Reason.INVALID_TIMESTAMP, message: timestamp, retryable: false },
        { index: 8, reason: Reason.INVALID_TIMESTAMP, message: timestamp, retryable: false },
      ],
    );
  });
});
