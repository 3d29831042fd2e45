// What it costs to take a request's bytes to sealed record batches: `node bench/micro/publish.ts`. Nanoseconds of CPU an event,
// without sockets and without Kafka.
//
// As much memory is in use as under load: requests lie in buffers that are used again in turns, as messages do that were
// put together from frames, and record batches are settled late, when several of each partition are under way. With
// everything in the processor's nearest cache the copies would seem to cost nothing. `--value 1024 --events 100`.

import "./worker-v8.ts";
import { parseArgs } from "node:util";
import { systemClock } from "../../src/clock.ts";
import type { BatchSettler, SealedBatch } from "../../src/ingest/producer.ts";
import { Session } from "../../src/ingest/session.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { stampProducer } from "../../src/wire/record-batch.ts";
import { create, toBinary } from "@bufbuild/protobuf";
import { PublishRequestSchema } from "../../src/gen/sluice/v1/ingest_pb.js";
import { median } from "../statistics.ts";
import { benchPipeline } from "./pipeline.ts";

const { values } = parseArgs({
  options: { value: { type: "string", default: "1024" }, events: { type: "string", default: "100" } },
});
const VALUE_BYTES = Number(values.value);
const EVENTS = Number(values.events);

const REQUESTS = 64;
const UNDER_WAY_BYTES = 6 << 20;
const ROUNDS = 9;
const EVENTS_PER_ROUND = 1_000_000;

let stampNs = 0n;
const underWay: SealedBatch[] = [];
let underWayBytes = 0;
let settler: BatchSettler | undefined;
let sequence = 0;
const sink = {
  send(batch: SealedBatch, to: BatchSettler): void {
    settler = to;
    const before = process.hrtime.bigint();
    stampProducer(batch.bytes, 1n, 0, sequence++ & 0xffff);
    stampNs += process.hrtime.bigint() - before;
    underWay.push(batch);
    underWayBytes += batch.bytes.length;
  },
};

const metrics = createMetrics();
const pipeline = benchPipeline(sink, metrics);
const session = new Session(
  pipeline,
  {
    answered: () => {},
    refused: (_, error) => {
      throw error;
    },
  },
  { pause: () => {}, resume: () => {} },
  systemClock,
  metrics.publishBytes.with(),
);

let key = 0;
const requests = Array.from({ length: REQUESTS }, (_, i) => {
  const message = create(PublishRequestSchema, {
    sequence: BigInt(i),
    topic: "bench",
    durability: 1,
    events: Array.from({ length: EVENTS }, () => ({
      key: Buffer.from(`key-${(key = (key * 7919 + 13) % 10_000)}`),
      value: Buffer.alloc(VALUE_BYTES, 120),
      timestamp: { seconds: BigInt(Math.floor(Date.now() / 1000)), nanos: (key * 99_991) % 1_000_000_000 },
    })),
  });
  return Buffer.from(toBinary(PublishRequestSchema, message));
});

function settle(bytesMax: number): void {
  while (underWayBytes > bytesMax) {
    const batch = underWay.shift()!;
    underWayBytes -= batch.bytes.length;
    settler!.stored(batch, 0, batch.count, 0);
  }
}

async function round(): Promise<{ all: number; stamp: number }> {
  stampNs = 0n;
  const before = process.cpuUsage();
  const count = Math.ceil(EVENTS_PER_ROUND / EVENTS);
  for (let i = 0; i < count; i++) {
    session.publish(requests[i % REQUESTS]!);
    settle(UNDER_WAY_BYTES);
    // A turn of the event loop brings some requests.
    if (i % 4 === 3) await new Promise((resolve) => setImmediate(resolve));
  }
  const used = process.cpuUsage(before);
  const events = count * EVENTS;
  return { all: ((used.user + used.system) * 1_000) / events, stamp: Number(stampNs) / events };
}

const rounds: { all: number; stamp: number }[] = [];
for (let i = 0; i < ROUNDS + 3; i++) {
  const measured = await round();
  if (i >= 3) rounds.push(measured);
}
const all = median(rounds.map((each) => each.all));
const stamp = median(rounds.map((each) => each.stamp));
console.log(`${all.toFixed(0)} ns of CPU an event, of which ${stamp.toFixed(0)} ns in the checksum`);
process.exit(0);
