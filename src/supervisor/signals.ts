// Signals as main.ts hears them: the first SIGTERM or SIGINT asks to finish, the second ends at once.
//
// Workers ignore both. A terminal's Ctrl-C and some init systems signal the whole process group, and a worker that went by
// itself would look like one that died; the supervisor tells it when to go.

import cluster from "node:cluster";
import { ExitCode } from "./exit-codes.ts";

/** Some shells and npm deliver one Ctrl-C twice; nobody presses it twice as fast as this. */
const SAME_SIGNAL_MS = 100;

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

const lastSteps = new Set<() => void>();

/**
 * Has something done before a second signal ends this process. It must be synchronous and must not throw.
 * @returns takes it back.
 */
export function beforeEndingAtOnce(step: () => void): () => void {
  lastSteps.add(step);
  return () => {
    lastSteps.delete(step);
  };
}

export function ignoreSignals(): void {
  for (const signal of SIGNALS) process.on(signal, () => {});
}

/**
 * @param exit ends this process; called at the second signal, when no worker is left to wait for.
 * @returns is aborted at the first signal.
 */
export function shutdownOnSignals(exit: (code: number) => void): AbortSignal {
  const shutdown = new AbortController();
  let firstAtMs = 0;
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (!shutdown.signal.aborted) {
        firstAtMs = performance.now();
        shutdown.abort(signal);
        return;
      }
      if (performance.now() - firstAtMs < SAME_SIGNAL_MS) return;
      for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill("SIGKILL");
      for (const step of lastSteps) step();
      exit(ExitCode[signal]);
    });
  }
  return shutdown.signal;
}
