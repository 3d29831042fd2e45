// Every exit code of `sluice serve`, in one table. Whoever runs it can tell from the number what to do.

export const ExitCode = {
  /** Everything that was taken is settled; SIGTERM and SIGINT end so. */
  OK: 0,
  /** A bug: something was thrown that nobody expected. */
  INTERNAL: 1,
  /** A mistake in the configuration or on the command line; nothing was started. */
  USAGE: 2,
  /** It cannot start: a port is busy, a directory is not writable, the spool is locked. Nothing is left running. */
  START_FAILED: 3,
  /** A worker died again and again; the others were drained. */
  CRASH_LOOP: 4,
  /** A worker was killed, or died, before it had finished what it had taken. */
  DRAIN_INCOMPLETE: 5,
  /** A second SIGINT: ended at once, nothing was waited for. */
  SIGINT: 130,
  /** A second SIGTERM: ended at once, nothing was waited for. */
  SIGTERM: 143,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];
