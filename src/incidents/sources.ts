// Where the recorder gets what a bundle holds, as callbacks: it knows nothing of processes, profilers and disks.

import type { Question } from "../supervisor/inspection.ts";

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
