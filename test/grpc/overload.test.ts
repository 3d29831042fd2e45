// What clients are told when there is no room: RESOURCE_EXHAUSTED with the delay after which to come back, on a unary call as
// its status and on a stream, which goes on, as Refused.

import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code } from "../../src/errors.ts";
import { PublishRequestSchema, PublishResponseSchema } from "../../src/gen/sluice/v1/ingest_pb.js";
import { MemoryFileSystem } from "../spool/support/memory-file-system.ts";
import { type InProcessService, startInProcess } from "../support/in-process.ts";
import { type PlainStatus, plainStatus, PUBLISH, RawClient, type RawStream } from "../support/raw-client.ts";

const KIB = 1024;

function request(sequence: bigint, bytes: number): Uint8Array {
  const value = Buffer.alloc(bytes, String(sequence));
  return toBinary(PublishRequestSchema, create(PublishRequestSchema, { sequence, topic: "t", events: [{ value }] }));
}

async function refusedUnary(client: RawClient, bytes: number): Promise<PlainStatus> {
  const status = await client.unary(PUBLISH, request(1n, bytes));
  assert.ok(!Buffer.isBuffer(status), "it is refused");
  return status;
}

async function refusedOnStream(stream: RawStream, sequence: bigint, bytes: number): Promise<PlainStatus> {
  stream.send(request(sequence, bytes));
  const answer = await stream.next();
  assert.ok(answer.case === "refused" && answer.value.status !== undefined, `${answer.case} ${sequence}`);
  assert.equal(answer.value.sequence, sequence);
  return plainStatus(answer.value.status);
}

function assertExhausted({ code, message, retryDelayMs }: PlainStatus, what: RegExp): number {
  assert.deepEqual([code, what.test(message)], [Code.RESOURCE_EXHAUSTED, true], message);
  assert.ok(retryDelayMs !== undefined && retryDelayMs >= 100 && retryDelayMs <= 30_000, String(retryDelayMs));
  return retryDelayMs;
}

/** Events that were taken in any way. */
function received({ service }: InProcessService): number {
  return service.metrics.eventsReceived.snapshot().series.reduce((sum, [, events]) => sum + Number(events), 0);
}

test("while the disk does not answer, the delay grows; when it does, batches go on", { timeout: 30_000 }, async () => {
  const fs = new MemoryFileSystem();
  const env = {
    ADMITTED_BYTES_MAX: "64KiB",
    GRPC_MESSAGE_BYTES_MAX: "64KiB",
    ADMISSION_TIMEOUT: "200ms",
    DATA_DIR: "/data",
  };
  await using running = await startInProcess(env, { fs, random: () => 0.5 });
  using client = new RawClient(running.address);
  const stuck = Promise.withResolvers<void>();
  fs.before = (operation) => (operation === "sync" ? stuck.promise : undefined);
  const first = client.unary(PUBLISH, request(1n, 50 * KIB));
  await setTimeout(50);
  const early = assertExhausted(await refusedUnary(client, 40 * KIB), /^no room: \d+ bytes of batches wait/);
  await setTimeout(500);
  const stream = client.publishStream();
  const late = assertExhausted(await refusedOnStream(stream, 7n, 40 * KIB), /^no room: \d+ bytes of batches wait/);
  assert.ok(late > early, `${early} ms, then ${late} ms`);
  assert.equal(received(running), 1, "a refused batch leaves no trace");
  stuck.resolve();
  const answer = await first;
  assert.ok(Buffer.isBuffer(answer));
  assert.equal(fromBinary(PublishResponseSchema, answer).stored, 1);
  stream.send(request(8n, 40 * KIB));
  const published = await stream.next();
  assert.ok(published.case === "published" && published.value.stored === 1);
  stream.halfClose();
  assert.equal((await stream.ended).code, Code.OK);
});

test("a batch that finds the spool full is refused whole, and the stream goes on", { timeout: 30_000 }, async () => {
  await using running = await startInProcess({ SPOOL_BYTES_MAX: "1MiB", SPOOL_SEGMENT_BYTES: "64KiB" });
  using client = new RawClient(running.address);
  const stream = client.publishStream();
  for (let batch = 1n; batch <= 5n; batch++) {
    stream.send(request(batch, 200 * KIB));
    assert.equal((await stream.next()).case, "published");
  }
  const spoolIsFull = /^the spool is full .*nothing of the batch is stored$/;
  assertExhausted(await refusedOnStream(stream, 6n, 200 * KIB), spoolIsFull);
  assertExhausted(await refusedUnary(client, 200 * KIB), spoolIsFull);
  assert.equal(received(running), 5);
  stream.send(request(7n, KIB));
  assert.equal((await stream.next()).case, "published", "there is room for a small one");
  assert.match(running.service.health().problems.join(), /is full/);
});

test("a batch that finds the disk full is refused whole", { timeout: 30_000 }, async () => {
  const fs = new MemoryFileSystem();
  await using running = await startInProcess({ DATA_DIR: "/data" }, { fs });
  using client = new RawClient(running.address);
  fs.capacity = 100 * KIB;
  // The one that finds out was begun; its events fail.
  const answer = await client.unary(PUBLISH, request(1n, 200 * KIB));
  assert.ok(Buffer.isBuffer(answer));
  const [failure] = fromBinary(PublishResponseSchema, answer).failures;
  assert.equal(failure?.retryable, true);
  assertExhausted(await refusedUnary(client, KIB), /^the disk that holds the spool .* is full/);
  assert.equal(received(running), 1);
});
