// All processes of the service, this one among them, as those see them who ask: their profiles, what they say of themselves, their
// last log lines.

import type { Profile } from "pprof-format";
import type { Clock } from "../clock.ts";
import { type CaptureRequest, ProfileCollector } from "../profiling/collect.ts";
import type { CutAnswer, CutRequest, Recorder } from "../profiling/recorder.ts";
import { readThreads } from "../profiling/threads.ts";
import { type LogRing, mergeLines } from "../telemetry/log-ring.ts";
import { type Inspectable, inspectAll, type Inspected, type Inspections, type Question } from "./inspection.ts";
import { SUPERVISOR, type SupervisorMetrics } from "./metrics.ts";
import type { WorkerSlot } from "./slot.ts";

export interface ProcessesDependencies {
  readonly clock: Clock;
  readonly slots: readonly WorkerSlot[];
  readonly metrics: SupervisorMetrics;
  /** Of this process; undefined: nothing is profiled. */
  readonly recorder: Recorder | undefined;
  /** The last lines of this process. */
  readonly logRing: LogRing;
}

export class Processes {
  readonly #slots: readonly WorkerSlot[];
  readonly #metrics: SupervisorMetrics;
  readonly #recorder: Recorder | undefined;
  readonly #logRing: LogRing;
  readonly profiles: ProfileCollector;

  /** @param profilesDir of all processes' slices. */
  constructor({ clock, slots, metrics, recorder, logRing }: ProcessesDependencies, profilesDir: string) {
    this.#slots = slots;
    this.#metrics = metrics;
    this.#recorder = recorder;
    this.#logRing = logRing;
    const own = { name: SUPERVISOR, cut: (request: CutRequest) => this.#cut(request) };
    this.profiles = new ProfileCollector(profilesDir, clock, () => [...slots, own]);
  }

  /** The values of the label `worker`. */
  get profiled(): readonly string[] {
    return this.profiles.names;
  }

  profile(request: CaptureRequest, signal: AbortSignal): Promise<Profile> {
    return this.profiles.take(request, signal);
  }

  /** Every worker's answer, and this process's where it has one. */
  inspect<Q extends Question>(question: Q): Promise<Inspected<Q>[]> {
    const own: Inspectable = { name: SUPERVISOR, ask: (asked) => this.#inspectOwn(asked) };
    return inspectAll(question === "state" ? this.#slots : [...this.#slots, own], question);
  }

  /** The last log lines of all processes, oldest first; those of workers below `info` stay with them. */
  logLines(): string[] {
    return mergeLines([this.#logRing, ...this.#slots.map(({ log }) => log)]);
  }

  async #cut(request: CutRequest): Promise<CutAnswer> {
    if (this.#recorder === undefined) throw new Error("it does not profile itself (PROFILING=false)");
    return await this.#recorder.cut(request);
  }

  async #inspectOwn<Q extends Question>(question: Q): Promise<Inspections[Q]> {
    const answer = question === "threads" ? await readThreads(process.pid) : this.#metrics.eventLoop;
    return answer as Inspections[Q];
  }
}
