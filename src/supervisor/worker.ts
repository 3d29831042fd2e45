// The life of a worker process: one Service, and the supervisor's hand on it.
//
// A worker outlives its supervisor only shortly. node:cluster would end it at once when the channel closes; it drains first,
// because what it has taken is not settled yet, and then goes, because nobody would scrape, restart or stop it. Nobody would
// kill it either: so if its drain does not end, it goes without.
//
// A worker whose event loop never turns again does not hear that its supervisor is gone, and would keep its spool locked: its
// watchdog's thread ends it then.
//
// Invariants: the recorder starts before the service, while the heap is small (its start costs time by the MB). A snapshot is
// pushed every second, but never a second one while the first has not left the process.

import cluster from "node:cluster";
import { join } from "node:path";
import { IngestError } from "../errors.ts";
import { toldError, writeCrash } from "../profiling/crash-report.ts";
import { watchHeapLimit } from "../profiling/heap-at-limit.ts";
import { Watchdog } from "../profiling/watchdog.ts";
import { systemClock } from "../clock.ts";
import type { Config } from "../config.ts";
import { SampleLabels } from "../profiling/labels.ts";
import { WORKER_INTERVAL_MICROS } from "../profiling/profiler.ts";
import { type CutRequest, Recorder } from "../profiling/recorder.ts";
import { workerProcess } from "../profiling/slice.ts";
import { profilesDirectory, sliceWriter } from "../profiling/slice-files.ts";
import type { DropRequest, Service, ServiceOptions } from "../service.ts";
import type { Attribution } from "../telemetry/attribution.ts";
import { LogRing } from "../telemetry/log-ring.ts";
import { createLogger, type Logger } from "../telemetry/log.ts";
import { delta } from "../telemetry/metrics.ts";
import { ProcessMetrics } from "../telemetry/process.ts";
import { readThreads } from "../profiling/threads.ts";
import type { SendSpans } from "../tracing/span-data.ts";
import { ExitCode } from "./exit-codes.ts";
import { type Inspections, type Question, versions, type WorkerState } from "./inspection.ts";
import { type Health, sendToSupervisor, type ToWorker } from "./messages.ts";

export type CreateService = (options: ServiceOptions) => Service;

const SNAPSHOT_INTERVAL_MS = 1_000;
/** The state goes along with the first snapshot and then with each fifth. */
const STATE_SNAPSHOTS = 5;
/** Log lines that one snapshot brings at most. */
const LINES_MAX = 100;
/** What a worker takes to drain when its supervisor is gone, and what it waits for that beyond the deadline. */
const ORPHAN_DRAIN_MS = 5_000;
const ORPHAN_GRACE_MS = 2_000;

/** Errors that somebody wrote for people, or the operating system for errno's readers; others are bugs. */
function isExpected(error: unknown): boolean {
  return error instanceof IngestError || (error instanceof Error && "code" in error && typeof error.code === "string");
}

class WorkerProcess {
  readonly #createService: CreateService;
  readonly #processMetrics = new ProcessMetrics();
  readonly #logRing = new LogRing();
  readonly #started = Promise.withResolvers<Extract<ToWorker, { type: "start" }>>();
  readonly #drainRequested = Promise.withResolvers<number>();
  /** Resolves when the supervisor is gone, and long enough. */
  readonly #abandoned = Promise.withResolvers<ExitCode>();
  #pushing: Promise<void> | undefined;
  #pushes = 0;
  #recorder: Recorder | undefined;
  #service: Service | undefined;

  constructor(createService: CreateService) {
    this.#createService = createService;
  }

  async run(): Promise<ExitCode> {
    process.on("message", (message: ToWorker) => {
      this.#receive(message);
    });
    cluster.worker?.once("disconnect", () => {
      // Tells node:cluster, which exits right after this event otherwise, that the end is ours.
      cluster.worker!.exitedAfterDisconnect = true;
      this.#drainRequested.resolve(Date.now() + ORPHAN_DRAIN_MS);
      // The deadline is the supervisor's, if it had time to name one.
      void this.#drainRequested.promise.then((deadlineMs) => {
        const abandoned = () => this.#abandoned.resolve(ExitCode.DRAIN_INCOMPLETE);
        setTimeout(abandoned, Math.max(0, deadlineMs - Date.now()) + ORPHAN_GRACE_MS);
      });
    });
    this.#processMetrics.start();
    await sendToSupervisor({ type: "hello" });
    const first = await Promise.race([this.#started.promise, this.#drainRequested.promise]);
    if (typeof first === "number") return ExitCode.OK;
    const { config, workerIndex } = first;
    const log = createLogger({ level: config.logLevel, name: `worker ${workerIndex}`, ring: this.#logRing });
    this.#tellCrash(config, workerIndex, log);
    const attribution = this.#record(config, workerIndex);
    this.#watch(config, workerIndex, log);
    const sendSpans: SendSpans = (spans) => sendToSupervisor({ type: "spans", spans });
    const service = this.#createService({ config, workerIndex, log, sendSpans, ...(attribution && { attribution }) });
    this.#service = service;
    return await Promise.race([this.#live(service, log), this.#abandoned.promise]);
  }

  /** Sees to it that an exception which ends this process is known: in the log, and to the supervisor. */
  #tellCrash({ dataDir }: Config, workerIndex: number, log: Logger): void {
    const dir = join(profilesDirectory(dataDir), workerProcess(workerIndex));
    process.once("uncaughtExceptionMonitor", (thrown: unknown) => {
      try {
        const error = toldError(thrown);
        log.fatal(
          { err: { ...error, stack: error.frames.join("\n"), frames: undefined } },
          "the worker dies of an exception",
        );
        writeCrash(dir, { atMs: Date.now(), error, lines: this.#logRing.take(LINES_MAX) });
      } catch {
        // It dies anyway, and Node.js prints why.
      }
    });
  }

  /** Sees to it that something is left of this process when it cannot tell any more. */
  #watch({ profiling, dataDir, watchdogTimeoutMs: timeoutMs }: Config, workerIndex: number, log: Logger): void {
    const dir = join(profilesDirectory(dataDir), workerProcess(workerIndex));
    const notWatched = (error: unknown) => {
      log.warn({ err: error }, "the worker is not watched");
    };
    const restarted = (error: unknown) => {
      log.warn({ err: error }, "the worker's watchdog is started again");
    };
    try {
      new Watchdog({ dir, timeoutMs, restarted, failed: notWatched }).start();
    } catch (error) {
      notWatched(error);
    }
    if (!profiling) return;
    try {
      watchHeapLimit(dir);
    } catch (error) {
      log.warn({ err: error }, "if the worker runs out of memory, its heap will not be known");
    }
  }

  async #live(service: Service, log: Logger): Promise<ExitCode> {
    let exitCode: ExitCode = ExitCode.INTERNAL;
    try {
      return (exitCode = await this.#serve(service, log));
    } finally {
      await service.dispose();
      // What cannot start may have been started on the directory of a service that runs.
      await this.#recorder?.stop(exitCode !== ExitCode.START_FAILED);
    }
  }

  /** Begins to profile. @returns what labels the samples; undefined if there are none. */
  #record({ profiling, dataDir }: Config, workerIndex: number): Attribution | undefined {
    if (!profiling) return undefined;
    this.#recorder = new Recorder({
      intervalMicros: WORKER_INTERVAL_MICROS,
      write: sliceWriter(profilesDirectory(dataDir), workerProcess(workerIndex)),
      observer: this.#processMetrics,
    });
    this.#recorder.start();
    return new SampleLabels(systemClock, this.#recorder.context);
  }

  #health(service: Service): Health {
    const { ready, problems } = service.health();
    return { ready, problems: [...problems, ...(this.#recorder?.problems ?? [])] };
  }

  async #serve(service: Service, log: Logger): Promise<ExitCode> {
    try {
      const early = await Promise.race([service.start(), this.#drainRequested.promise]);
      if (early !== undefined) return ExitCode.OK;
    } catch (error) {
      if (!isExpected(error)) log.error({ err: error }, "the worker cannot start");
      await sendToSupervisor({ type: "failed", message: error instanceof Error ? error.message : String(error) });
      return ExitCode.START_FAILED;
    }
    await sendToSupervisor({ type: "ready", address: service.address, health: this.#health(service) });
    const push = () => {
      this.#pushing ??= this.#push(service).finally(() => {
        this.#pushing = undefined;
      });
    };
    push();
    const timer = setInterval(push, SNAPSHOT_INTERVAL_MS);

    const deadlineMs = await this.#drainRequested.promise;
    await service.drain(deadlineMs);
    clearInterval(timer);
    await this.#pushing;
    await this.#push(service);
    return ExitCode.OK;
  }

  async #push(service: Service): Promise<void> {
    service.retireMetrics();
    const changed = [...delta(service.metrics), ...this.#processMetrics.read().delta()];
    const lines = this.#logRing.take(LINES_MAX);
    const state = this.#pushes++ % STATE_SNAPSHOTS === 0 ? { state: this.#state(service) } : {};
    const health = this.#health(service);
    await sendToSupervisor({ type: "snapshot", changed, health, atMs: Date.now(), lines, ...state });
  }

  #state(service: Service): WorkerState {
    return {
      ...service.inspect(),
      pid: process.pid,
      uptimeSeconds: Math.round(process.uptime()),
      versions: versions(),
    };
  }

  #receive(message: ToWorker): void {
    switch (message.type) {
      case "start":
        this.#started.resolve(message);
        break;
      case "drain":
        this.#drainRequested.resolve(message.deadlineMs);
        break;
      case "cut":
        void this.#cut(message.id, message.request);
        break;
      case "dropLetters":
        void this.#dropLetters(message.id, message.request);
        break;
      case "ask":
        void this.#answer(message.id, message.question);
        break;
      default:
        message satisfies never;
    }
  }

  async #dropLetters(id: number, request: DropRequest): Promise<void> {
    try {
      if (this.#service === undefined) throw new Error("it is starting; try again");
      await sendToSupervisor({ type: "lettersDropped", id, outcome: await this.#service.dropDeadLetters(request) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      await sendToSupervisor({ type: "lettersNotDropped", id, message });
    }
  }

  async #answer(id: number, question: Question): Promise<void> {
    try {
      await sendToSupervisor({ type: "answer", id, value: await this.#inspect(question) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      await sendToSupervisor({ type: "noAnswer", id, message });
    }
  }

  async #inspect(question: Question): Promise<Inspections[Question]> {
    switch (question) {
      case "threads":
        return await readThreads(process.pid);
      case "eventloop":
        return this.#processMetrics.eventLoop;
      case "state":
        if (this.#service === undefined) throw new Error("it is starting; try again");
        return this.#state(this.#service);
      default:
        return question satisfies never;
    }
  }

  async #cut(id: number, request: CutRequest): Promise<void> {
    try {
      if (this.#recorder === undefined) throw new Error("it does not profile itself (PROFILING=false), or is starting");
      await sendToSupervisor({ type: "cut", id, answer: await this.#recorder.cut(request) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      await sendToSupervisor({ type: "notCut", id, message });
    }
  }
}

/**
 * Runs a service in a process that the supervisor forked, until the supervisor says drain or is gone.
 * @returns the exit code.
 */
export async function runWorker(createService: CreateService): Promise<ExitCode> {
  return await new WorkerProcess(createService).run();
}
