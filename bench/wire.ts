// `node bench/wire.ts`: how many events a second of one core the bytes of requests become records, and where the time goes.
//
// The way of an event without sockets, in four stages, each with all of those before it: reading the request's bytes, writing
// the records into a pooled buffer, the checksum of the record batch, and the whole pipeline around them (topics, partitions,
// accumulators, settling, answers). Stages are measured in turns, and the median of the rounds counts, so that a
// noisy neighbour falls on all of them alike. Time is the process's CPU time, garbage collection included.
//
//   --events N   of a request (100)     --bytes N   of an event's value (200)     --headers N   of an event (0)
//   --seconds N  of each stage and round (0.5)     --rounds N   (9)

import { parseArgs } from "node:util";
import { systemClock } from "../src/clock.ts";
import type { IngestError } from "../src/errors.ts";
import { Batch, Durability, type Responder } from "../src/ingest/batch.ts";
import { Pipeline } from "../src/ingest/pipeline.ts";
import type { BatchSettler, SealedBatch, TopicInfo } from "../src/ingest/producer.ts";
import { createMetrics } from "../src/telemetry/metrics.ts";
import { EventIndex, NO_TIMESTAMP } from "../src/wire/publish-request.ts";
import { encodePublishResponse } from "../src/wire/publish-response.ts";
import { RECORD_BATCH_HEADER_BYTES, stampCrc, writeBatchHeader } from "../src/wire/record-batch.ts";
import { sizeOfRecord, sizeOfRecordBody, writeRecord } from "../src/wire/record.ts";
import { prebuild } from "./load/requests.ts";
import { formatEnvironment, environment } from "./report.ts";
import { median } from "./statistics.ts";

const { values } = parseArgs({
  options: {
    events: { type: "string", default: "100" },
    bytes: { type: "string", default: "200" },
    headers: { type: "string", default: "0" },
    seconds: { type: "string", default: "0.5" },
    rounds: { type: "string", default: "9" },
  },
});
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
const SHAPE = {
  topics: ["bench"],
  batch: Number(values.events),
  valueBytes: Number(values.bytes),
  keys: 100_000,
  headers: Number(values.headers),
  durability: Durability.REPLICATED,
};
const RECORD_BATCH_BYTES = 256 << 10;

/** gRPC messages without their five-byte prefix. */
const requests = prebuild(SHAPE, 1, Date.now()).map((message) => message.subarray(5));

/** Works on one request. */
type Stage = (request: Buffer) => void;

function parsing(): Stage {
  const index = new EventIndex(SHAPE.batch);
  return (request) => index.parse(request);
}

function writing(onSealed: (batch: Buffer) => void): Stage {
  const index = new EventIndex(SHAPE.batch);
  const out = Buffer.allocUnsafeSlow(RECORD_BATCH_BYTES);
  let length = RECORD_BATCH_HEADER_BYTES;
  let count = 0;
  let base = 0;
  return (request) => {
    index.parse(request);
    for (let event = 0; event < index.count; event++) {
      const given = index.timestamps[event]!;
      const timestamp = given === NO_TIMESTAMP ? Date.now() : given;
      if (count === 0) base = timestamp;
      let bodyBytes = sizeOfRecordBody(index, event, timestamp - base, count);
      if (length + sizeOfRecord(bodyBytes) > out.length) {
        writeBatchHeader(out, length, count, base, base);
        onSealed(out.subarray(0, length));
        length = RECORD_BATCH_HEADER_BYTES;
        count = 0;
        base = timestamp;
        bodyBytes = sizeOfRecordBody(index, event, 0, 0);
      }
      length = writeRecord(out, length, request, index, event, bodyBytes, timestamp - base, count++);
    }
  };
}

/** The pipeline with a producer that stamps the checksum and says "stored" when it is asked to. */
class StandInProducer implements Responder {
  readonly #info: TopicInfo = {
    name: SHAPE.topics[0]!,
    partitions: 6,
    maxBatchBytes: 1 << 20,
    timestampBeforeMaxMs: Number.POSITIVE_INFINITY,
    timestampAfterMaxMs: Number.POSITIVE_INFINITY,
    keyRequired: false,
  };
  readonly #sent: (() => void)[] = [];
  readonly #immediates: (() => void)[] = [];
  readonly #pipeline: Pipeline;

  constructor() {
    const sink = {
      send: (batch: SealedBatch, settler: BatchSettler) => {
        stampCrc(batch.bytes);
        this.#sent.push(() => settler.stored(batch, 0, batch.count, 0));
      },
    };
    this.#pipeline = new Pipeline(
      {
        topics: { topic: () => this.#info, lookup: () => Promise.resolve(this.#info) },
        replicated: sink,
        persisted: sink,
        metrics: createMetrics(),
        clock: { ...systemClock, setImmediate: (callback) => this.#immediates.push(callback) },
        random: Math.random,
      },
      {
        bytesMax: 64 << 20,
        timeoutMs: 1_000,
        recordBatchBytesMax: RECORD_BATCH_BYTES,
        lingerMs: 1_000,
        eventsMax: SHAPE.batch,
      },
    );
  }

  /** One turn of the event loop brings eight requests, then everything that was sealed is settled. */
  turn(requests: readonly Buffer[]): void {
    const { admission } = this.#pipeline;
    for (const request of requests) {
      const cost = admission.cost(request.length);
      admission.tryAdmit(cost);
      const missing = this.#pipeline.publish(
        request,
        0,
        request.length,
        new Batch(this, systemClock.monotonic(), cost),
        Durability.UNSPECIFIED,
      );
      if (missing !== undefined) throw new Error("the bench's topic is known");
    }
    for (const callback of this.#immediates.splice(0)) callback();
    for (const settle of this.#sent.splice(0)) settle();
  }

  answered(batch: Batch): void {
    encodePublishResponse(batch);
  }

  refused(_batch: Batch, error: IngestError): void {
    throw error;
  }
}

const REQUESTS_PER_TURN = 8;

function piping(): Stage {
  const producer = new StandInProducer();
  let turn: Buffer[] = [];
  return (request) => {
    if (turn.push(request) < REQUESTS_PER_TURN) return;
    producer.turn(turn);
    turn = [];
  };
}

const STAGES: Readonly<Record<string, Stage>> = {
  parse: parsing(),
  "parse + write": writing(() => {}),
  "parse + write + CRC-32C": writing(stampCrc),
  "whole pipeline": piping(),
};

/** CPU nanoseconds an event. */
function measure(stage: Stage, seconds: number): number {
  const untilMs = performance.now() + seconds * 1000;
  const before = process.cpuUsage();
  let events = 0;
  while (performance.now() < untilMs) {
    for (const request of requests) stage(request);
    events += requests.length * SHAPE.batch;
  }
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / events;
}

const samples = new Map<string, number[]>(Object.keys(STAGES).map((name) => [name, []]));
for (let round = -1; round < rounds; round++) {
  for (const [name, stage] of Object.entries(STAGES)) {
    const nanoseconds = measure(stage, seconds);
    if (round >= 0) samples.get(name)!.push(nanoseconds);
  }
}

console.log(formatEnvironment(environment()));
console.log(
  `requests of ${SHAPE.batch} events of ${SHAPE.valueBytes} B with keys and ${SHAPE.headers} headers; median of ${rounds} rounds`,
);
const whole = median(samples.get("whole pipeline")!);
let before = 0;
for (const [name, all] of samples) {
  const nanoseconds = median(all);
  const columns = [
    name.padEnd(26),
    `${(1e3 / nanoseconds).toFixed(2)} M events/s`.padStart(18),
    `(best ${(1e3 / Math.min(...all)).toFixed(2)})`.padStart(14),
    `${nanoseconds.toFixed(0)} ns an event`.padStart(17),
    `${(((nanoseconds - before) / whole) * 100).toFixed(0)} % of the whole`.padStart(18),
  ];
  console.log(columns.join(""));
  before = nanoseconds;
}
