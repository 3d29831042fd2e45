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

import { extname, join } from "node:path";
import type { TopicTail } from "../admin/state.ts";
import { systemClock, type Clock } from "../clock.ts";
import { formatAddress, type Config } from "../config.ts";
import { IngestError } from "../errors.ts";
import type { Trigger } from "../incidents/triggers.ts";
import { SUPERVISOR_INTERVAL_MICROS } from "../profiling/profiler.ts";
import { Recorder } from "../profiling/recorder.ts";
import { ProfileRing } from "../profiling/ring.ts";
import { SUPERVISOR_PROCESS } from "../profiling/slice.ts";
import { profilesDirectory, sliceWriter } from "../profiling/slice-files.ts";
import { PRICES, SLOW_PRICES } from "../telemetry/history-reader.ts";
import { LogRing } from "../telemetry/log-ring.ts";
import type { Logger } from "../telemetry/log.ts";
import { openAdminPort } from "./admin-port.ts";
import { AdminView } from "./admin-view.ts";
import { ExitCode } from "./exit-codes.ts";
import { incidentSources } from "./incident-sources.ts";
import { ServiceIncidents } from "./incidents.ts";
import { Live } from "./live/live.ts";
import { SUPERVISOR, SupervisorMetrics, VERSION } from "./metrics.ts";
import { Processes } from "./processes.ts";
import type { WorkerSlot } from "./slot.ts";
import { Timeline } from "./timeline.ts";
import { Traces } from "./traces.ts";
import { START_FAILED_DRAIN_MS, Workers, type WorkersObserver } from "./workers.ts";

export interface SupervisorOptions {
  /** The module that a worker process runs; main.ts. */
  readonly workerEntry?: string;
  /** Takes the one line that says why the service ends by itself. */
  readonly print?: (line: string) => void;
  readonly clock?: Clock;
  /** What keeps the last lines of `log`. */
  readonly logRing?: LogRing;
  /** Reads topics for the page; undefined: it shows none. */
  readonly tail?: TopicTail | undefined;
}

/** main.ts beside this folder, or main.js where it was compiled. */
const MAIN = join(import.meta.dirname, "..", `main${extname(import.meta.filename)}`);

class Supervisor {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #shutdown: AbortSignal;
  readonly #print: (line: string) => void;
  readonly #clock: Clock;
  readonly #metrics: SupervisorMetrics;
  readonly #workers: Workers;
  readonly #incidents: ServiceIncidents;
  readonly #recorder: Recorder | undefined;
  readonly #ring: ProfileRing | undefined;
  readonly #timeline: Timeline;
  readonly #traces: Traces;
  readonly #live: Live;
  readonly #admin: AdminView;
  readonly #end = Promise.withResolvers<{ readonly exitCode: ExitCode; readonly drainMs: number }>();
  #ending = false;

  constructor(config: Config, log: Logger, shutdown: AbortSignal, options: SupervisorOptions) {
    this.#config = config;
    this.#log = log;
    this.#shutdown = shutdown;
    this.#print = options.print ?? ((line) => process.stderr.write(`${line}\n`));
    const clock = options.clock ?? systemClock;
    this.#clock = clock;
    const metrics = new SupervisorMetrics(log, {
      workers: config.workers,
      topicsMax: config.metricsTopicsMax,
      callersMax: config.metricsCallersMax,
      up: (index) => this.#slots[index]!.health().ready,
      ports: () => {
        const address = this.#slots.find((slot) => slot.address !== undefined)?.address;
        return address === undefined ? undefined : [address.port, config.adminListen.port];
      },
    });
    this.#metrics = metrics;
    const dir = profilesDirectory(config.dataDir);
    if (config.profiling) {
      const write = sliceWriter(dir, SUPERVISOR_PROCESS);
      const observer = metrics.recorderObserver;
      this.#recorder = new Recorder({ intervalMicros: SUPERVISOR_INTERVAL_MICROS, write, observer });
      const limits = { dir, ageMaxMs: config.profileAgeMaxMs, bytesMax: config.profileBytesMax };
      this.#ring = new ProfileRing(clock, limits, (bytes) => metrics.profileBytes(bytes));
    }
    const observer: WorkersObserver = {
      pushed: (slot, atMs) => this.#timeline.pushed(slot, atMs),
      spans: (slot, spans) => this.#traces.take(slot, spans),
      ended: (slot) => this.#timeline.ended(slot),
      died: (slot, ending) => this.#incidents.workerEnded(slot, ending),
      failed: (exitCode, message, drainMs) => this.#fail(exitCode, message, drainMs),
    };
    this.#traces = new Traces(config, { log, clock, metrics });
    this.#workers = new Workers(config, options.workerEntry ?? MAIN, { log, clock, metrics, observer });
    const slots = this.#slots;
    const recorder = this.#recorder;
    const logRing = options.logRing ?? new LogRing();
    const processes = new Processes({ clock, slots, metrics, recorder, logRing }, dir);
    this.#timeline = new Timeline(
      { log, clock, slots, own: metrics.own, onTrigger: (trigger) => this.#triggered(trigger) },
      {
        dataDir: config.dataDir,
        triggers: config.incidentTriggers,
        supervisor: SUPERVISOR,
        prices: config.grpcServer === "native" && config.kafkaClient === "direct" ? PRICES : SLOW_PRICES,
      },
    );
    this.#incidents = new ServiceIncidents({
      config,
      slots,
      sources: incidentSources({
        config,
        clock,
        profiles: processes.profiles,
        history: this.#timeline.history,
        inspect: (question) => processes.inspect(question),
        logLines: () => processes.logLines(),
        ledger: () => metrics.ledger.byTopic(),
      }),
      metrics: metrics.incidents,
      version: VERSION,
      log,
      clock,
    });
    const incidents = this.#incidents;
    this.#live = new Live(
      {
        clock,
        slots,
        history: this.#timeline.history,
        readiness: () => this.#admin.readiness(),
        ledger: () => metrics.ledger.byTopic(),
        ledgerMismatches: () => metrics.ledger.findings.length,
        incidents: () => incidents.incidents(),
      },
      {
        version: VERSION,
        supervisor: SUPERVISOR,
        bootstrap: config.kafkaBrokers.map(formatAddress),
        tail: options.tail,
      },
    );
    const live = this.#live;
    this.#admin = new AdminView({ slots, metrics, processes, incidents, live, recorder, isEnding: () => this.#ending });
  }

  get #slots(): readonly WorkerSlot[] {
    return this.#workers.slots;
  }

  async run(): Promise<ExitCode> {
    const onShutdown = () => {
      this.#finish(ExitCode.OK, this.#config.drainTimeoutMs);
    };
    this.#shutdown.addEventListener("abort", onShutdown, { once: true });
    if (this.#shutdown.aborted) return ExitCode.OK;
    this.#log.debug({ workers: this.#config.workers }, "starting");
    this.#workers.start();
    this.#metrics.start();
    this.#incidents.start();
    this.#recorder?.start();
    this.#ring?.start();
    this.#timeline.start();
    this.#live.start();
    const [closeAdmin] = await Promise.all([this.#openAdmin(), this.#startTraces()]);
    const { exitCode, drainMs } = await this.#end.promise;
    const endingAtMs = this.#clock.monotonic();
    await this.#workers.drain(drainMs);
    const leftMs = drainMs - (this.#clock.monotonic() - endingAtMs);
    await Promise.all([this.#incidents.stop(), this.#traces.stop(leftMs)]);
    this.#live.stop();
    await closeAdmin();
    this.#shutdown.removeEventListener("abort", onShutdown);
    // What never ran may have been started on the directory of a service that does.
    await this.#recorder?.stop(this.#workers.wereReady);
    await this.#ring?.stop();
    this.#metrics.stop();
    await this.#timeline.stop();
    const { drainIncomplete, wereReady } = this.#workers;
    const outcome = exitCode === ExitCode.OK && drainIncomplete ? ExitCode.DRAIN_INCOMPLETE : exitCode;
    // A first start that failed has said so in its one line.
    if (wereReady) {
      const durationMs = Math.round(this.#clock.monotonic() - endingAtMs);
      const settled = drainIncomplete ? "not everything" : "everything";
      const level = outcome === ExitCode.OK ? "info" : "error";
      this.#log[level]({ durationMs, exitCode: outcome }, `ended: ${settled} that was taken is settled`);
    }
    return outcome;
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
    this.#workers.end();
    this.#end.resolve({ exitCode, drainMs });
  }

  async #startTraces(): Promise<void> {
    try {
      await this.#traces.start();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#fail(ExitCode.START_FAILED, `traces cannot be exported: ${why}`, START_FAILED_DRAIN_MS);
    }
  }

  // --- the admin port

  async #openAdmin(): Promise<() => Promise<void>> {
    try {
      const port = await openAdminPort(this.#admin, this.#config, this.#clock, this.#log);
      void this.#workers.allReady.then(() => {
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
