// A whole run: brokers, service and load are started, faults come and go, everything settles, and what was acknowledged is
// compared with what Java's consumer reads.

import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Ledger } from "../../src/cli/ledger.ts";
import { Child } from "../child.ts";
import { javaConsumeEach } from "../kafka/consume.ts";
import { freePorts } from "../kafka/ports.ts";
import { countRecords } from "../kafka/topics.ts";
import { startKafka } from "../kafka.ts";
import { mulberry32 } from "../random.ts";
import { Comparison } from "./comparison.ts";
import type { Fault } from "./fault.ts";
import { History } from "./history.ts";
import { LedgerWatch } from "./ledger-watch.ts";
import { type LoadPlan, type LoadTopics, planSenders } from "./load.ts";
import { readRecord } from "./record.ts";
import { type FaultRun, runSchedule } from "./schedule.ts";
import { Service } from "./service.ts";
import { SmallDisk } from "./small-disk.ts";
import { judge, type TopicResult } from "./topic-result.ts";
import { TOPIC_OPTIONS, World } from "./world.ts";

export interface ChaosOptions {
  readonly faults: readonly Fault[];
  /** How long faults go on coming; the first round of them is completed in any case. */
  readonly durationMs: number;
  readonly seed: number;
  /** Events a second. */
  readonly rate: number;
  /** How long each fault lasts, as a factor of its usual time. Default 1. */
  readonly holdFactor?: number;
  /** Keeps the record and the service's log, also of a run that has not failed. */
  readonly keep?: boolean;
  readonly signal: AbortSignal;
  /** Hears what happens, a line at a time. */
  readonly log: (line: string) => void;
}

export interface ChaosResult {
  readonly seed: number;
  readonly seconds: number;
  readonly faults: readonly FaultRun[];
  readonly topics: readonly TopicResult[];
  /** Outcomes of attempts other than "stored", and how often each was met. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** The service's books at the end; they begin with its last start. */
  readonly ledger: Ledger;
  readonly ledgerLooks: number;
  readonly possibleDuplicates: number;
  /** Why the run has failed, each as a sentence; empty: it has not. */
  readonly failures: readonly string[];
  /** Where the record and the service's log are kept, if they are. */
  readonly directory: string | undefined;
}

const TOPICS: LoadTopics = { mixed: ["chaos-a", "chaos-b"], persisted: "chaos-persisted", doomed: "chaos-doomed" };
const STAYING = [...TOPICS.mixed, TOPICS.persisted];
const ALL = [...STAYING, TOPICS.doomed];
/** Room for what is spooled while Kafka takes nothing, and little enough to be filled at once. */
const DISK_BYTES = 96 << 20;
/** Where there is no such disk. */
const SPOOL_CAP = { SPOOL_BYTES_MAX: "1MiB", SPOOL_SEGMENT_BYTES: "64KiB" } as const;
const ROOT = join(import.meta.dirname, "../..");
/** What was taken has a lane, a backoff and a topic to look up before it is in Kafka. */
const SETTLE_MS = 180_000;
/** How old the books may be that are looked at: workers tell theirs every second, and they are looked at every second. */
const BOOKS_AGE_MS = 3_000;
const LOAD_END_MS = 120_000;
const READ_MS = 180_000;
/** How long the reader looks for records that should not be there. */
const EXTRA_MS = 1_000;

/** @throws Error if the run could not be carried through; the reason of the signal, if it was aborted. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, rate, signal, log } = options;
  const began = performance.now();
  const run = randomBytes(4).toString("hex");
  const directory = mkdtempSync(join(tmpdir(), "sluice-chaos-"));
  const recordFile = join(directory, "record.ndjson");
  const failures: string[] = [];
  try {
    await using stack = new AsyncDisposableStack();
    log("starting a controller and three brokers");
    const cluster = stack.use(await startKafka({ brokers: 3, controllerApart: true }));
    signal.throwIfAborted();
    for (const topic of ALL) await cluster.createTopic(topic, TOPIC_OPTIONS);
    const disk = stack.use(await SmallDisk.create(DISK_BYTES));
    if (disk.unlimited !== undefined)
      log(`!!! NO DISK CAN BE LIMITED HERE (${disk.unlimited}): the spool has a cap instead`);
    const [grpcPort = 0, adminPort = 0] = await freePorts(2);
    const service = stack.use(
      new Service({
        grpcPort,
        adminPort,
        bootstrap: cluster.bootstrap,
        dataDir: disk.path,
        logFile: join(directory, "service.log"),
        env: disk.unlimited === undefined ? { SPOOL_SEGMENT_BYTES: "1MiB" } : SPOOL_CAP,
      }),
    );
    await service.start(signal);
    const watch = stack.use(new LedgerWatch(service.adminUrl, ALL));
    watch.start();
    const senders = planSenders(TOPICS, rate);
    const load = stack.use(startLoad({ run, address: service.address, recordFile, seed, senders }, directory));
    // Who interrupts a run does not wait for what is under way.
    stack.defer(async () => {
      if (signal.aborted) await Promise.all([load.killed(), service.kill()]);
    });
    const world = new World({
      cluster,
      service,
      watch,
      disk,
      topics: STAYING,
      doomed: TOPICS.doomed,
      random: mulberry32(seed),
      signal,
      holdFactor: options.holdFactor ?? 1,
    });
    log(`${rate} events/s over ${senders.length} senders, to a service on three brokers`);
    const faults = await runSchedule(world, options.faults, options);

    log("the load ends; waiting until the spool is empty");
    load.assertRuns();
    await endLoad(load, failures, signal);
    await settle(world, failures);
    await watch.look();
    const history = new History();
    for await (const line of readRecord(recordFile)) history.add(line);
    history.end();
    const possibleDuplicates = watch.total("sluice_kafka_possible_duplicates_total");
    const comparison = new Comparison(run, history, {
      recreations: world.recreations,
      upheavals: world.upheavals,
      possibleDuplicates,
    });
    await Promise.all(ALL.map((topic) => readTopic(cluster.bootstrap, topic, comparison, log)));
    const topics = comparison.end();
    failures.push(...judge(topics), ...watch.mistakes.map((mistake) => `the ledger does not balance: ${mistake}`));
    return {
      seed,
      faults,
      topics,
      possibleDuplicates,
      failures,
      outcomes: history.outcomes,
      ledger: watch.ledger(),
      seconds: (performance.now() - began) / 1000,
      ledgerLooks: watch.looks,
      directory: failures.length > 0 || options.keep === true ? directory : undefined,
    };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const why = error instanceof Error ? error.message : String(error);
    failures.push(why);
    throw new Error(`${why}\nthe record and the service's log are kept in ${directory}`, { cause: error });
  } finally {
    if (failures.length === 0 && options.keep !== true) rmSync(directory, { recursive: true, force: true });
  }
}

function startLoad(plan: LoadPlan, directory: string): Child {
  return new Child({
    name: "the load client",
    command: process.execPath,
    args: [join(ROOT, "scripts/chaos/load.ts"), JSON.stringify(plan)],
    cwd: ROOT,
    env: {},
    logFile: join(directory, "load.log"),
  });
}

async function endLoad(load: Child, failures: string[], signal: AbortSignal): Promise<void> {
  process.kill(load.pid, "SIGTERM");
  const deadline = performance.now() + LOAD_END_MS;
  while (load.runs && performance.now() < deadline) await sleep(100, undefined, { signal });
  if (load.runs) {
    failures.push(`the load client still waits for answers ${LOAD_END_MS / 1000} s after the last fault`);
    await load.killed();
    return;
  }
  await load.output(0, signal);
}

async function settle(world: World, failures: string[]): Promise<void> {
  const { watch } = world;
  await sleep(BOOKS_AGE_MS, undefined, { signal: world.signal });
  await world
    .until("nothing is spooled or in flight", () => watch.ledger().spooled + watch.ledger().inFlight === 0, SETTLE_MS)
    .catch((error: unknown) => {
      world.signal.throwIfAborted();
      const { spooled, inFlight } = watch.ledger();
      failures.push(
        `${error instanceof Error ? error.message : String(error)}: ${spooled} spooled, ${inFlight} in flight`,
      );
    });
}

async function readTopic(
  bootstrap: string,
  topic: string,
  comparison: Comparison,
  log: (line: string) => void,
): Promise<void> {
  const count = await countRecords(bootstrap, topic);
  log(`reading ${count} records of ${topic}, checksums checked`);
  if (count === 0) return;
  const read = await javaConsumeEach({ bootstrap, topic, count, timeoutMs: READ_MS, extraMs: EXTRA_MS }, (record) => {
    comparison.read(topic, record);
  });
  if (read < count) throw new Error(`Java's consumer read ${read} of ${count} records of ${topic}`);
}
