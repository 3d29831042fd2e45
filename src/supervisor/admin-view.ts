// The service as its admin port sees it.

import type { Profile } from "pprof-format";
import type { AdminState, LetterDrop, LettersDropped, Readiness } from "../admin/state.ts";
import { redactedArguments } from "../config.ts";
import type { CaptureRequest } from "../profiling/collect.ts";
import type { Recorder } from "../profiling/recorder.ts";
import { ALL_WORKERS, ledgerProblem } from "../telemetry/ledger-watch.ts";
import { dropFromSlots } from "./dead-letters.ts";
import type { ServiceIncidents } from "./incidents.ts";
import type { Inspected, Question } from "./inspection.ts";
import type { Live } from "./live/live.ts";
import type { SupervisorMetrics } from "./metrics.ts";
import type { Processes } from "./processes.ts";
import type { WorkerSlot } from "./slot.ts";

export interface AdminViewDependencies {
  readonly slots: readonly WorkerSlot[];
  readonly metrics: SupervisorMetrics;
  readonly processes: Processes;
  readonly incidents: ServiceIncidents;
  readonly live: Live;
  /** Of this process. */
  readonly recorder: Recorder | undefined;
  readonly isEnding: () => boolean;
}

export class AdminView implements AdminState {
  readonly #slots: readonly WorkerSlot[];
  readonly #metrics: SupervisorMetrics;
  readonly #processes: Processes;
  readonly #incidents: ServiceIncidents;
  readonly #live: Live;
  readonly #recorder: Recorder | undefined;
  readonly #isEnding: () => boolean;

  constructor({ slots, metrics, processes, incidents, live, recorder, isEnding }: AdminViewDependencies) {
    this.#slots = slots;
    this.#metrics = metrics;
    this.#processes = processes;
    this.#incidents = incidents;
    this.#live = live;
    this.#recorder = recorder;
    this.#isEnding = isEnding;
  }

  get commandLine(): readonly string[] {
    return redactedArguments([process.execPath, ...process.execArgv, ...process.argv.slice(1)]);
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
    const whole = this.#isEnding() ? [{ worker: undefined, reason: "draining" }] : [];
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
    return { ready: !this.#isEnding() && healths.every(({ ready }) => ready), problems };
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

  live(sinceMs: number) {
    return this.#live.live(sinceMs);
  }

  watchLive(watcher: () => void) {
    return this.#live.watchLive(watcher);
  }

  get tail() {
    return this.#live.tail;
  }

  get profiled(): readonly string[] {
    return this.#processes.profiled;
  }

  profile(request: CaptureRequest, signal: AbortSignal): Promise<Profile> {
    return this.#processes.profile(request, signal);
  }

  inspect<Q extends Question>(question: Q): Promise<Inspected<Q>[]> {
    return this.#processes.inspect(question);
  }
}
