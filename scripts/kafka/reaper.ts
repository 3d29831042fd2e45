// Brokers and their data must not outlive the process that started them, however it ends.
//
// Three nets, because none holds alone: an exit handler (not run when a signal kills), signal handlers (not run for
// SIGKILL), and on Linux the kernel's parent-death signal through setpriv(1), which also covers SIGKILL of the parent.
// Data directories of a parent that was killed stay behind in the system's temporary directory.

import { accessSync, constants, rmSync } from "node:fs";
import { delimiter, join } from "node:path";

const pids = new Set<number>();
const directories = new Set<string>();
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
let installed = false;

/** The command that runs `command` and lets the kernel end it with this process, where it can. */
export function endedWithParent(command: string, args: readonly string[]): readonly [string, readonly string[]] {
  const setpriv = process.platform === "linux" ? findInPath("setpriv") : undefined;
  return setpriv === undefined ? [command, args] : [setpriv, ["--pdeathsig", "KILL", command, ...args]];
}

export function reapProcess(pid: number): void {
  install();
  pids.add(pid);
}

export function reapDirectory(path: string): void {
  install();
  directories.add(path);
}

/** The process has ended by itself. */
export function forgetProcess(pid: number): void {
  pids.delete(pid);
}

/** Removes the directory now. */
export function removeDirectory(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 5 });
  directories.delete(path);
}

function install(): void {
  if (installed) return;
  installed = true;
  process.on("exit", reap);
  for (const signal of SIGNALS) {
    const onSignal = (): void => {
      // Somebody else handles the signal and will end the process in order.
      if (process.listenerCount(signal) > 1) return;
      reap();
      process.removeListener(signal, onSignal);
      process.kill(process.pid, signal);
    };
    // First in line: a listener that is there `once` must still count.
    process.prependListener(signal, onSignal);
  }
}

function reap(): void {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It is gone already, which is what is wanted.
    }
  }
  pids.clear();
  for (const directory of directories) removeDirectory(directory);
}

function findInPath(command: string): string | undefined {
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(directory, command);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not there; the next one may have it.
    }
  }
  return undefined;
}
