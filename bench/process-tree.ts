// What a process and all its descendants have used, from /proc: a server with workers is one server.
//
// A process's own times do not hold its children's until they are waited for; then they are added to the parent's cutime and
// cstime. So the sum of all four over the living tree counts a worker that exited, and it never goes down. It misses just
// the children that a process left to init. Resident bytes count pages that processes share once per process.
//
//   /proc/PID/stat = pid (comm) state ppid ... utime:14 stime:15 cutime:16 cstime:17 ... rss:24 ...

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessStat {
  readonly pid: number;
  readonly ppid: number;
  /** utime + stime + cutime + cstime, in the kernel's ticks. */
  readonly cpuTicks: number;
  readonly rssPages: number;
}

export interface TreeUsage {
  /** The processes of the tree that live, the root first; empty if the root does not live. */
  readonly pids: readonly number[];
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  /** Of each of the root's children: a service's workers. */
  readonly childrenRssBytes: readonly number[];
}

/** Reads one line of /proc/PID/stat; the command's name in its parentheses may hold spaces and parentheses. */
export function parseStat(text: string): ProcessStat {
  const nameEnd = text.lastIndexOf(")");
  const fields = text.slice(nameEnd + 2).split(" ");
  // fields[0] is field 3, the state.
  const field = (n: number) => {
    const value = Number(fields[n - 3]);
    if (!Number.isFinite(value)) throw new Error(`/proc/PID/stat has no number in field ${n}: ${text}`);
    return value;
  };
  return {
    pid: Number.parseInt(text, 10),
    ppid: field(4),
    cpuTicks: field(14) + field(15) + field(16) + field(17),
    rssPages: field(24),
  };
}

/** The processes of `root`'s tree, root first. */
export function treeOf(processes: readonly ProcessStat[], root: number): ProcessStat[] {
  const children = Map.groupBy(processes, (process) => process.ppid);
  const tree = processes.filter((process) => process.pid === root);
  // A list that grows while it is walked: breadth first.
  for (const process of tree) tree.push(...(children.get(process.pid) ?? []).filter((child) => child.pid !== root));
  return tree;
}

/** Measures the tree of a process now. Needs Linux. */
export function measureTree(root: number): TreeUsage {
  const tree = treeOf(readAll(), root);
  const { ticksPerSecond, pageBytes } = units();
  return {
    pids: tree.map((process) => process.pid),
    cpuSeconds: tree.reduce((sum, process) => sum + process.cpuTicks, 0) / ticksPerSecond,
    rssBytes: tree.reduce((sum, process) => sum + process.rssPages, 0) * pageBytes,
    childrenRssBytes: tree.filter(({ ppid }) => ppid === root).map(({ rssPages }) => rssPages * pageBytes),
  };
}

/** The resident bytes of processes that are known already: cheaper than the tree, for sampling while something is measured. */
export function residentBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (read(String(pid))?.rssPages ?? 0), 0) * units().pageBytes;
}

/**
 * The CPU seconds of processes that are known already, to the nanosecond: `/proc/PID/task/TID/schedstat` = on-cpu:ns waiting:ns
 * slices. Misses threads that have ended.
 */
export function threadsCpuSeconds(pids: readonly number[]): number {
  const nanos = pids
    .flatMap(
      (pid) => unlessGone(() => readdirSync(`/proc/${pid}/task`))?.map((tid) => `/proc/${pid}/task/${tid}`) ?? [],
    )
    .map((task) => unlessGone(() => Number.parseInt(readFileSync(`${task}/schedstat`, "utf8"), 10)) ?? 0);
  return nanos.reduce((sum, each) => sum + each, 0) / 1e9;
}

function readAll(): ProcessStat[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => read(name) ?? []);
}

/** @returns undefined for a process that has ended. */
function read(pid: string): ProcessStat | undefined {
  return unlessGone(() => parseStat(readFileSync(`/proc/${pid}/stat`, "utf8")));
}

/** @returns undefined if the process or thread that is read has ended. */
function unlessGone<T>(readIt: () => T): T | undefined {
  try {
    return readIt();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
}

interface Units {
  readonly ticksPerSecond: number;
  readonly pageBytes: number;
}

let known: Units | undefined;

function units(): Units {
  known ??= { ticksPerSecond: getconf("CLK_TCK"), pageBytes: getconf("PAGESIZE") };
  return known;
}

function getconf(name: string): number {
  return Number(execFileSync("getconf", [name], { encoding: "utf8" }));
}
