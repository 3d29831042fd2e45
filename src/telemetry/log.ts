// One logger a process: JSON lines, one line per fact, never one per event.

import pino, { type Logger } from "pino";
import { type LogRing, RingSink } from "./log-ring.ts";

export type { Logger };

export interface LogOptions {
  readonly level: string;
  /** The value of `process` in each line. */
  readonly name: string;
  /** Keeps the last lines. */
  readonly ring?: LogRing;
}

export function createLogger({ level, name, ring }: LogOptions): Logger {
  // To standard error, synchronously: standard output belongs to what a command prints, and a line about a crash must be
  // out before the process is.
  const destination = pino.destination({ fd: 2, sync: true });
  return pino(
    {
      level,
      base: { process: name, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    ring === undefined ? destination : new RingSink(destination, ring),
  );
}

/** For tests and tools that must stay silent. */
export function silentLogger(): Logger {
  return pino({ level: "silent" });
}
