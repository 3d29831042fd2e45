// One logger a process: JSON lines, one line per fact, never one per event.

import pino, { type Logger } from "pino";

export type { Logger };

export function createLogger(options: { readonly level: string; readonly name: string }): Logger {
  // To standard error, synchronously: standard output belongs to what a command prints, and a line about a crash must be
  // out before the process is.
  return pino(
    {
      level: options.level,
      base: { process: options.name, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}

/** For tests and tools that must stay silent. */
export function silentLogger(): Logger {
  return pino({ level: "silent" });
}
