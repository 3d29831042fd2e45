// One test file, or several that share a process (sharing.ts), run as a process group of its own that is bounded in time and
// leaves nobody behind.
//
// Rejected: run() of node:test. Its timeout ends a test, but not a file whose sockets or timers stay open, and it does not
// tell the pids that would be needed to end what hangs.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

import type { Outcome } from "./reporter.ts";

export interface FileResult {
  readonly file: string;
  readonly passed: number;
  readonly skipped: number;
  /** From the end of the file before it in the same process, if there was one. */
  readonly durationMs: number;
  /** One text for each failure: which test, where, why. Empty if all is well. */
  readonly failures: readonly string[];
  /** What its process printed, the end if that is long. */
  readonly output: string;
}

export interface FileOptions {
  /** The folder of the repository, which paths are told relative to. */
  readonly root: string;
  /** A test that takes longer fails; a file that takes longer is ended, and so are several of which no test ends for so long. */
  readonly timeoutMs: number;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

/** What the process has told of one file. */
interface Told {
  readonly file: string;
  readonly outcomes: Outcome[];
  endedMs?: number;
}

const REPORTER = join(import.meta.dirname, "reporter.ts");
const SHARED = join(import.meta.dirname, "shared.ts");
const OUTPUT_CHARS_MAX = 64_000;
/** How long a file may take to end once it is told to. */
const END_GRACE_MS = 3_000;
const PIPES_GRACE_MS = 500;
/** How long files that share a process may keep it after their last test. */
const LAST_WORDS_MS = 10_000;

/** @param files absolute paths; several run one after the other in one process. @returns one result for each, in order. */
export async function runTestFiles(files: readonly string[], options: FileOptions): Promise<FileResult[]> {
  const { root, timeoutMs, env, signal } = options;
  const shares = files.length > 1;
  const began = performance.now();
  const args = [
    `--test-timeout=${timeoutMs}`,
    `--test-reporter=${REPORTER}`,
    "--test-reporter-destination=stdout",
    ...(shares ? [SHARED] : []),
    ...files,
  ];
  const child = spawn(process.execPath, args, {
    cwd: root,
    env,
    // A process group of its own, so that whatever it started can be ended with it.
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-OUTPUT_CHARS_MAX);
    });
  }

  const failures: string[] = [];
  let force: NodeJS.Timeout | undefined;
  const end = (why: string): void => {
    failures.push(why);
    signalGroup(child.pid, "SIGTERM");
    force ??= setTimeout(() => signalGroup(child.pid, "SIGKILL"), END_GRACE_MS);
  };
  // Later than the limit of a test, so that a test that hangs is told by its name.
  const timer = setTimeout(() => {
    end(`the file has not ended after ${timeoutMs / 1000} s: a test hangs, or a socket, timer or child stays open`);
  }, timeoutMs + END_GRACE_MS);
  const onAbort = (): void => {
    end("interrupted");
  };
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();

  // Who fails may leave something open, and has been told of.
  let lastWords: NodeJS.Timeout | undefined;
  const told = files.map((file): Told => ({ file, outcomes: [] }));
  createInterface({ input: child.stdio[3] as Readable }).on("line", (line) => {
    // A file that is killed may leave half a line.
    if (!line.endsWith("}")) return;
    const outcome = JSON.parse(line) as Outcome;
    if (!shares) {
      told[0]?.outcomes.push(outcome);
      return;
    }
    timer.refresh();
    const current = told.find(({ endedMs }) => endedMs === undefined);
    if (current === undefined) return;
    if (outcome.path.length > 1 || outcome.path[0] !== current.file) {
      current.outcomes.push(outcome);
      return;
    }
    current.endedMs = performance.now();
    if (current === told.at(-1))
      lastWords = setTimeout(end, LAST_WORDS_MS, "a timer or a child that it left keeps its process");
    if (outcome.result === "failed") current.outcomes.push({ ...outcome, path: [] });
  });

  const [code, killedBy] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  clearTimeout(lastWords);
  clearTimeout(force);
  signal.removeEventListener("abort", onAbort);
  if (groupLives(child.pid) && signalGroup(child.pid, "SIGKILL") && failures.length === 0) {
    failures.push("the file left processes running; they are ended now");
  }
  // The pipes end with the last process that holds them; one outside of the group must not hold up the run.
  await Promise.race([closed, sleep(PIPES_GRACE_MS, undefined, { ref: false })]);
  for (const stream of child.stdio) stream?.destroy();

  const hasFailed = told.some(({ outcomes }) => outcomes.some(({ result }) => result === "failed"));
  if (failures.length === 0 && code !== 0 && !hasFailed)
    failures.push(`the file ended with ${killedBy ?? `exit code ${code}`}`);
  // The one that was under way, else the last.
  const blamed = shares ? (told.find(({ endedMs }) => endedMs === undefined) ?? told.at(-1)) : told[0];
  let previousMs = began;
  return told.map((of) => {
    const { file, outcomes, endedMs = performance.now() } = of;
    const durationMs = endedMs - previousMs;
    previousMs = endedMs;
    const own =
      of === blamed ? failures.map((failure) => (shares ? besides(failure, file, files, root) : failure)) : [];
    for (const { result, path, location, message } of outcomes) {
      if (result !== "failed") continue;
      const where = path.length === 0 ? [] : [path.join(" > "), shorten(location, root)];
      own.push([...where, message].join("\n"));
    }
    if (own.length === 0 && outcomes.length === 0) {
      const hasRun = !shares || of.endedMs !== undefined;
      own.push(hasRun ? "the file holds no tests" : "the file did not run: its process had ended before");
    }
    const count = (result: Outcome["result"]): number => outcomes.filter((outcome) => outcome.result === result).length;
    return {
      file: relative(root, file),
      passed: count("passed"),
      skipped: count("skipped"),
      durationMs,
      failures: own,
      output,
    };
  });
}

function besides(failure: string, file: string, files: readonly string[], root: string): string {
  const others = files.filter((other) => other !== file).map((other) => relative(root, other));
  return `${failure}\nit shared its process with ${others.join(", ")}`;
}

/** Signals every process of the group that the child leads; false if there is none. */
function signalGroup(leader: number | undefined, signal: NodeJS.Signals): boolean {
  if (leader === undefined) return false;
  try {
    return process.kill(-leader, signal);
  } catch {
    return false;
  }
}

/** A process that has ended, and that nobody has asked for its exit code yet, is in its group still. */
function groupLives(leader: number | undefined): boolean {
  if (leader === undefined) return false;
  if (!existsSync("/proc/self/stat")) return true;
  return readdirSync("/proc").some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      // proc_pid_stat(5): the second field is a name that may hold blanks and parentheses.
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return Number(group) === leader && state !== "Z" && state !== "X";
    } catch {
      return false;
    }
  });
}

function shorten(location: string, root: string): string {
  return location.replace(/^file:\/\//, "").replace(`${root}/`, "");
}
