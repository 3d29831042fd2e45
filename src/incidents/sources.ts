// Where the recorder gets what a bundle holds, as callbacks: it knows nothing of processes, profilers and disks.

import type { Content } from "./bundle.ts";
import type { Question } from "../supervisor/inspection.ts";
import type { Cause, IncidentKind } from "./incident.ts";

/** Each rejects with a sentence if it cannot; then the bundle tells so and goes without. */
export interface IncidentSources {
  /**
   * The CPU profile of all processes between two times, merged, as gzipped pprof. Of a process that is dead or stuck it has what
   * that one left on disk.
   */
  cpuProfile(fromMs: number, toMs: number): Promise<Uint8Array>;
  /** The heap profile of a process as it is now, or of all, as gzipped pprof. */
  heapProfile(worker: string | undefined): Promise<Uint8Array>;
  /** The last heap profile that a process, or all, left on disk before a time. */
  pastHeapProfile(worker: string | undefined, toMs: number): Promise<Uint8Array>;
  /** Every process's answer by its name; what one could not say stands there as `{ problem }`. */
  inspect(question: Question): Promise<Readonly<Record<string, unknown>>>;
  /** The key metrics, one value a second. */
  history(fromMs: number, toMs: number): unknown;
  /** The last log lines of all processes until then, in order of time. */
  logLines(toMs: number): readonly string[];
  ledger(): unknown;
  versions(): unknown;
  /** Without secrets. */
  config(): Readonly<Record<string, unknown>>;
}

/** A file that came with the cause: what a dying process left. */
export interface Attachment {
  readonly name: string;
  readonly content: Content;
}

/** How the recorder looks at an incident. */
export interface Scene {
  readonly cause: Cause;
  readonly sources: IncidentSources;
  /** The windows of the profiles: from `beforeMs` to the cause, and from there to `afterMs`; since the epoch. */
  readonly beforeMs: number;
  readonly afterMs: number;
}

export interface Part {
  readonly name: string;
  readonly take: (scene: Scene) => Promise<Content | undefined>;
}

export const LOG = "log.ndjson";
export const LEDGER = "ledger.json";
export const VERSIONS = "versions.json";
export const CONFIG = "config.json";

/** A value as a file of a bundle. */
export const fileOf = (value: unknown): string => `${JSON.stringify(value, undefined, 1)}\n`;

/** Lines of the log as a file of a bundle. */
export const logFile = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join("");

const inspected = (name: string, question: Question): Part => ({
  name,
  take: async ({ sources }) => fileOf(await sources.inspect(question)),
});

const history: Part = {
  name: "history.json",
  take: async ({ sources, beforeMs, afterMs }) => fileOf(await sources.history(beforeMs, afterMs)),
};

const log: Part = {
  name: LOG,
  take: async ({ sources, afterMs }) => {
    const lines = sources.logLines(afterMs);
    return lines.length === 0 ? undefined : logFile(lines);
  },
};

/** The heap of the process that is told of, or of all; of one that ran out of memory, as it was at its limit. */
export const HEAP = "heap.pb.gz";

/** The process is gone: what runs in its place now has another heap. */
const ENDED: ReadonlySet<IncidentKind> = new Set<IncidentKind>([
  "crash",
  "fatal_signal",
  "out_of_memory",
  "supervisor_died",
]);

const heap: Part = {
  name: HEAP,
  take: ({ sources, cause: { kind, worker, atMs } }) =>
    ENDED.has(kind) ? sources.pastHeapProfile(worker, atMs) : sources.heapProfile(worker),
};

export const PROFILE_BEFORE = "profile-before.pb.gz";
/** What a thread that never came back was seen doing. */
export const PROFILE_STUCK = "profile-stuck.pb.gz";
export const STACK = "stack.txt";
export const PROFILE_AFTER = "profile-after.pb.gz";

const profileBefore: Part = {
  name: PROFILE_BEFORE,
  take: ({ sources, cause, beforeMs }) => sources.cpuProfile(beforeMs, cause.atMs),
};

const profileAfter: Part = {
  name: PROFILE_AFTER,
  take: ({ sources, cause, afterMs }) => sources.cpuProfile(cause.atMs, afterMs),
};

/** What is taken at once: first what passes soonest. */
export const AT_ONCE: readonly Part[] = [
  log,
  history,
  inspected("threads.json", "threads"),
  inspected("eventloop.json", "eventloop"),
  inspected("state.json", "state"),
  { name: LEDGER, take: async ({ sources }) => fileOf(sources.ledger()) },
  { name: VERSIONS, take: async ({ sources }) => fileOf(sources.versions()) },
  { name: CONFIG, take: async ({ sources }) => fileOf(sources.config()) },
  heap,
  profileBefore,
];

/** What is taken when the time after the cause is over; history and log lines again, with that time in them. */
export const AFTERWARDS: readonly Part[] = [profileAfter, history, log];

/** What can be had of a run that is over: what it left on disk. The rest of it comes as attachments; see past-run.ts. */
export const OF_A_PAST_RUN: readonly Part[] = [history, log, heap, profileBefore, profileAfter];
