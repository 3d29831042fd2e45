// What the admin port shows, as callbacks: it knows nothing of how the processes are run.

import type { ProfileSource } from "../profiling/collect.ts";
import type { Ledger } from "../telemetry/ledger.ts";
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

export interface AdminState {
  renderMetrics(openMetrics: boolean): Promise<Rendered>;
  readiness(): Readiness;
  /** Sums over workers, by topic. */
  ledger(): ReadonlyMap<string, Ledger>;
  /** Every process that can be profiled, by its `worker` label. */
  sources(): readonly ProfileSource[];
}
