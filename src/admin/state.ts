// What the admin port shows and does, as callbacks: it knows nothing of how the processes are run.

import type { Readable } from "node:stream";
import type { Incident } from "../incidents/incident.ts";
import type { Profile } from "pprof-format";
import type { CaptureRequest } from "../profiling/collect.ts";
import type { ThreadUsage } from "../profiling/threads.ts";
import type { EventLoopSecond } from "../telemetry/event-loop.ts";
import type { Ledger } from "../telemetry/ledger.ts";
import type { LiveSnapshot } from "./live/model.ts";
import type { Rendered } from "../telemetry/render.ts";

export interface Problem {
  /** Which worker has it; undefined: the whole has. */
  readonly worker: string | undefined;
  /** One sentence. */
  readonly reason: string;
}

export interface Readiness {
  /** True if every worker takes events. */
  readonly ready: boolean;
  /** What is wrong; something may be while events are taken. */
  readonly problems: readonly Problem[];
}

/** Dead letters that are to be dropped. */
export interface LetterDrop {
  readonly letters: readonly string[];
  /** The random id of each log that they were read from, by the number of its worker. */
  readonly logs: Readonly<Record<string, string>>;
  readonly why: "dropped" | "retried";
  /** Who asks, for the service's log. */
  readonly by: string;
}

export interface LettersDropped {
  readonly dropped: readonly string[];
  /** Of the dropped letters. */
  readonly events: number;
  /** They were not there any more. */
  readonly missing: readonly string[];
  /** Why others were not dropped, one sentence each. */
  readonly problems: readonly string[];
}

/** The incidents that were recorded, and that can be. */
export interface IncidentState {
  /** The newest first. */
  incidents(): readonly Incident[];
  incident(id: string): Incident | undefined;
  /** The path of a file of an incident; undefined if there is none of that name. */
  incidentFile(id: string, name: string): string | undefined;
  /** All files of an incident as a gzipped tar. */
  incidentArchive(id: string): Promise<Readable | undefined>;
  /** Records an incident now. Undefined if one is being recorded because somebody asked for it. */
  forceIncident(why: string): Promise<Incident | undefined>;
}

/** What every process can be asked, and what it answers. */
export interface Observations {
  /** Its native threads. */
  readonly threads: readonly ThreadUsage[];
  /** The event loop's delay in each of the last 60 seconds, oldest first. */
  readonly eventloop: readonly EventLoopSecond[];
}

/** One process's answer, or in one sentence why there is none. */
export type Observed<T> =
  | { readonly worker: string; readonly value: T; readonly reason?: undefined }
  | { readonly worker: string; readonly value?: undefined; readonly reason: string };

/** An event of a topic. */
export interface TailedEvent {
  /** As one line of JSON, made when it is asked for. */
  line(): string;
}

/** Reads a topic as events come in, from now on; whenever `skip` says so, it goes on at the end. */
export type TopicTail = (
  topic: string,
  skip: () => boolean,
  signal: AbortSignal,
) => AsyncIterable<readonly TailedEvent[]>;

/** Now and the last fifteen minutes. */
export interface LiveState {
  /** @param sinceMs which seconds its history has: those that ended after it, in milliseconds since the epoch. */
  live(sinceMs: number): LiveSnapshot;
  /** Calls at the end of every second. @returns what ends that. */
  watchLive(watcher: () => void): () => void;
  /** Undefined: topics are not shown here (ADMIN_TAIL). */
  readonly tail: TopicTail | undefined;
}

export interface AdminState extends IncidentState, LiveState {
  renderMetrics(openMetrics: boolean): Promise<Rendered>;
  readiness(): Readiness;
  /** Sums over workers, by topic. */
  ledger(): ReadonlyMap<string, Ledger>;
  /** Every process that can be profiled, by its `worker` label. */
  readonly profiled: readonly string[];
  /** @throws CaptureError if there is nothing of any process. */
  profile(request: CaptureRequest, signal: AbortSignal): Promise<Profile>;
  /** What the service was started with, without secrets. */
  readonly commandLine: readonly string[];
  /** Asks every process, and waits no longer than a few seconds for it. */
  inspect<Q extends keyof Observations>(question: Q): Promise<readonly Observed<Observations[Q]>[]>;
  /** Resolves when what was dropped is so on disk. */
  dropLetters(drop: LetterDrop): Promise<LettersDropped>;
}
