// What a request costs between the socket and Kafka: `node bench/micro/request.ts`. Nanoseconds of CPU and bytes of the heap a unary
// call of one event: frames, call, session, settlement and answer, with a transport that is none and a sink that settles in the next turn.
//
// A worker that shares its cores finds its caches cold whenever it wakes, so by default memory that is larger than the second-level
// cache is read before each turn, and what that takes is left out: hot, the same code seems to cost half, and what is saved in
// objects, functions and cache lines seems to be nothing. `--hot`, `--calls 20` of each read, `--connections 4`.

import "./worker-v8.ts";
import { parseArgs } from "node:util";
import { getHeapStatistics } from "node:v8";
import { systemClock } from "../../src/clock.ts";
import { loadConfig } from "../../src/config.ts";
import { nativeOptions } from "../../src/grpc-options.ts";
import { Calls } from "../../src/grpc/native/calls.ts";
import { Notices } from "../../src/grpc/native/notices.ts";
import { TransportObserver } from "../../src/grpc/native/observer.ts";
import { EventIngest } from "../../src/grpc/publish.ts";
import { Connection } from "../../src/http2/connection.ts";
import { PagePool } from "../../src/http2/page-pool.ts";
import type { Transport } from "../../src/http2/transport.ts";
import { Turn } from "../../src/http2/turn.ts";
import type { BatchSettler, SealedBatch } from "../../src/ingest/producer.ts";
import { SampleLabels } from "../../src/profiling/labels.ts";
import { SampleContext } from "../../src/profiling/sample-context.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { Flag, frame, PREFACE, Type } from "../../test/http2/support/frames.ts";
import { requestBlocks } from "../load/hpack.ts";
import { prebuild } from "../load/requests.ts";
import { median } from "../statistics.ts";
import { benchPipeline } from "./pipeline.ts";

const { values } = parseArgs({
  options: {
    calls: { type: "string", default: "20" },
    connections: { type: "string", default: "4" },
    hot: { type: "boolean", default: false },
  },
});
const CALLS = Number(values.calls);
const CONNECTIONS = Number(values.connections);

const ROUNDS = 15;
const WARM_ROUNDS = 4;
const TURNS = Math.ceil(40_000 / (CALLS * CONNECTIONS));
/** More than the second-level cache of any processor. */
const COLD_BYTES = 4 << 20;
const CACHE_LINE_BYTES = 64;

const loaded = loadConfig({});
if (!loaded.ok) throw new Error(loaded.errors.join("\n"));
const OPTIONS = nativeOptions(loaded.config);
const METHOD = "/sluice.v1.EventIngest/Publish";

const metrics = createMetrics();
const attribution = new SampleLabels(systemClock, new SampleContext());
const notices = new Notices(silentLogger(), systemClock);
const observer = new TransportObserver(metrics, notices);
const answered = metrics.batches.with("OK");

/** A broker that answers in the next turn. */
const sent: SealedBatch[] = [];
let settler: BatchSettler | undefined;
const sink = {
  send(batch: SealedBatch, to: BatchSettler): void {
    settler = to;
    batch.sentAtMs = systemClock.monotonic();
    sent.push(batch);
  },
};

const pipeline = benchPipeline(sink, metrics, undefined, attribution);
const { methods } = new EventIngest({ pipeline, metrics, clock: systemClock, attribution });
const calls = new Calls({ metrics, clock: systemClock, observer, notices }, methods, OPTIONS);
const labels = attribution.ofAll("write");
const context = {
  handler: calls.open.bind(calls),
  observer,
  clock: systemClock,
  random: Math.random,
  options: OPTIONS,
  pages: new PagePool(),
  turn: new Turn(systemClock, (write) => {
    const previous = attribution.enter(labels);
    write();
    attribution.leave(previous);
  }),
  closed: () => {},
};

/** A client that sends the same bytes in every turn, but for the numbers of the streams. */
class Client {
  readonly #connection: Connection;
  readonly #chunk: Buffer;
  /** Where the numbers of the streams lie in the chunk. */
  readonly #ids: number[] = [];
  #nextId: number;

  constructor(port: number) {
    const transport: Transport = {
      peer: `127.0.0.1:${port}`,
      peerIdentity: undefined,
      write: () => true,
      writeAll: () => true,
      pause: () => {},
      resume: () => {},
      end: () => {},
      destroy: () => {},
    };
    this.#connection = new Connection(transport, context);
    const shape = { topics: ["bench"], batch: 1, valueBytes: 200, keys: 1_000, headers: 0, durability: 1 };
    const messages = prebuild(shape, port, Date.now(), CALLS);
    const { first, later } = requestBlocks(METHOD, "127.0.0.1:50051", "grpc-go/1.80.0", 4_096);
    const opening = Buffer.concat([
      PREFACE,
      frame(Type.SETTINGS, 0, 0),
      frame(Type.WINDOW_UPDATE, 0, 0, Buffer.from([0x3f, 0xff, 0, 0])),
      frame(Type.HEADERS, Flag.END_HEADERS, 1, first),
      frame(Type.DATA, Flag.END_STREAM, 1, messages[0]),
    ]);
    this.#connection.received(opening, opening.length);
    this.#nextId = 3;
    const frames: Buffer[] = [];
    let at = 0;
    for (const message of messages) {
      for (const each of [
        frame(Type.HEADERS, Flag.END_HEADERS, 0, later),
        frame(Type.DATA, Flag.END_STREAM, 0, message),
      ]) {
        frames.push(each);
        this.#ids.push(at + 5);
        at += each.length;
      }
    }
    this.#chunk = Buffer.concat(frames);
  }

  send(): void {
    for (let i = 0; i < this.#ids.length; i += 2) {
      this.#chunk.writeUInt32BE(this.#nextId, this.#ids[i]);
      this.#chunk.writeUInt32BE(this.#nextId, this.#ids[i + 1]);
      this.#nextId += 2;
    }
    this.#connection.received(this.#chunk, this.#chunk.length);
  }
}

const clients = Array.from({ length: CONNECTIONS }, (_, i) => new Client(50_000 + i));
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function settle(): void {
  for (const batch of sent.splice(0)) settler!.stored(batch, 0, batch.count, 1_000);
}

const cold = Buffer.alloc(COLD_BYTES, 1);
let read = 0;
/** @returns microseconds of CPU that it took. */
function chill(): number {
  if (values.hot) return 0;
  const before = process.cpuUsage();
  for (let at = 0; at < COLD_BYTES; at += CACHE_LINE_BYTES) read += cold[at]!;
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

async function round(): Promise<{ cpuNs: number; bytes: number }> {
  let besidesUs = 0;
  const perTurn: number[] = [];
  const countBefore = answered.value;
  const before = process.cpuUsage();
  for (let i = 0; i < TURNS; i++) {
    const heapBefore = i % 32 === 0 ? getHeapStatistics().used_heap_size : 0;
    besidesUs += chill();
    for (const client of clients) client.send();
    await turn();
    await turn();
    besidesUs += chill();
    settle();
    await turn();
    await turn();
    if (heapBefore > 0) perTurn.push(getHeapStatistics().used_heap_size - heapBefore);
  }
  const { user, system } = process.cpuUsage(before);
  const count = answered.value - countBefore;
  return { cpuNs: ((user + system - besidesUs) * 1_000) / count, bytes: median(perTurn) / (CALLS * CONNECTIONS) };
}

const rounds: { cpuNs: number; bytes: number }[] = [];
for (let i = 0; i < ROUNDS + WARM_ROUNDS; i++) {
  const measured = await round();
  if (i >= WARM_ROUNDS) rounds.push(measured);
}
const cpuNs = median(rounds.map((each) => each.cpuNs));
const bytes = median(rounds.map((each) => each.bytes));
console.log(`${cpuNs.toFixed(0)} ns of CPU and ${bytes.toFixed(0)} bytes of the heap a call${read < 0 ? "!" : ""}`);
process.exit(0);
