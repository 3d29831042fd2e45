// The incidents of the whole service: the store, the recorder, and who tells them what.
//
//   a trigger fires ----------------------------------.
//   a worker ends, as it should not ------------------|
//   a worker is silent, or its watchdog reports ------+--> recorder --> DATA_DIR/incidents/<id>
//   somebody asks ------------------------------------|
//   the run before this one ended badly --------------'
//
// Invariants: nothing here stops the service: that the directory cannot be used is logged and told by the readiness, tried again
// at the next incident, and if it still cannot be used, that incident is lost. What a dying process left is removed only when it is in a bundle. Of two services with one DATA_DIR only
// the first records.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { IncidentState } from "../admin/state.ts";
import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import { type Attachment, HEAP, STACK } from "../incidents/files.ts";
import type { Cause, Incident } from "../incidents/incident.ts";
import { kernelKills } from "../incidents/kernel-kills.ts";
import { LastWords, type Words } from "../incidents/last-words.ts";
import { leftBehind } from "../incidents/past-run.ts";
import { IncidentRecorder } from "../incidents/recorder.ts";
import { type PastRun, type Run, RunMarker } from "../incidents/run-marker.ts";
import type { IncidentSources } from "../incidents/sources.ts";
import { IncidentStore } from "../incidents/store.ts";
import { findStuckReports } from "../incidents/stuck-reports.ts";
import { crashText, findCrash, findPastCrashes } from "../profiling/crash-report.ts";
import { findHeapAtLimit } from "../profiling/heap-at-limit.ts";
import { workerProcess } from "../profiling/slice.ts";
import { profilesDirectory } from "../profiling/slice-files.ts";
import type { Logger } from "../telemetry/log.ts";
import type { IncidentMetrics } from "./incident-metrics.ts";
import { SUPERVISOR } from "./metrics.ts";
import { beforeEndingAtOnce } from "./signals.ts";
import { Silence } from "./silence.ts";
import type { Ending, WorkerSlot } from "./slot.ts";

export interface ServiceIncidentsOptions {
  readonly config: Config;
  readonly slots: readonly WorkerSlot[];
  readonly sources: IncidentSources;
  readonly metrics: IncidentMetrics;
  readonly version: string;
  readonly log: Logger;
  readonly clock: Clock;
}

/** What the run before this one left: itself, if it ended badly, and what was said last. */
interface Past {
  readonly run: PastRun | undefined;
  readonly words: Words | undefined;
}

/** The files that there are of an incident of an earlier run, with log lines on top. */
type Left = (cause: Cause, lines?: readonly string[]) => readonly Attachment[];

const LOOK_MS = 1_000;
/** The signals that V8 ends a process with when there is no memory. */
const NO_MEMORY_SIGNALS: ReadonlySet<string> = new Set(["SIGABRT", "SIGTRAP", "SIGILL"]);
/** What the file of a heap at its limit may take to arrive after its process is gone. */
const HEAP_WAIT_MS = 2_000;
/** Between reaching the limit and the end of the process; one that lived on for longer died of something else. */
const HEAP_AGE_MAX_MS = 60_000;

export class ServiceIncidents implements IncidentState {
  readonly #dir: string;
  readonly #profilesDir: string;
  readonly #run: Run;
  readonly #store: IncidentStore;
  readonly #recorder: IncidentRecorder;
  readonly #marker: RunMarker;
  readonly #words: LastWords;
  readonly #silence: Silence;
  readonly #metrics: IncidentMetrics;
  readonly #log: Logger;
  readonly #clock: Clock;
  /** A second signal need not remove the marker any more. */
  readonly #forgetMarker: () => void;
  readonly #pending = new Set<Promise<unknown>>();
  /** Rejects if nothing can be recorded. */
  #opened: Promise<unknown> = Promise.resolve();
  #problem: string | undefined;
  /** Another service has the directory, and for as long as it runs: there is no use in trying again. */
  #isOfAnother = false;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;
  #kernelKills = 0;

  constructor({ config, slots, sources, metrics, version, log, clock }: ServiceIncidentsOptions) {
    const { dataDir, incidentsMax: countMax, incidentsBytesMax: bytesMax, watchdogTimeoutMs } = config;
    this.#dir = join(dataDir, "incidents");
    this.#profilesDir = profilesDirectory(dataDir);
    this.#run = {
      pid: process.pid,
      startedAtMs: clock.now(),
      version,
      versions: sources.versions(),
      config: sources.config(),
    };
    this.#store = new IncidentStore({
      dir: this.#dir,
      countMax,
      bytesMax,
      unusable: (incident, error) => {
        log.warn({ err: error, incident }, "an incident's directory cannot be used");
      },
    });
    this.#marker = new RunMarker(this.#dir, clock);
    this.#words = new LastWords(this.#dir, clock, () => ({
      startedAtMs: this.#run.startedAtMs,
      lines: sources.logLines(Infinity),
      ledger: sources.ledger(),
    }));
    this.#forgetMarker = beforeEndingAtOnce(() => {
      this.#marker.endNow();
    });
    this.#metrics = metrics;
    this.#log = log;
    this.#clock = clock;
    this.#recorder = new IncidentRecorder({
      store: this.#store,
      sources,
      log,
      clock,
      counted: (kind) => {
        metrics.incidents.with(kind).inc();
      },
      written: () => {
        this.#written();
      },
    });
    this.#silence = new Silence({
      slots,
      dir: this.#profilesDir,
      watchdogTimeoutMs,
      clock,
      begin: (cause, attachments) => this.begin(cause, attachments),
      failed: (error, worker) => {
        log.error({ err: error, worker }, "an incident cannot be recorded");
      },
    });
  }

  /** Opens the store and, after that, records what earlier runs left. Waits for nothing. */
  start(): void {
    const opened = this.#open();
    this.#opened = opened;
    this.#track(this.#afterOpen(opened));
  }

  /** Why nothing can be recorded: one sentence, or none. */
  get problems(): readonly string[] {
    return this.#problem === undefined ? [] : [this.#problem];
  }

  /** Completes what is being recorded. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    await this.#silence.idle();
    const ended = this.#recorder.stop();
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    await ended;
    await this.#recorder.stop();
    await this.#words.end().catch(() => {});
    await this.#marker.end().catch(() => {});
    this.#forgetMarker();
  }

  /** Records an incident. Never rejects. Undefined if none began, or an attachment is in none; see `IncidentRecorder`. */
  async begin(cause: Cause, attachments: readonly Attachment[] = []): Promise<Incident | undefined> {
    if (!(await this.#isOpen(cause))) return undefined;
    return await this.#recorder.begin(cause, attachments);
  }

  /** A worker ended, and nobody had told it to. */
  workerEnded(slot: WorkerSlot, ending: Ending): void {
    this.#track(this.#ended(slot, ending, this.#clock.now()));
  }

  incidents(): Incident[] {
    return this.#store.list();
  }

  incident(id: string): Incident | undefined {
    return this.#store.get(id);
  }

  incidentFile(id: string, name: string): string | undefined {
    return this.#store.file(id, name);
  }

  async incidentArchive(id: string): Promise<Readable | undefined> {
    return await this.#store.archive(id);
  }

  async forceIncident(why: string): Promise<Incident | undefined> {
    return await this.begin({ kind: "forced", worker: undefined, atMs: this.#clock.now(), why });
  }

  async #afterOpen(opened: Promise<Past>): Promise<void> {
    let past: Past | undefined;
    try {
      past = await opened;
    } catch (error) {
      this.#problem = `incidents cannot be recorded: ${error instanceof Error ? error.message : String(error)}`;
      this.#log.warn({ err: error }, "incidents cannot be recorded");
    }
    // Silences are looked for whether it is open or not: each is an occasion to open it.
    if (this.#isStopped || this.#isOfAnother) return;
    this.#timer ??= setInterval(() => {
      this.#silence.look();
    }, LOOK_MS).unref();
    if (past === undefined) return;
    try {
      await this.#recover(past);
    } catch (error) {
      this.#log.warn({ err: error }, "earlier incidents cannot be taken up");
    }
  }

  async #isOpen({ kind, worker, why }: Cause): Promise<boolean> {
    const opened = this.#opened;
    const isOpen = await opened.then(
      () => true,
      () => false,
    );
    if (isOpen) return true;
    // Of several incidents at a time one tries again, and all wait for it.
    if (this.#opened === opened && !this.#isOfAnother && !this.#isStopped) this.start();
    try {
      await this.#opened;
      return true;
    } catch (error) {
      this.#log.error({ err: error, kind, worker, reason: why }, "an incident cannot be recorded");
      return false;
    }
  }

  async #open(): Promise<Past> {
    await this.#store.open();
    if (!(await this.#marker.lock())) {
      this.#isOfAnother = true;
      throw new Error(`another service records incidents in ${this.#dir}`);
    }
    this.#kernelKills = await kernelKills();
    const past = { run: await this.#marker.past(), words: await this.#words.past() };
    this.#words.begin();
    try {
      await this.#marker.begin(this.#run);
    } catch (error) {
      this.#log.warn({ err: error }, "the next start may not see it if this run ends badly");
    }
    this.#problem = undefined;
    this.#written();
    return past;
  }

  // --- what a worker leaves

  async #ended({ name: worker, log }: WorkerSlot, ending: Ending, atMs: number): Promise<void> {
    const { cause, signal, readyForMs, pid } = ending;
    const lived = readyForMs === 0 ? "before it was ready" : `after ${Math.round(readyForMs / 1000)} s`;
    const kind = signal === undefined ? "crash" : "fatal_signal";
    const ended: Cause = { kind, worker, atMs, why: `it ended with ${cause}, ${lived}` };
    if (!(await this.#isOpen(ended))) return;
    const dir = join(this.#profilesDir, workerProcess(worker));
    const crash = await findCrash(dir, pid, atMs);
    if (crash !== undefined) {
      for (const line of crash.lines) log.push(line);
      const { type, message } = crash.error;
      const stack = { name: STACK, content: crashText(crash.error) };
      const told = await this.begin({ ...ended, why: `${ended.why}, of ${type}: ${message}` }, [stack]);
      if (told !== undefined) await crash.remove();
      return;
    }
    const waitMs = signal !== undefined && NO_MEMORY_SIGNALS.has(signal) ? HEAP_WAIT_MS : 0;
    const heap = await findHeapAtLimit(dir, worker, atMs - HEAP_AGE_MAX_MS, waitMs);
    if (heap !== undefined) {
      const why = `its heap reached its limit; it ended with ${cause}, ${lived}`;
      const atLimit: Cause = { kind: "out_of_memory", worker, atMs, why };
      if ((await this.begin(atLimit, [{ name: HEAP, content: heap.profile }])) !== undefined) await heap.remove();
      return;
    }
    const kills = await kernelKills();
    if (signal === "SIGKILL" && kills > this.#kernelKills) {
      this.#kernelKills = kills;
      const why = `the kernel killed it ${lived}, because the control group's memory limit was reached`;
      await this.begin({ kind: "out_of_memory", worker, atMs, why });
      return;
    }
    await this.begin(ended);
  }

  // --- what an earlier run left

  async #recover({ run, words }: Past): Promise<void> {
    const left: Left = ({ atMs }, lines) => leftBehind(run, words, atMs, lines);
    await this.#recorder.completeInterrupted((cause) => left(cause));
    if (run !== undefined) {
      const { pid, startedAtMs, version, lastSeenMs: atMs } = run;
      const started = new Date(startedAtMs).toISOString();
      const why = `the service that was started at ${started} (version ${version}, pid ${pid}) ended without a word`;
      const died: Cause = { kind: "supervisor_died", worker: SUPERVISOR, atMs, why };
      await this.#recorder.past(died, left(died));
    }
    const names = await readdir(this.#profilesDir).catch(() => []);
    for (const name of names) {
      const worker = /^worker-(\d+)$/.exec(name)?.[1];
      if (worker !== undefined) await this.#recoverWorker(join(this.#profilesDir, name), worker, left);
    }
  }

  async #recoverWorker(dir: string, worker: string, left: Left): Promise<void> {
    for (const crash of await findPastCrashes(dir, this.#run.startedAtMs)) {
      const { type, message } = crash.error;
      const why = `it ended in an earlier run, of ${type}: ${message}`;
      const cause: Cause = { kind: "crash", worker, atMs: Math.round(crash.atMs), why };
      const stack = { name: STACK, content: crashText(crash.error) };
      if ((await this.#recorder.past(cause, [stack, ...left(cause, crash.lines)])) !== undefined) await crash.remove();
    }
    const heap = await findHeapAtLimit(dir, worker, 0);
    if (heap !== undefined && heap.atMs < this.#run.startedAtMs) {
      const why = "its heap reached its limit in an earlier run";
      const cause: Cause = { kind: "out_of_memory", worker, atMs: Math.round(heap.atMs), why };
      const kept = await this.#recorder.past(cause, [{ name: HEAP, content: heap.profile }, ...left(cause)]);
      if (kept !== undefined) await heap.remove();
    }
    for (const report of await findStuckReports(dir, worker)) {
      if (report.cause.atMs >= this.#run.startedAtMs) continue;
      const kept = await this.#recorder.past(report.cause, [...report.attachments, ...left(report.cause)]);
      if (kept !== undefined) await report.remove();
    }
  }

  #track(work: Promise<unknown>): void {
    const tracked = work
      .catch((error: unknown) => {
        this.#log.error({ err: error }, "an incident cannot be recorded");
      })
      .finally(() => {
        this.#pending.delete(tracked);
      });
    this.#pending.add(tracked);
  }

  #written(): void {
    this.#metrics.incidentBytes.with().set(this.#store.bytes);
  }
}
