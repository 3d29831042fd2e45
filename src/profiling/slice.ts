// A slice: what one process's sampler saw between two cuts, or its heap at one moment, as an encoded and gzipped profile.
//
// Its file's name says everything that is needed to choose it, so that choosing reads directories only:
// `<process>/<fromMs>-<toMs>.<kind>.pb.gz`. Names that are not of this form are somebody else's and are left alone.

export type ProfileKind = "cpu" | "heap";

/** Milliseconds since the epoch. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A heap profile is of one moment: `fromMs` is `toMs`. */
export interface SliceKey extends Span {
  readonly kind: ProfileKind;
}

export interface Slice extends SliceKey {
  /** A pprof profile, gzipped. */
  readonly bytes: Uint8Array;
}

/** The supervisor's directory, and its value of the label `worker`. */
export const SUPERVISOR_PROCESS = "supervisor";

/** The directory of the processes that live in a slot, one after the other. */
export function workerProcess(slot: number | string): string {
  return `worker-${slot}`;
}

/** The value of the label `worker` of what lies in a directory; undefined: it is no process's. */
export function workerLabelOf(process: string): string | undefined {
  return process === SUPERVISOR_PROCESS ? process : /^worker-(\d{1,5})$/.exec(process)?.[1];
}

export function sliceFileName({ fromMs, toMs, kind }: SliceKey): string {
  return `${fromMs}-${toMs}.${kind}.pb.gz`;
}

/** Undefined: the file is no slice. */
export function parseSliceFileName(name: string): SliceKey | undefined {
  const parts = /^(\d{1,15})-(\d{1,15})\.(cpu|heap)\.pb\.gz$/.exec(name);
  if (parts === null) return undefined;
  return { fromMs: Number(parts[1]), toMs: Number(parts[2]), kind: parts[3] === "cpu" ? "cpu" : "heap" };
}

/**
 * Whether a slice has something of a span. A CPU slice that only touches it has not, so a window that begins and ends with cuts is
 * exact.
 */
export function isWithin({ kind, fromMs, toMs }: SliceKey, span: Span): boolean {
  if (kind === "heap") return toMs >= span.fromMs && toMs <= span.toMs;
  return toMs > span.fromMs && fromMs < span.toMs;
}
