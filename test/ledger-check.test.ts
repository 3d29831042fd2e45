// A worker's books: they hold at the end of every turn of the event loop, whatever happens, and a mistake is told.
//
// Pipeline, spool, forwarder and dead letters are the real ones, between a Kafka that does what a test says and a disk in
// memory that can fail.

import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import fc from "fast-check";
import pino from "pino";
import { connect } from "../src/client/index.ts";
import { type Batch, type Responder } from "../src/ingest/batch.ts";
import { Pipeline } from "../src/ingest/pipeline.ts";
import { repartition } from "../src/ingest/repartition.ts";
import { batchOf as recordBatchOf } from "./kafka/support/batches.ts";
import { Session } from "../src/ingest/session.ts";
import { UnassignedTopics } from "../src/ingest/unassigned-topics.ts";
import { LedgerCheck } from "../src/ledger-check.ts";
import { BehindSpool } from "../src/spool/behind-spool.ts";
import { DeadLetters } from "../src/spool/dead-letters.ts";
import { Forwarder } from "../src/spool/forwarder.ts";
import { silentLogger } from "../src/telemetry/log.ts";
import { snapshot } from "../src/telemetry/metrics.ts";
import { ledgersByTopic, sumOfLedgers } from "../src/telemetry/ledger.ts";
import { FakeProducer, refusal, retryable } from "./spool/support/fake-producer.ts";
import { seeded, settle, slowly, type SpoolFixture, startSpool, stopSpool } from "./spool/support/fixtures.ts";
import { ManualClock } from "./spool/support/manual-clock.ts";
import { MemoryFileSystem } from "./spool/support/memory-file-system.ts";
import { startInProcess } from "./support/in-process.ts";
import { encodeRequest } from "./wire/requests.ts";

const OTHER_DIR = "/data/spool/worker-7";
/** A cap that random batches come to. */
const SPOOL = { adopt: [OTHER_DIR], bytesMax: 12_000, segmentBytes: 2_000 };
const FLOW = { pause: () => {}, resume: () => {} };

/** One process of a worker. */
class Life {
  readonly spool: SpoolFixture;
  readonly pipeline: Pipeline;
  readonly check: LedgerCheck;
  readonly sessions: Session[];
  readonly #forwarder: Forwarder | undefined;
  #over = false;
  /** Checks so far; every one found nothing. */
  checks = 0;

  private constructor(
    spool: SpoolFixture,
    pipeline: Pipeline,
    check: LedgerCheck,
    sessions: Session[],
    forwarder: Forwarder | undefined,
  ) {
    this.spool = spool;
    this.pipeline = pipeline;
    this.check = check;
    this.sessions = sessions;
    this.#forwarder = forwarder;
    this.#checkEveryTurn();
  }

  /** @param producer undefined: without brokers. */
  static async start(fs: MemoryFileSystem, clock: ManualClock, producer: FakeProducer | undefined): Promise<Life> {
    const fixture = await startSpool(fs, SPOOL, clock);
    const { metrics, spool } = fixture;
    const random = seeded(7);
    const dependencies = { log: silentLogger(), metrics, clock, fs };
    let forwarder: Forwarder | undefined;
    if (producer !== undefined) {
      const deadLetters = new DeadLetters(dependencies, { dir: "/data/dead-letters/worker-0", segmentBytes: 1e6 });
      await deadLetters.start();
      forwarder = new Forwarder({
        ...dependencies,
        spool,
        producer,
        deadLetters,
        repartition,
      });
    }
    const ordered = producer === undefined ? undefined : new BehindSpool(spool, producer);
    await forwarder?.start();
    const pipeline = new Pipeline(
      {
        topics: producer ?? new UnassignedTopics(),
        replicated: ordered?.replicated,
        persisted: ordered?.persisted ?? {
          send: (batch, settler) => spool.append(batch, settler),
          refusal: (bytes) => spool.refusal(bytes),
        },
        metrics,
        clock,
        random,
      },
      { bytesMax: 20_000, timeoutMs: 50, recordBatchBytesMax: 1_000, lingerMs: 5, eventsMax: 1_000 },
    );
    const check = new LedgerCheck({ ...dependencies, pipeline, backlogs: spool.backlogs }, "0");
    const responder: Responder = { answered: (_batch: Batch) => {}, refused: () => {} };
    const sessions = [0, 1, 2].map(() => new Session(pipeline, responder, FLOW, clock, metrics.publishBytes.with()));
    return new Life(fixture, pipeline, check, sessions, forwarder);
  }

  assertBooks(): void {
    assert.deepEqual(this.check.findings(), []);
    this.checks++;
  }

  sum() {
    return sumOfLedgers(ledgersByTopic(snapshot(this.spool.metrics)).values());
  }

  /** From now on mistakes are what the test is about. */
  stopChecking(): void {
    this.#over = true;
  }

  async end(): Promise<MemoryFileSystem> {
    this.stopChecking();
    await this.#forwarder?.dispose();
    return this.spool.fs.kill();
  }

  #checkEveryTurn(): void {
    setImmediate(() => {
      if (this.#over) return;
      this.assertBooks();
      this.#checkEveryTurn();
    });
  }
}

const topics = fc.constantFrom("a", "a", "b", "b", "missing", "not a name", "");
const actions = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("publish" as const),
      stream: fc.nat(2),
      topic: topics,
      durability: fc.constantFrom(0, 1, 2, 2, 2, 3),
      events: fc.array(
        fc.record({
          bytes: fc.nat(400),
          topic: fc.option(topics, { freq: 6, nil: undefined }),
          partition: fc.option(fc.constantFrom(0, 1, 99), { freq: 2, nil: undefined }),
        }),
        { maxLength: 8 },
      ),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("turns" as const), turns: fc.integer({ min: 1, max: 8 }) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("settle" as const),
      which: fc.nat(),
      pieces: fc.boolean(),
      outcome: fc.constantFrom("stored" as const, "stored" as const, "retryable" as const, "refused" as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(3, 60, 1_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("fault" as const),
      operation: fc.constantFrom("write" as const, "sync" as const, "read" as const),
      code: fc.constantFrom("EIO", "ENOSPC"),
      times: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "release" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "close" as const }) },
);
type Action = typeof actions extends fc.Arbitrary<infer T> ? T : never;

interface World {
  readonly clock: ManualClock;
  readonly life: Life;
  readonly producer: FakeProducer;
  /** Holds the directory that is to be adopted, until it is released. */
  readonly other: SpoolFixture | undefined;
  events: number;
}

async function run(world: World, action: Action): Promise<void> {
  const { clock, life, producer } = world;
  switch (action.kind) {
    case "publish": {
      const events = action.events.map(({ bytes, topic, partition }) => ({
        value: Buffer.from(`${world.events++} `.padEnd(bytes, "x")),
        ...(topic !== undefined && { topic }),
        ...(partition !== undefined && { partition }),
      }));
      const { topic, durability } = action;
      life.sessions[action.stream]!.publish(encodeRequest({ sequence: 1n, topic, durability, events }));
      break;
    }
    case "turns":
      await settle(action.turns);
      break;
    case "settle": {
      const text = producer.texts[action.which % Math.max(1, producer.texts.length)];
      if (text === undefined) break;
      const told = { stored: "stored" as const, retryable: retryable(), refused: refusal() }[action.outcome];
      const { count } = producer.inFlight.find((sent) => sent.text === text)!.batch;
      if (action.pieces && count > 1) {
        producer.settle(text, told, 0, 1);
        life.assertBooks();
        producer.settle(text, "stored", 1, count - 1);
      } else {
        producer.settle(text, told);
      }
      break;
    }
    case "wait":
      await clock.advance(action.ms);
      break;
    case "fault":
      life.spool.fs.fail(action.operation, /./, action.code, action.times);
      break;
    case "release":
      if (world.other !== undefined) await stopSpool(world.other);
      await clock.advance(6_000);
      break;
    case "close":
      life.sessions[0]!.close();
      break;
    default:
      action satisfies never;
  }
  life.assertBooks();
}

test("at the end of every turn the books hold, whatever happens", { timeout: 120_000 }, async () => {
  const seen = {
    failed: 0,
    forwarded: 0,
    deadLettered: 0,
    recovered: 0,
    spooled: 0,
    replicated: 0,
    full: 0,
    checks: 0,
  };
  const scripts = fc.array(actions, { minLength: 20, maxLength: 120, size: "max" });
  await fc.assert(
    fc.asyncProperty(scripts, scripts, fc.boolean(), async (first, second, brokers) => {
      const clock = new ManualClock();
      let fs = new MemoryFileSystem();
      const other = await startSpool(fs, { dir: OTHER_DIR }, clock);
      other.append("", recordBatchOf("b", 0, ["left behind", "by a worker", "that is gone"]));
      await settle();
      for (const [script, withBrokers] of [
        [first, brokers],
        [second, true],
      ] as const) {
        const producer = new FakeProducer();
        producer.addTopic("a", 2);
        producer.addTopic("b", 2);
        const life = await Life.start(fs, clock, withBrokers ? producer : undefined);
        fs.before = slowly(seeded(script.length));
        const held = script === first ? other : undefined;
        const world: World = { clock, life, producer, other: held, events: 0 };
        for (const action of script) await run(world, action);
        const sum = life.sum();
        for (const term of ["failed", "forwarded", "deadLettered", "recovered", "spooled"] as const)
          seen[term] += sum[term];
        seen.replicated += sum.stored - sum.persisted;
        if (life.spool.spool.health().problems.some((problem) => problem.includes("full"))) seen.full++;
        seen.checks += life.checks;
        fs.before = undefined;
        life.assertBooks();
        fs = await life.end();
      }
    }),
    { numRuns: 40 },
  );
  // A test that never comes to these proves nothing.
  for (const [what, times] of Object.entries(seen)) assert.ok(times > 0, `${what}: ${JSON.stringify(seen)}`);
});

/** A worker at rest with 3 events in its spool, and what it logs. */
async function atRest() {
  const clock = new ManualClock();
  const life = await Life.start(new MemoryFileSystem(), clock, undefined);
  const lines: Record<string, unknown>[] = [];
  const log = pino(
    { base: null },
    { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const { metrics, spool } = life.spool;
  const check = new LedgerCheck({ log, metrics, clock, pipeline: life.pipeline, backlogs: spool.backlogs }, "3");
  life.sessions[0]!.publish(
    encodeRequest({ topic: "t", events: [1, 2, 3].map((i) => ({ value: Buffer.from(String(i)) })) }),
  );
  await settle();
  life.stopChecking();
  check.start();
  const told = () => lines.splice(0).map(({ time: _time, level, ...fields }) => ({ ...fields, level }));
  return { clock, life, metrics, check, told };
}

test("a mistake is told when it begins and when it ends, and not in between", async () => {
  const { clock, life, metrics, check, told } = await atRest();
  const { ledgerMismatches, ledgerChecks } = metrics;
  assert.deepEqual([told(), check.problems, ledgerMismatches.with().value], [[], [], 0]);
  metrics.eventsReceived.with("t").inc(2);
  const checks = ledgerChecks.with().value;
  await clock.advance(3_000);
  assert.equal(ledgerChecks.with().value, checks + 3);
  const reason = "received 5 is not stored 3 + failed 0 + in flight 0";
  const equation = "received = stored + failed + in_flight";
  const where = { topic: "t", worker: "3", equation };
  assert.deepEqual(told(), [
    { level: 50, ...where, left: 5, right: 3, difference: 2, reason, msg: "the ledger does not agree" },
  ]);
  assert.deepEqual(check.problems, [`the ledger of t does not agree: ${reason}`]);
  assert.equal(ledgerMismatches.with().value, 1);
  metrics.eventsFailed.with("t", "rejected").inc(2);
  await clock.advance(1_000);
  assert.deepEqual(told(), [{ level: 40, ...where, msg: "the ledger agrees again" }]);
  assert.deepEqual([check.problems, ledgerMismatches.with().value], [[], 0]);
  check.stop();
  await clock.advance(5_000);
  assert.equal(ledgerChecks.with().value, checks + 4);
  await life.end();
});

for (const [mistake, make, equations] of [
  [
    "an outcome that is counted and was none",
    (metrics) => {
      metrics.eventsStored.with("t", "replicated").inc();
      metrics.eventsInFlight.with("t").dec();
    },
    ["in_flight = records held", "in_flight = unanswered"],
  ],
  [
    "a forwarded batch that is counted twice",
    (metrics) => {
      metrics.eventsForwarded.with("t").inc(3);
      metrics.eventsSpooled.with("t").dec(3);
    },
    ["spooled = open in the lanes"],
  ],
  [
    "an opening balance that is not there",
    (metrics) => metrics.eventsRecovered.with("t").inc(),
    ["persisted + recovered = forwarded + dead_lettered + spooled"],
  ],
  [
    "events of a topic that nobody knows",
    (metrics) => metrics.eventsInFlight.with("(unknown)").inc(),
    ["received = stored + failed + in_flight", "in_flight = records held", "in_flight = unanswered"],
  ],
] as const satisfies readonly (readonly [string, (metrics: SpoolFixture["metrics"]) => void, readonly string[]])[]) {
  test(`the check finds ${mistake}`, async () => {
    const { life, metrics, check } = await atRest();
    check.stop();
    make(metrics);
    assert.deepEqual(
      check.findings().map(({ equation }) => equation),
      equations,
    );
    await life.end();
  });
}

test("a worker whose books are wrong says so in its health, and stays ready", { timeout: 20_000 }, async () => {
  await using running = await startInProcess();
  const { service } = running;
  assert.deepEqual(service.health(), { ready: true, problems: [] });
  service.metrics.eventsSpooled.with("t").inc();
  while (service.health().problems.length === 0) await pause(20);
  assert.deepEqual(service.health(), {
    ready: true,
    problems: [
      "the ledger of t does not agree: persisted 0 + recovered 0 is not forwarded 0 + dead-lettered 0 + spooled 1",
      "the ledger of t does not agree: spooled 1 is not the 0 events that lie open in the spool",
    ],
  });
  assert.equal(service.metrics.ledgerMismatches.with().value, 2);
});

test("the books agree with more topics than metrics tell by name", { timeout: 20_000 }, async () => {
  await using running = await startInProcess({ METRICS_TOPICS_MAX: "3" });
  const { service, address } = running;
  const client = connect(`${address.host}:${address.port}`);
  for (let i = 0; i < 30; i++) {
    const { stored } = await client.publish({ topic: `topic-${i}`, events: [{ value: "a" }, { value: "b" }] });
    assert.equal(stored, 2);
  }
  await client.close();
  const checks = service.metrics.ledgerChecks.with();
  const before = checks.value;
  while (checks.value < before + 1) await pause(20);
  assert.deepEqual(service.health().problems, []);
  assert.deepEqual(service.metrics.eventsSpooled.snapshot().series, [
    [["topic-0"], 2],
    [["topic-1"], 2],
    [["topic-2"], 2],
    [["other"], 54],
  ]);
});
