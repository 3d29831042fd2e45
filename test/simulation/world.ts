// One run: the service as it is composed for production, in a world that a seed decides.
//
//   clients ── SimulatedServer ── createService() ── Network ── FakeCluster
//                                       └── Disk
//
// First there is trouble (troubles.ts), then all is mended, and everything that clients want stored has to be stored within a
// bounded time, or the run fails: a service that waits for ever loses nothing and is of no use. Then the checker compares.

import { type Config, loadConfig } from "../../src/config.ts";
import { BufferPool } from "../../src/ingest/buffer-pool.ts";
import { type BatchSettler, type SealedBatch, UNASSIGNED_PARTITION } from "../../src/ingest/producer.ts";
import { Spool } from "../../src/spool/spool.ts";
import { type Chance, chance } from "../kafka/support/random.ts";
import { FakeCluster } from "../support/fake-broker.ts";
import { check, checkAnswer, checkLedger, checkStored } from "./checker.ts";
import { Client } from "./client.ts";
import { Disk } from "./disk.ts";
import { History, isPoison } from "./history.ts";
import { Logs } from "./logs.ts";
import { Network } from "./network.ts";
import { type Plan, planOf, TAKEN_UNASSIGNED, TOPICS } from "./plan.ts";
import { SimulatedProcess } from "./process.ts";
import { Scheduler, WORLD } from "./scheduler.ts";
import type { SimulatedServer } from "./server.ts";
import { type Life, Slot } from "./slot.ts";
import type { Metrics } from "../../src/telemetry/metrics.ts";
import { Trace } from "./trace.ts";
import { heal, trouble } from "./troubles.ts";
import { WireWatch } from "./wire-watch.ts";

// Loaded here, so that its loading takes no time in a run.
import "../../src/kafka/direct/producer.ts";

export interface RunOptions {
  /** Is given every line of the trace. */
  readonly print?: (line: string) => void;
}

export interface RunResult {
  readonly seed: number;
  /** Empty if all is well. */
  readonly violations: readonly string[];
  /** Of everything that happened. */
  readonly hash: number;
  readonly steps: number;
  readonly virtualMs: number;
  readonly events: number;
  readonly counts: Readonly<Record<string, number>>;
  /** The last lines of the trace. */
  readonly tail: readonly string[];
}

/** After the trouble is over, everything is stored within so much virtual time. */
const QUIET_WITHIN_MS = 600_000;
const QUIET_FOR_MS = 1_000;
const LEDGER_MS = 1_000;
const VIOLATIONS_MAX = 20;

export class World {
  readonly trace: Trace;
  readonly scheduler = new Scheduler();
  readonly history = new History();
  readonly plan: Plan;
  readonly network: Network;
  readonly cluster: FakeCluster;
  readonly disk: Disk;
  readonly logs: Logs;
  readonly slots: Slot[] = [];
  readonly clients: Client[];
  /** Of every process that there was. */
  readonly lives: Life[] = [];
  /** For what goes wrong, and when. */
  readonly fate: Chance;
  /** How often what happened. */
  readonly counts = new Map<string, number>();
  workers: number;
  withBrokers = true;
  troubled = true;
  readonly wire = new WireWatch();
  /** Every pool of buffers, and the process that it belongs to. */
  readonly pools = new Map<BufferPool, string>();
  /** By the producer id, the process that uses it. */
  readonly producers = new Map<bigint, string>();
  #quietSinceMs = Infinity;
  readonly #armed = new Map<string, () => void>();

  constructor(seed: number, options: RunOptions) {
    this.trace = new Trace(options.print);
    this.plan = planOf(chance(seed));
    this.fate = chance(seed ^ 0x5eed);
    this.network = new Network(this.scheduler, chance(seed ^ 0x4e37));
    this.disk = new Disk(chance(seed ^ 0xd15c));
    this.workers = this.plan.workers;
    const kafka = new SimulatedProcess("kafka", this.scheduler, chance(seed ^ 0xcaf));
    this.cluster = new FakeCluster({ brokers: this.plan.brokers, clock: kafka.clock, listen: this.network.listen });
    this.logs = new Logs(this.cluster);
    this.cluster.onAppend = ({ topic, bytes }) => this.#refusal(topic, bytes);
    this.history.onStored = (event, durability) => checkStored(this, event, durability);
    this.history.note = (call, what) => this.note(call.process, `${call.id} ${what}`);
    this.history.onAnswer = (batch, answer) => checkAnswer(this, batch, answer);
    this.disk.onEffect = (what, process) => this.fire(what, process.name);
    for (let index = 0; index < this.workers; index++) {
      this.slots.push(new Slot(index, this, chance(seed ^ (0x510 + index))));
    }
    this.clients = this.plan.clients.map((spec, i) => new Client(this, chance(seed ^ (0xc11e + i * 7919)), spec));
  }

  async run(): Promise<void> {
    const { scheduler, plan } = this;
    await this.cluster.start();
    for (const topic of Object.keys(TOPICS)) this.createTopic(topic);
    trouble(this);
    for (const slot of this.slots) slot.start();
    for (const client of this.clients) void client.run();
    this.#watchLedger();
    await scheduler.run(plan.troubledMs);
    this.note("world", "is mended");
    this.troubled = false;
    await heal(this);
    await scheduler.run(scheduler.nowMs + QUIET_WITHIN_MS, () => this.#isQuiet() || this.#isLost());
    if (!this.#isQuiet() && !this.#isLost()) this.#tellWhoWaits();
    // Then all of it ends as it should, half of the time in the middle of some more batches.
    const inTheMiddle = this.fate.hit(0.5);
    if (inTheMiddle) {
      for (const client of this.clients) client.encore();
      await scheduler.run(scheduler.nowMs + this.fate.next() * 300);
    }
    const draining = this.slots.map((slot) => {
      slot.closed = true;
      return slot.drain();
    });
    let drained = false;
    void Promise.all(draining).then(() => {
      drained = true;
    });
    await scheduler.run(scheduler.nowMs + QUIET_WITHIN_MS, () => drained);
    if (this.history.violations.length === 0) await this.#startOnceMore(inTheMiddle);
    await check(this);
  }

  /** Topics of the plan, under the name that it has there. */
  createTopic(topic: string, partitions = TOPICS[topic]?.partitions ?? 1): void {
    this.cluster.createTopic(topic, { partitions, configs: TOPICS[topic]?.configs ?? {} });
    this.logs.refresh(topic, true);
  }

  config(): Config {
    const loaded = loadConfig({
      WORKERS: String(this.workers),
      DATA_DIR: "/data",
      ...(this.withBrokers ? { KAFKA_BROKERS: this.cluster.bootstrap } : {}),
    });
    if (!loaded.ok) throw new Error(loaded.errors.join("\n"));
    return { ...loaded.config, ...this.plan.config };
  }

  server(random: Chance): SimulatedServer | undefined {
    const serving = this.slots.filter((slot) => slot.serving);
    return serving.length === 0 ? undefined : random.pick(serving).life?.server;
  }

  note(who: string, what: string): void {
    this.trace.note(this.scheduler.nowMs, who, what);
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  began(life: Life): void {
    this.lives.push(life);
  }

  ended({ process }: Life): void {
    // Also those that clients had cancelled: what was taken of them was still to be stored.
    for (const call of this.history.calls) if (call.process === process.name) call.cutByDeath = true;
  }

  /** Lets the act happen when this happens next to a process. */
  arm(what: string, process: string, act: () => void): void {
    this.#armed.set(`${what} ${process}`, act);
  }

  fire(what: string, process: string): void {
    const key = `${what} ${process}`;
    const act = this.#armed.get(key);
    if (act === undefined) return;
    this.#armed.delete(key);
    act();
  }

  /** What a clean end leaves in the spool is what nobody had the time to forward, and the next start does that. */
  async #startOnceMore(inTheMiddle: boolean): Promise<void> {
    const { history, scheduler } = this;
    const before = this.lives.length;
    for (const slot of this.slots.slice(0, this.workers)) slot.start();
    const next = this.lives.slice(before);
    const isQuiet = (): boolean => next.every((life) => life.started && isIdle(life));
    await scheduler.run(scheduler.nowMs + QUIET_WITHIN_MS, isQuiet);
    if (!isQuiet()) history.violate("after a clean end, the next start does not come to rest");
    // A drain that was not in time may leave marks unwritten.
    if (inTheMiddle || this.lives.slice(before - this.workers, before).some((life) => !life.drainedInTime)) return;
    for (const { process, service } of next) {
      const recovered = sumOf(service.metrics.eventsRecovered);
      if (recovered > 0) history.violate(`${process.name} finds ${recovered} events after a clean end`);
    }
  }

  #refusal(_topic: string, bytes: Buffer | undefined) {
    if (bytes === undefined || !bytes.includes("![")) return undefined;
    // The bytes of this request are looked at once; what is stored is decoded on its own.
    const records = this.logs.decode(bytes);
    const recordErrors = records.flatMap((value, index) => (isPoison(value) ? [{ index, message: "poison" }] : []));
    if (recordErrors.length === 0) return undefined;
    this.count("poison refused");
    return { code: 87, message: "poison", ...(this.plan.namesPoison ? { recordErrors } : {}) };
  }

  #watchLedger(): void {
    for (const life of this.lives) if (life.started && life.process.alive) checkLedger(this, life);
    this.scheduler.after(LEDGER_MS, WORLD, () => this.#watchLedger());
  }

  /** Once something is wrong, what follows says no more. */
  #isLost(): boolean {
    return this.history.violations.length >= VIOLATIONS_MAX;
  }

  /** For a while: what a client sent before it cancelled its call may still be on its way. */
  #isQuiet(): boolean {
    const isQuiet =
      this.clients.every((client) => client.done) &&
      this.slots.every((slot) => slot.closed || (slot.serving && isIdle(slot.life!)));
    if (!isQuiet) this.#quietSinceMs = Infinity;
    else if (this.#quietSinceMs === Infinity) this.#quietSinceMs = this.scheduler.nowMs;
    return this.scheduler.nowMs - this.#quietSinceMs >= QUIET_FOR_MS;
  }

  #tellWhoWaits(): void {
    for (const client of this.clients) {
      if (!client.done)
        this.history.violate(`a client is not done ${QUIET_WITHIN_MS} ms after all was mended: ${client.describe()}`);
    }
    for (const { life } of this.slots) {
      if (life !== undefined && life.process.alive && !isIdle(life)) {
        this.history.violate(
          `${life.process.name} is not idle ${QUIET_WITHIN_MS} ms after all was mended: ${JSON.stringify(life.service.health())}`,
        );
      }
    }
  }
}

function isIdle({ service }: Life): boolean {
  const { eventsSpooled, eventsInFlight, admittedBytes } = service.metrics;
  // Whether a topic is still denied, and whether there is room, only the next batch would tell; dead letters are an operator's.
  const isOld = (problem: string): boolean => /^Kafka refuses topic|SPOOL_BYTES_MAX|dead-letter log/.test(problem);
  if (service.health().problems.some((problem) => !isOld(problem))) return false;
  return sumOf(eventsSpooled) === 0 && sumOf(eventsInFlight) === 0 && sumOf(admittedBytes) === 0;
}

function sumOf(gauge: Metrics["eventsSpooled"]): number {
  return gauge.snapshot().series.reduce((total, [, value]) => total + (value as number), 0);
}

/** Runs the world of a seed from its beginning to its end. */
export async function simulate(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const world = new World(seed, options);
  const { history, scheduler } = world;
  const watches = [watchBuffers(world), watchUnassigned(world)];
  const onRejection = (reason: unknown): void => history.violate(`nobody caught: ${describe(reason)}`);
  process.on("unhandledRejection", onRejection);
  try {
    await world.run();
  } catch (thrown) {
    history.violate(`it threw: ${describe(thrown)}`);
  } finally {
    process.off("unhandledRejection", onRejection);
    for (const restore of watches) restore();
  }
  for (const violation of history.violations) world.note("checker", violation);
  return {
    seed,
    violations: history.violations.slice(0, VIOLATIONS_MAX),
    hash: world.trace.hash,
    steps: scheduler.events,
    virtualMs: scheduler.nowMs,
    events: history.events.size,
    counts: Object.fromEntries(world.counts),
    tail: world.trace.tail(),
  };
}

/**
 * Sees every pool of buffers, and makes what is given back worthless: whoever still reads it sends something else than was
 * acknowledged.
 */
function watchBuffers(world: World): () => void {
  const take: (this: BufferPool, bytes: number) => Buffer = Reflect.get(BufferPool.prototype, "take");
  const give: (this: BufferPool, buffer: Buffer) => void = Reflect.get(BufferPool.prototype, "give");
  BufferPool.prototype.take = function (this: BufferPool, bytes: number): Buffer {
    const owner = world.scheduler.acting as SimulatedProcess;
    if (!world.pools.has(this)) world.pools.set(this, owner.name);
    return take.call(this, bytes);
  };
  BufferPool.prototype.give = function (this: BufferPool, buffer: Buffer): void {
    buffer.fill(0xdb);
    give.call(this, buffer);
  };
  return () => {
    BufferPool.prototype.take = take;
    BufferPool.prototype.give = give;
  };
}

/** Whether batches were spooled without knowing their partitions says what order they have. */
function watchUnassigned(world: World): () => void {
  const append: (this: Spool, batch: SealedBatch, settler: BatchSettler) => void = Reflect.get(
    Spool.prototype,
    "append",
  );
  Spool.prototype.append = function (this: Spool, batch: SealedBatch, settler: BatchSettler): void {
    if (batch.partition === UNASSIGNED_PARTITION) world.count(TAKEN_UNASSIGNED);
    append.call(this, batch, settler);
  };
  return () => {
    Spool.prototype.append = append;
  };
}

function describe(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}
