// What tracing costs a request: `node bench/micro/tracing.ts`. Nanoseconds of CPU, with what the supervisor does for it (what
// comes from the channel is read, encoded and exported here, too); without sockets to clients and without Kafka, which cost
// the same either way.
//
// The same requests go through a pipeline without tracing, through one that records none of them, and through one that records
// all, in turns, so that what else the machine does hits all three alike; the median of the rounds' differences is told. The
// collector is a process of its own. `--events 100`.

import "./worker-v8.ts";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { deserialize, serialize } from "node:v8";
import { create, toBinary } from "@bufbuild/protobuf";
import { systemClock } from "../../src/clock.ts";
import { PublishRequestSchema } from "../../src/gen/sluice/v1/ingest_pb.js";
import type { BatchSettler, SealedBatch } from "../../src/ingest/producer.ts";
import { Session } from "../../src/ingest/session.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import type { Tracing } from "../../src/telemetry/tracing.ts";
import { OtlpExport } from "../../src/tracing/export/otlp.ts";
import type { SpanData } from "../../src/tracing/span-data.ts";
import { WorkerTracing } from "../../src/tracing/worker-tracing.ts";
import { median } from "../statistics.ts";
import { benchPipeline } from "./pipeline.ts";

const { values } = parseArgs({ options: { events: { type: "string", default: "1" } } });
const EVENTS = Number(values.events);

const ROUNDS = 15;
const WARM_ROUNDS = 3;
const REQUESTS_PER_ROUND = Math.ceil(40_000 / Math.sqrt(EVENTS));
/** Recording all of them as fast as they come would only fill the exporter's queue. */
const RECORDED_PER_ROUND = 2_000;
const EXPORT_MS = 1_500;

const COLLECTOR = `
require("node:http").createServer((request, response) => {
  request.resume().on("end", () => response.writeHead(200).end());
}).listen(0, "127.0.0.1", function () { console.log(this.address().port); });
`;

const call = { peer: "127.0.0.1:53124", traceparent: undefined, header: () => undefined };

const request = Buffer.from(
  toBinary(
    PublishRequestSchema,
    create(PublishRequestSchema, {
      topic: "bench",
      durability: 1,
      events: Array.from({ length: EVENTS }, (_, i) => ({
        key: Buffer.from(`key-${i}`),
        value: Buffer.alloc(200, 120),
      })),
    }),
  ),
);

/** @returns publishes so many requests, each of which is settled at the end of its turn. */
function publisher(tracing: Tracing | undefined): (count: number) => Promise<void> {
  const sent: { readonly batch: SealedBatch; readonly settler: BatchSettler }[] = [];
  const sink = {
    send: (batch: SealedBatch, settler: BatchSettler): void => {
      batch.sentAtMs = performance.now();
      batch.sentTo = "127.0.0.1:9092";
      sent.push({ batch, settler });
    },
  };
  const metrics = createMetrics();
  const pipeline = benchPipeline(sink, metrics, tracing);
  const responder = {
    trace: (receivedAtMs: number) => tracing?.request("/sluice.v1.EventIngest/Publish", call, receivedAtMs),
    answered: ({ trace, stored, failures }: AnsweredBatch) =>
      trace?.span?.answered(performance.now(), stored, failures),
    refused: (_: unknown, error: Error) => {
      throw error;
    },
  };
  const session = new Session(
    pipeline,
    responder,
    { pause: () => {}, resume: () => {} },
    systemClock,
    metrics.publishBytes.with(),
  );
  return async (count) => {
    for (let i = 1; i <= count; i++) {
      session.publish(request);
      if (i % 32 !== 0 && i < count) continue;
      // Sealed at the end of this turn, settled in the next.
      await new Promise((resolve) => setImmediate(resolve));
      while (sent.length > 0) {
        const { batch, settler } = sent.shift()!;
        settler.stored(batch, 0, batch.count, 0);
      }
    }
  };
}

type AnsweredBatch = Parameters<ConstructorParameters<typeof Session>[1]["answered"]>[0];

const collector = spawn(process.execPath, ["-e", COLLECTOR], { stdio: ["ignore", "pipe", "inherit"] });
const [port] = (await once(createInterface(collector.stdout), "line")) as [string];

const dependencies = { log: silentLogger(), metrics: createMetrics(), clock: systemClock };
const exported = new OtlpExport(dependencies, {
  endpoint: `http://127.0.0.1:${port}`,
  tracesEndpoint: undefined,
  headers: undefined,
  serviceName: undefined,
  resourceAttributes: undefined,
});

function workerTracing(sampleRatio: number): WorkerTracing {
  const sendSpans = (spans: readonly SpanData[]): Promise<void> => {
    exported.take({ worker: "0", pid: process.pid }, deserialize(serialize(spans)) as readonly SpanData[]);
    return Promise.resolve();
  };
  return new WorkerTracing(
    { ...dependencies, random: Math.random, sendSpans },
    { sampleRatio, sampleRateMax: 1e9, joinActive: false },
  );
}

async function nanoseconds(count: number, work: (count: number) => Promise<void>, waitMs: number): Promise<number> {
  const before = process.cpuUsage();
  await work(count);
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1_000) / count;
}

const off = publisher(undefined);
const none = publisher(workerTracing(0).tracer);
const all = publisher(workerTracing(1).tracer);
const rounds: { readonly off: number; readonly none: number; readonly all: number }[] = [];
for (let i = 0; i < WARM_ROUNDS + ROUNDS; i++) {
  const measured = {
    off: await nanoseconds(REQUESTS_PER_ROUND, off, 0),
    none: await nanoseconds(REQUESTS_PER_ROUND, none, 0),
    all: await nanoseconds(RECORDED_PER_ROUND, all, EXPORT_MS),
  };
  if (i >= WARM_ROUNDS) rounds.push(measured);
}
collector.kill();
const figure = (ns: number): string => ns.toFixed(0).padStart(8);
console.log(`${figure(median(rounds.map((round) => round.off)))} ns a request without tracing`);
console.log(`${figure(median(rounds.map(({ off, none }) => none - off)))} ns more with tracing, if it is not recorded`);
console.log(`${figure(median(rounds.map(({ off, all }) => all - off)))} ns more if it is recorded`);
process.exit(0);
