// What the CPU is spent on, said by those who know it, for the profiler's samples: a port, so that ingest knows no profiler.
//
// Work that is worth a label is synchronous: a message is transcoded, a record batch produced, an outcome settled in one go. So
// labels are a state of the thread that is put on and taken back, and need not follow promises. Label sets are made once and kept
// where the topic or the call is known; putting on the one that is on already costs a comparison.

/** Label sets are compared by identity; the names are LABEL_NAMES in profiling/labels.ts. */
export type Labels = Readonly<Record<string, string>>;

export const NO_LABELS: Labels = Object.freeze({});

/** One method. */
export interface Origins {
  /** @param peer the caller's address, with its port, or the name that it has shown. */
  of(peer: string): Origin;
}

/** One method as one caller calls it. */
export interface Origin {
  /** The labels of its messages for a topic. */
  of(topic: string): Labels;
}

/** What a worker does for a topic, whoever has called. */
export type TopicStage = "produce" | "settle" | "forward";
/** What it does for all of them at once: it writes to clients, or to the spool's disk. */
export type CommonStage = "write" | "persist";

export interface Attribution {
  /** Of a method's calls; whoever serves it keeps this. */
  origins(method: string): Origins;
  /** Makes a label set, which whoever needs it again keeps. */
  ofTopic(stage: TopicStage, topic: string): Labels;
  ofAll(stage: CommonStage): Labels;
  /** Puts labels on until the end of this turn of the event loop, or until others are put on. */
  mark(labels: Labels): void;
  /** Puts labels on until `leave`, which takes what this returns: those that were on. */
  enter(labels: Labels): Labels;
  leave(previous: Labels): void;
}

const NOWHERE: Origin = { of: () => NO_LABELS };
const NOBODY: Origins = { of: () => NOWHERE };

/** Nobody samples. */
export const noAttribution: Attribution = {
  origins: () => NOBODY,
  ofTopic: () => NO_LABELS,
  ofAll: () => NO_LABELS,
  mark: () => {},
  enter: () => NO_LABELS,
  leave: () => {},
};

/** A caller's name, or its address without its port, because each of its connections has another one. */
export function callerOf(peer: string): string {
  const end = peer.lastIndexOf(":");
  const host = end > 0 && /^\d+$/.test(peer.slice(end + 1)) ? peer.slice(0, end) : peer;
  return host.replace(/^\[(.*)\]$/, "$1");
}
