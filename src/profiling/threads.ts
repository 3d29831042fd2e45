// The native threads of a process: what each has used of the CPU, how long it waited for one, and how often it was switched out.
//
// It tells apart what a profile shows as one node beside JavaScript: libuv's pool, V8's collector and compiler. Linux only, and
// read from outside as well as from inside: the supervisor reads it of a worker whose event loop never turns again.
//
//   /proc/PID/task/TID/stat       pid (comm) state ppid ... utime(14) stime(15): in clock ticks, USER_HZ of which are a second
//   /proc/PID/task/TID/schedstat  time on the CPU, time on a run queue (both ns), timeslices
//   /proc/PID/task/TID/status     "voluntary_ctxt_switches:\t123", "nonvoluntary_ctxt_switches:\t45"

import { readdir, readFile } from "node:fs/promises";

/** One thread, since it was started. */
export interface ThreadUsage {
  readonly tid: number;
  /** As the kernel has it: at most 15 characters; the main thread has the name of the program. */
  readonly name: string;
  readonly cpuUserSeconds: number;
  readonly cpuSystemSeconds: number;
  /** How long it could have run, and no CPU was free; undefined where the kernel does not count it. */
  readonly runQueueSeconds: number | undefined;
  /** Times it went to sleep by itself. */
  readonly voluntarySwitches: number;
  /** Times it was put aside for another. */
  readonly involuntarySwitches: number;
}

/** What is read of one thread. */
export interface ThreadFiles {
  readonly stat: string;
  /** Undefined where the kernel has no such file. */
  readonly schedstat: string | undefined;
  readonly status: string;
}

/** USER_HZ: 100 on every architecture that Node.js runs on. */
const TICKS_PER_SECOND = 100;
/** A process has about a dozen; one that has more than this is not read to the end. */
const THREADS_MAX = 1_000;

/**
 * The threads of a process, those that used most CPU first.
 * @throws an Error for people if the process is gone, or this system has no such files.
 */
export async function readThreads(pid: number): Promise<ThreadUsage[]> {
  const tasks = `/proc/${pid}/task`;
  let tids: string[];
  try {
    tids = await readdir(tasks);
  } catch (cause) {
    const message =
      process.platform === "linux"
        ? `process ${pid} is gone`
        : `native threads are read from /proc, which ${process.platform} does not have`;
    throw new Error(message, { cause });
  }
  const threads = await Promise.all(tids.slice(0, THREADS_MAX).map((tid) => readThread(tasks, Number(tid))));
  return threads
    .filter((thread) => thread !== undefined)
    .sort((a, b) => b.cpuUserSeconds + b.cpuSystemSeconds - (a.cpuUserSeconds + a.cpuSystemSeconds));
}

/** Undefined if it ended meanwhile. */
async function readThread(tasks: string, tid: number): Promise<ThreadUsage | undefined> {
  try {
    const [stat, schedstat, status] = await Promise.all([
      readFile(`${tasks}/${tid}/stat`, "utf8"),
      readFile(`${tasks}/${tid}/schedstat`, "utf8").catch(() => undefined),
      readFile(`${tasks}/${tid}/status`, "utf8"),
    ]);
    return parseThread(tid, { stat, schedstat, status });
  } catch {
    return undefined;
  }
}

/** A name may hold blanks and parentheses, so fields are counted from the last one. */
export function parseThread(tid: number, { stat, schedstat, status }: ThreadFiles): ThreadUsage {
  const nameEnd = stat.lastIndexOf(")");
  // The first of these is the third field of proc_pid_stat(5).
  const fields = stat.slice(nameEnd + 2).split(" ", 13);
  const waitedNs = schedstat?.split(" ", 2)[1];
  return {
    tid,
    name: stat.slice(stat.indexOf("(") + 1, nameEnd),
    cpuUserSeconds: Number(fields[11]) / TICKS_PER_SECOND,
    cpuSystemSeconds: Number(fields[12]) / TICKS_PER_SECOND,
    runQueueSeconds: waitedNs === undefined ? undefined : Number(waitedNs) / 1e9,
    voluntarySwitches: numberAfter(status, "\nvoluntary_ctxt_switches:"),
    involuntarySwitches: numberAfter(status, "\nnonvoluntary_ctxt_switches:"),
  };
}

function numberAfter(text: string, name: string): number {
  const at = text.indexOf(name);
  return at < 0 ? 0 : Number.parseInt(text.slice(at + name.length), 10);
}
