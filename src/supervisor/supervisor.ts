// Runs the workers and the admin port, and ends them.
//
//            first boot                     a worker dies: start it again, or give up
//   starting ----------> running ----------------------------------------------------.
//      | a worker or the    | shutdown                                                |
//      | port cannot start  v                                                         v
//      '-----------------> ending: drain the workers until the deadline, kill what is left, close the admin port
//
// Rejected: worker_threads. A worker that runs out of memory or spins inside native code takes its process along, and the
// supervisor has to be the one that tells about it.
//
// Invariants: `run` resolves once, when no worker is left. What cannot be started ends the whole during the first boot, so that
// a wrong setting is one line and an exit code; later it is a death like any other.

import cluster from "node:cluster";
import { extname, join } from "node:path";
import type { Profile } from "pprof-format";
import type { AdminState, LetterDrop, LettersDropped, Readiness } from "../admin/state.ts";
import { systemClock, type Clock, type Timer } from "../clock.ts";
import { formatAddress, redactedArguments, type Config } from "../config.ts";
import { IngestError } from "../errors.ts";
import type { Trigger } from "../incidents/triggers.ts";
import { type CaptureRequest, ProfileCollector, type ProfiledProcess } from "../profiling/collect.ts";
import { SUPERVISOR_INTERVAL_MICROS } from "../profiling/profiler.ts";
import { type CutAnswer, type CutRequest, Recorder } from "../profiling/recorder.ts";
import { ProfileRing } from "../profiling/ring.ts";
import { SUPERVISOR_PROCESS } from "../profiling/slice.ts";
import { profilesDirectory, sliceWriter } from "../profiling/slice-files.ts";
import { readThreads } from "../profiling/threads.ts";
import { ALL_WORKERS, ledgerProblem } from "../telemetry/ledger-watch.ts";
import { PRICES, SLOW_PRICES } from "../telemetry/history-reader.ts";
import { LogRing, mergeLines } from "../telemetry/log-ring.ts";
import type { Logger } from "../telemetry/log.ts";
import { openAdminPort } from "./admin-port.ts";
import { CrashLoop } from "./crash-loop.ts";
import { dropFromSlots } from "./dead-letters.ts";
import { ExitCode } from "./exit-codes.ts";
import { incidentSources } from "./incident-sources.ts";
import { ServiceIncidents } from "./incidents.ts";
import { SUPERVISOR, SupervisorMetrics, VERSION } from "./metrics.ts";
import { type Inspectable, inspectAll, type Inspected, type Inspections, type Question } from "./inspection.ts";
import { type Ending, type SlotObserver, WorkerSlot } from "./slot.ts";
import { Timeline } from "./timeline.ts";

export interface SupervisorOptions {
  /** The module that a worker process runs; main.ts. */
  readonly workerEntry?: string;
  /** Takes the one line that says why the service ends by itself. */
  readonly print?: (line: string) => void;
  readonly clock?: Clock;
  /** What keeps the last lines of `log`. */
  readonly logRing?: LogRing;
}

/**
 * How V8 collects in workers.
 *
 * - The young generation stays small: buffers lie outside of the heap, and a larger one would wait for so long before it lets go of
 *   them that they add up to the pressure that starts full collections: twice the events per CPU-second on streams of batches, the same on
 *   unary calls (docs/benchmarks.md, "Comparing a setting with itself").
 * - Nothing is allocated old. V8 takes a constructor whose objects have survived for a while, as those of calls do when Kafka is slow for a
 *   moment, and from then on, for ever, makes them in the old generation. Those die as young as before, but only a full
 *   collection finds that out, and until then they keep everything alive that they point to: half of what was allocated was
 *   promoted, and unary calls on a real broker cost half as much again.
 */
const WORKER_V8_FLAGS = ["--max-semi-space-size=8", "--no-allocation-site-pretenuring"];

/** What a worker may take beyond its drain deadline until it is killed. */
const KILL_GRACE_MS = 2_000;
/** What workers may take to end when another one cannot start. */
const START_FAILED_DRAIN_MS = 1_000;

/** main.ts beside this folder, or main.js where it was compiled. */
const MAIN = join(import.meta.dirname, "..", `main${extname(import.meta.filename)}`);

class Supervisor implements SlotObserver, AdminState {
  #config: Config;
  readonly #log: Logger;
  readonly #shutdown: AbortSignal;
  readonly #workerEntry: string;
  readonly #print: (line: string) => void;
  readonly #clock: Clock;
  readonly #metrics: SupervisorMetrics;
  readonly #incidents: ServiceIncidents;
  readonly #recorder: Recorder | undefined;
  readonly #ring: ProfileRing | undefined;
  readonly #profiles: ProfileCollector;
  readonly #slots: readonly WorkerSlot[];
  readonly #timeline: Timeline;
  readonly #logRing: LogRing;
  readonly #crashLoops: readonly CrashLoop[];
  readonly #respawns = new Map<WorkerSlot, Timer>();
  readonly #allGone = Promise.withResolvers<void>();
  readonly #end = Promise.withResolvers<{ readonly exitCode: ExitCode; readonly drainMs: number }>();
  readonly #neverReady: Set<WorkerSlot>;
  readonly #allReady = Promise.withResolvers<void>();
  #ending = false;
  #drainIncomplete = false;

  constructor(config: Config, log: Logger, shutdown: AbortSignal, options: SupervisorOptions) {
    this.#config = config;
    this.#log = log;
    this.#shutdown = shutdown;
    this.#workerEntry = options.workerEntry ?? MAIN;
    this.#print = options.print ?? ((line) => process.stderr.write(`${line}\n`));
    this.#clock = options.clock ?? systemClock;
    this.#metrics = new SupervisorMetrics(log, {
      workers: config.workers,
      topicsMax: config.metricsTopicsMax,
      callersMax: config.metricsCallersMax,
      up: (index) => this.#slots[index]!.health().ready,
      ports: () => [
        this.#slots.find(({ address }) => address !== undefined)?.address?.port ?? config.grpcListen.port,
        config.adminListen.port,
      ],
    });
    const dir = profilesDirectory(config.dataDir);
    if (config.profiling) {
      const write = sliceWriter(dir, SUPERVISOR_PROCESS);
      const observer = this.#metrics.recorderObserver;
      this.#recorder = new Recorder({ intervalMicros: SUPERVISOR_INTERVAL_MICROS, write, observer });
      const limits = { dir, ageMaxMs: config.profileAgeMaxMs, bytesMax: config.profileBytesMax };
      this.#ring = new ProfileRing(this.#clock, limits, (bytes) => this.#metrics.profileBytes(bytes));
    }
    this.#profiles = new ProfileCollector(dir, this.#clock, () => this.#processes());
    this.#slots = Array.from(
      { length: config.workers },
      (_, index) => new WorkerSlot(index, this.#metrics.slot(index), this, this.#clock),
    );
    this.#logRing = options.logRing ?? new LogRing();
    this.#timeline = new Timeline(
      {
        log,
        clock: this.#clock,
        slots: this.#slots,
        own: this.#metrics.own,
        onTrigger: (trigger) => this.#triggered(trigger),
      },
      {
        dataDir: config.dataDir,
        triggers: config.incidentTriggers,
        supervisor: SUPERVISOR,
        prices: config.grpcServer === "native" && config.kafkaClient === "direct" ? PRICES : SLOW_PRICES,
      },
    );
    this.#incidents = new ServiceIncidents({
      config,
      slots: this.#slots,
      sources: incidentSources({
        config,
        clock: this.#clock,
        profiles: this.#profiles,
        history: this.#timeline.history,
        inspect: (question) => this.inspect(question),
        logLines: () => this.logLines(),
        ledger: () => this.ledger(),
      }),
      metrics: this.#metrics.incidents,
      version: VERSION,
      log,
      clock: this.#clock,
    });
    this.#crashLoops = this.#slots.map(() => new CrashLoop());
    this.#neverReady = new Set(this.#slots);
  }

  async run(): Promise<ExitCode> {
    const onShutdown = () => {
      this.#finish(ExitCode.OK, this.#config.drainTimeoutMs);
    };
    this.#shutdown.addEventListener("abort", onShutdown, { once: true });
    if (this.#shutdown.aborted) return ExitCode.OK;
    this.#log.debug({ workers: this.#config.workers }, "starting");
    for (const slot of this.#slots) this.#start(slot);
    this.#metrics.start();
    this.#incidents.start();
    this.#recorder?.start();
    this.#ring?.start();
    this.#timeline.start();
    const closeAdmin = await this.#openAdmin();
    const { exitCode, drainMs } = await this.#end.promise;
    const endingAtMs = this.#clock.monotonic();
    await this.#drain(drainMs);
    await this.#incidents.stop();
    await closeAdmin();
    this.#shutdown.removeEventListener("abort", onShutdown);
    // What never ran may have been started on the directory of a service that does.
    await this.#recorder?.stop(this.#neverReady.size === 0);
    await this.#ring?.stop();
    this.#metrics.stop();
    await this.#timeline.stop();
    const outcome = exitCode === ExitCode.OK && this.#drainIncomplete ? ExitCode.DRAIN_INCOMPLETE : exitCode;
    // A first start that failed has said so in its one line.
    if (this.#neverReady.size === 0) {
      const durationMs = Math.round(this.#clock.monotonic() - endingAtMs);
      const settled = this.#drainIncomplete ? "not everything" : "everything";
      const level = outcome === ExitCode.OK ? "info" : "error";
      this.#log[level]({ durationMs, exitCode: outcome }, `ended: ${settled} that was taken is settled`);
    }
    return outcome;
  }

  // --- the workers

  #start(slot: WorkerSlot): void {
    cluster.setupPrimary({
      exec: this.#workerEntry,
      // For whoever reads the process list; the worker reads nothing from it.
      args: ["worker", slot.name],
      execArgv: [...process.execArgv, ...WORKER_V8_FLAGS],
      serialization: "advanced",
    });
    slot.start(this.#workerConfig());
  }

  /**
   * With port 0 every worker gets the port that the first one got, as long as one of them holds it. When none does any more,
   * the number is taken from then on, by all of them, so that clients find the service where it was.
   */
  #workerConfig(): Config {
    const { grpcListen } = this.#config;
    const known = this.#slots.find(({ address }) => address !== undefined)?.address;
    if (grpcListen.port === 0 && known !== undefined && this.#slots.every(({ alive }) => !alive))
      this.#config = { ...this.#config, grpcListen: { ...grpcListen, port: known.port } };
    return this.#config;
  }

  ready(slot: WorkerSlot): void {
    this.#neverReady.delete(slot);
    this.#log.debug({ worker: slot.index, pid: slot.pid }, "worker ready");
    if (this.#neverReady.size === 0) this.#allReady.resolve();
  }

  startFailed(slot: WorkerSlot, message: string): void {
    if (this.#neverReady.has(slot)) this.#fail(ExitCode.START_FAILED, message, START_FAILED_DRAIN_MS);
    else this.#log.error({ worker: slot.index, reason: message }, "worker cannot start");
  }

  pushed(slot: WorkerSlot, atMs: number): void {
    this.#timeline.pushed(slot, atMs);
  }

  ended(slot: WorkerSlot, ending: Ending): void {
    this.#timeline.ended(slot);
    const { cause, clean, readyForMs, unsettled } = ending;
    if (unsettled > 0)
      this.#log.error({ worker: slot.index, events: unsettled }, "worker ended with events unanswered");
    if (this.#isIncident(slot, ending)) this.#incidents.workerEnded(slot, ending);
    if (this.#ending) {
      this.#drainIncomplete ||= !clean || unsettled > 0;
      if (this.#slots.every(({ alive }) => !alive)) this.#allGone.resolve();
      return;
    }
    this.#log.error({ worker: slot.index, cause }, "worker died");
    if (this.#neverReady.has(slot)) {
      this.#fail(
        ExitCode.START_FAILED,
        `worker ${slot.name} ended before it was ready (${cause})`,
        START_FAILED_DRAIN_MS,
      );
      return;
    }
    const verdict = this.#crashLoops[slot.index]!.died(this.#clock.monotonic(), readyForMs);
    if (verdict.giveUp) {
      const line = `worker ${slot.name} died ${CrashLoop.limits}, the last time with ${cause}; the others are drained`;
      this.#fail(ExitCode.CRASH_LOOP, line, this.#config.drainTimeoutMs);
      return;
    }
    const timer = this.#clock.setTimeout(() => {
      this.#respawns.delete(slot);
      this.#metrics.restarted(slot.index);
      this.#start(slot);
    }, verdict.delayMs);
    this.#respawns.set(slot, timer);
  }

  /** A start that fails says so itself; at the end, workers that do not come to theirs are killed. */
  #isIncident(slot: WorkerSlot, { clean, code, signal }: Ending): boolean {
    if (code === ExitCode.START_FAILED && this.#neverReady.has(slot)) return false;
    return !this.#ending || (!clean && code !== ExitCode.DRAIN_INCOMPLETE && signal !== "SIGKILL");
  }

  // --- the end

  #fail(exitCode: ExitCode, message: string, drainMs: number): void {
    if (this.#ending) return;
    this.#print(`sluice serve: ${message}`);
    this.#finish(exitCode, drainMs);
  }

  #finish(exitCode: ExitCode, drainMs: number): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#end.resolve({ exitCode, drainMs });
  }

  async #drain(drainMs: number): Promise<void> {
    for (const timer of this.#respawns.values()) this.#clock.clearTimeout(timer);
    if (this.#slots.every(({ alive }) => !alive)) return;
    if (this.#neverReady.size === 0) this.#log.info({ timeoutMs: drainMs }, "draining");
    for (const slot of this.#slots) slot.drain(this.#clock.now() + drainMs);
    const killTimer = this.#clock.setTimeout(() => {
      for (const slot of this.#slots.filter(({ alive }) => alive)) {
        this.#log.error({ worker: slot.index }, "worker killed: it did not end after its drain deadline");
        slot.kill();
      }
    }, drainMs + KILL_GRACE_MS);
    await this.#allGone.promise;
    this.#clock.clearTimeout(killTimer);
  }

  // --- the admin port

  async #openAdmin(): Promise<() => Promise<void>> {
    try {
      const port = await openAdminPort(this, this.#config, this.#clock, this.#log);
      void this.#allReady.promise.then(() => {
        const grpc = this.#slots[0]?.address;
        if (grpc !== undefined && !this.#ending)
          this.#log.info({ grpc: formatAddress(grpc), admin: formatAddress(port.address) }, "ready");
      });
      return () => port.close();
    } catch (error) {
      if (!(error instanceof IngestError)) throw error;
      this.#fail(ExitCode.START_FAILED, error.message, START_FAILED_DRAIN_MS);
      return async () => {};
    }
  }

  async renderMetrics(openMetrics: boolean) {
    return await this.#metrics.render(openMetrics);
  }

  ledger() {
    return this.#metrics.ledger.byTopic();
  }

  readiness(): Readiness {
    const healths = this.#slots.map((slot) => ({ worker: slot.name, ...slot.health() }));
    const each = healths.flatMap(({ worker, problems }) => problems.map((reason) => ({ worker, reason })));
    const whole = this.#ending ? [{ worker: undefined, reason: "draining" }] : [];
    const books = this.#metrics.ledger.findings.map((finding) =>
      finding.worker === ALL_WORKERS
        ? { worker: undefined, reason: ledgerProblem(finding) }
        : { worker: finding.worker, reason: `over all its processes, ${ledgerProblem(finding)}` },
    );
    const own = [...(this.#recorder?.problems ?? []), ...this.#incidents.problems].map((reason) => ({
      worker: undefined,
      reason,
    }));
    const problems = [...whole, ...each, ...books, ...own];
    return { ready: !this.#ending && healths.every(({ ready }) => ready), problems };
  }

  dropLetters(drop: LetterDrop): Promise<LettersDropped> {
    return dropFromSlots(this.#slots, drop);
  }

  incidents() {
    return this.#incidents.incidents();
  }

  incident(id: string) {
    return this.#incidents.incident(id);
  }

  incidentFile(id: string, name: string) {
    return this.#incidents.incidentFile(id, name);
  }

  incidentArchive(id: string) {
    return this.#incidents.incidentArchive(id);
  }

  forceIncident(why: string) {
    return this.#incidents.forceIncident(why);
  }

  get profiled(): readonly string[] {
    return this.#profiles.names;
  }

  profile(request: CaptureRequest): Promise<Profile> {
    return this.#profiles.take(request);
  }

  #processes(): ProfiledProcess[] {
    return [...this.#slots, { name: SUPERVISOR, cut: (request) => this.#cut(request) }];
  }

  async #cut(request: CutRequest): Promise<CutAnswer> {
    if (this.#recorder === undefined) throw new Error("it does not profile itself (PROFILING=false)");
    return await this.#recorder.cut(request);
  }

  get commandLine(): readonly string[] {
    return redactedArguments([process.execPath, ...process.execArgv, ...process.argv.slice(1)]);
  }

  /** Every worker's answer, and this process's where it has one. */
  inspect<Q extends Question>(question: Q): Promise<Inspected<Q>[]> {
    const own: Inspectable = { name: SUPERVISOR, ask: (asked) => this.#inspectOwn(asked) };
    return inspectAll(question === "state" ? this.#slots : [...this.#slots, own], question);
  }

  async #inspectOwn<Q extends Question>(question: Q): Promise<Inspections[Q]> {
    const answer = question === "threads" ? await readThreads(process.pid) : this.#metrics.eventLoop;
    return answer as Inspections[Q];
  }

  /** The last log lines of all processes, oldest first; those of workers below `info` stay with them. */
  logLines(): string[] {
    return mergeLines([this.#logRing, ...this.#slots.map(({ log }) => log)]);
  }

  #triggered({ kind, worker, value, mean, limit, why, atMs }: Trigger): void {
    this.#log.warn({ kind, worker, value, mean, limit }, why);
    const measured = { value, limit, ...(mean === undefined ? {} : { mean }) };
    void this.#incidents.begin({ kind, worker, atMs, why, ...measured });
  }
}

/**
 * Runs the service until `shutdown` is aborted or it cannot go on. Installs no signal handlers and exits no process.
 * @returns the exit code, when no worker is left.
 */
export async function runSupervisor(
  config: Config,
  log: Logger,
  shutdown: AbortSignal,
  options: SupervisorOptions = {},
): Promise<ExitCode> {
  return await new Supervisor(config, log, shutdown, options).run();
}
