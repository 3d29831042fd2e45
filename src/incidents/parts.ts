// What a bundle holds: each file, and how it is taken.

import type { Question } from "../supervisor/inspection.ts";
import type { Content } from "./bundle.ts";
import { CONFIG, fileOf, HEAP, LEDGER, LOG, logFile, PROFILE_AFTER, PROFILE_BEFORE, VERSIONS } from "./files.ts";
import type { Cause, IncidentKind } from "./incident.ts";
import type { IncidentSources } from "./sources.ts";

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
