// The worker processes: starts them, starts those again that die, and ends them.
//
// What cannot be started ends the whole during the first boot, so that a wrong setting is one line and an exit code; later it is
// a death like any other, until one dies too often.

import cluster from "node:cluster";
import type { Clock, Timer } from "../clock.ts";
import type { Config } from "../config.ts";
import type { Logger } from "../telemetry/log.ts";
import type { SpanData } from "../tracing/span-data.ts";
import { CrashLoop } from "./crash-loop.ts";
import { ExitCode } from "./exit-codes.ts";
import type { SupervisorMetrics } from "./metrics.ts";
import { type Ending, type SlotObserver, WorkerSlot } from "./slot.ts";
import { WORKER_V8_FLAGS } from "./worker-v8-flags.ts";

/** What else has to know of them. */
export interface WorkersObserver {
  /** Metrics of a worker are new. @param atMs when they were read, in milliseconds since the epoch. */
  pushed(slot: WorkerSlot, atMs: number): void;
  /** Requests were recorded. */
  spans(slot: WorkerSlot, spans: readonly SpanData[]): void;
  ended(slot: WorkerSlot): void;
  /** One ended as it should not. */
  died(slot: WorkerSlot, ending: Ending): void;
  /** The service cannot go on; the workers that are left have so long. */
  failed(exitCode: ExitCode, message: string, drainMs: number): void;
}

export interface WorkersDependencies {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: SupervisorMetrics;
  readonly observer: WorkersObserver;
}

/** What a worker may take beyond its drain deadline until it is killed. */
const KILL_GRACE_MS = 2_000;
/** What workers may take to end when another one cannot start. */
export const START_FAILED_DRAIN_MS = 1_000;

export class Workers implements SlotObserver {
  readonly slots: readonly WorkerSlot[];
  #config: Config;
  readonly #entry: string;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #metrics: SupervisorMetrics;
  readonly #observer: WorkersObserver;
  readonly #crashLoops: readonly CrashLoop[];
  readonly #respawns = new Map<WorkerSlot, Timer>();
  readonly #neverReady: Set<WorkerSlot>;
  readonly #allReady = Promise.withResolvers<void>();
  readonly #allGone = Promise.withResolvers<void>();
  #ending = false;
  #drainIncomplete = false;

  /** @param entry the module that a worker process runs. */
  constructor(config: Config, entry: string, { log, clock, metrics, observer }: WorkersDependencies) {
    this.#config = config;
    this.#entry = entry;
    this.#log = log;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#observer = observer;
    this.slots = Array.from(
      { length: config.workers },
      (_, index) => new WorkerSlot(index, metrics.slot(index), this, clock),
    );
    this.#crashLoops = this.slots.map(() => new CrashLoop());
    this.#neverReady = new Set(this.slots);
  }

  /** Have all of them been ready once? */
  get wereReady(): boolean {
    return this.#neverReady.size === 0;
  }

  /** Resolves when all of them have been. */
  get allReady(): Promise<void> {
    return this.#allReady.promise;
  }

  /** Did one end without having settled everything? */
  get drainIncomplete(): boolean {
    return this.#drainIncomplete;
  }

  start(): void {
    for (const slot of this.slots) this.#start(slot);
  }

  /** From now on a death is an end, and none is started again. */
  end(): void {
    this.#ending = true;
  }

  /** Has them settle what they have taken; kills what has not ended after the deadline. Resolves when all are gone. */
  async drain(drainMs: number): Promise<void> {
    for (const timer of this.#respawns.values()) this.#clock.clearTimeout(timer);
    if (this.slots.every(({ alive }) => !alive)) return;
    if (this.wereReady) this.#log.info({ timeoutMs: drainMs }, "draining");
    for (const slot of this.slots) slot.drain(this.#clock.now() + drainMs);
    const killTimer = this.#clock.setTimeout(() => {
      for (const slot of this.slots.filter(({ alive }) => alive)) {
        this.#log.error({ worker: slot.index }, "worker killed: it did not end after its drain deadline");
        slot.kill();
      }
    }, drainMs + KILL_GRACE_MS);
    await this.#allGone.promise;
    this.#clock.clearTimeout(killTimer);
  }

  // --- what slots tell

  ready(slot: WorkerSlot): void {
    this.#neverReady.delete(slot);
    this.#log.debug({ worker: slot.index, pid: slot.pid }, "worker ready");
    if (this.wereReady) this.#allReady.resolve();
  }

  startFailed(slot: WorkerSlot, message: string): void {
    if (this.#neverReady.has(slot)) this.#observer.failed(ExitCode.START_FAILED, message, START_FAILED_DRAIN_MS);
    else this.#log.error({ worker: slot.index, reason: message }, "worker cannot start");
  }

  pushed(slot: WorkerSlot, atMs: number): void {
    this.#observer.pushed(slot, atMs);
  }

  spans(slot: WorkerSlot, spans: readonly SpanData[]): void {
    this.#observer.spans(slot, spans);
  }

  ended(slot: WorkerSlot, ending: Ending): void {
    this.#observer.ended(slot);
    const { cause, clean, readyForMs, unsettled } = ending;
    if (unsettled > 0)
      this.#log.error({ worker: slot.index, events: unsettled }, "worker ended with events unanswered");
    if (this.#isIncident(slot, ending)) this.#observer.died(slot, ending);
    if (this.#ending) {
      this.#drainIncomplete ||= !clean || unsettled > 0;
      if (this.slots.every(({ alive }) => !alive)) this.#allGone.resolve();
      return;
    }
    this.#log.error({ worker: slot.index, cause }, "worker died");
    if (this.#neverReady.has(slot)) {
      this.#observer.failed(
        ExitCode.START_FAILED,
        `worker ${slot.name} ended before it was ready (${cause})`,
        START_FAILED_DRAIN_MS,
      );
      return;
    }
    const verdict = this.#crashLoops[slot.index]!.died(this.#clock.monotonic(), readyForMs);
    if (verdict.giveUp) {
      const line = `worker ${slot.name} died ${CrashLoop.limits}, the last time with ${cause}; the others are drained`;
      this.#observer.failed(ExitCode.CRASH_LOOP, line, this.#config.drainTimeoutMs);
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

  #start(slot: WorkerSlot): void {
    cluster.setupPrimary({
      exec: this.#entry,
      // For whoever reads the process list; the worker reads nothing from it.
      args: ["worker", slot.name],
      execArgv: [...process.execArgv, ...WORKER_V8_FLAGS],
      serialization: "advanced",
    });
    slot.start(this.#configOfWorker());
  }

  /**
   * With port 0 every worker gets the port that the first one got, as long as one of them holds it. When none does any more,
   * the number is taken from then on, by all of them, so that clients find the service where it was.
   */
  #configOfWorker(): Config {
    const { grpcListen } = this.#config;
    const known = this.slots.find(({ address }) => address !== undefined)?.address;
    if (grpcListen.port === 0 && known !== undefined && this.slots.every(({ alive }) => !alive))
      this.#config = { ...this.#config, grpcListen: { ...grpcListen, port: known.port } };
    return this.#config;
  }
}
