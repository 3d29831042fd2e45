// What the control group of this process allows: its memory and its CPU, and how often it was held back.
//
// In a container these are the real limits: the host's memory and cores say nothing. Limits are hierarchical, so the tightest of
// the group and those above it counts. Version 2 has one tree, version 1 one for each controller; hosts with both have the
// controllers in version 1.
//
//   /proc/self/cgroup      "0::/path" (v2), "4:memory:/path", "1:cpu,cpuacct:/path" (v1)
//   v2  memory.current     bytes
//       memory.max         bytes or "max"          cpu.max "quota period" in µs, or "max period"
//       cpu.stat           nr_periods, nr_throttled, throttled_usec
//   v1  memory.usage_in_bytes
//       memory.limit_in_bytes                      cpu.cfs_quota_us (-1: none), cpu.cfs_period_us
//       cpu.stat           nr_periods, nr_throttled, throttled_time (ns)

import { readFileSync } from "node:fs";
import { posix } from "node:path";

/** The text of a file; undefined if it is not there or cannot be read. */
export type ReadFile = (path: string) => string | undefined;

export interface CpuThrottling {
  /** Periods in which the group wanted to run, and those in which it was not allowed to go on. */
  readonly periods: number;
  readonly throttledPeriods: number;
  readonly throttledSeconds: number;
}

const ROOT = "/sys/fs/cgroup";
/** Version 1 says "no limit" as the largest number of bytes that whole pages have. */
const UNLIMITED_V1 = 2 ** 62;

function readReal(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** The directories of a controller: the group's own, then those above it. */
function directories(mount: string, path: string): string[] {
  const found: string[] = [];
  for (let at = path; ; at = posix.dirname(at)) {
    if (at === "/" || at === ".") return [...found, mount];
    found.push(posix.join(mount, at));
  }
}

export class Cgroup {
  readonly #readFile: ReadFile;
  readonly #memory: readonly string[];
  readonly #cpu: readonly string[];
  readonly #v1Memory: boolean;
  readonly #v1Cpu: boolean;

  /** Looks up once which group this process is in. */
  constructor(readFile: ReadFile = readReal) {
    this.#readFile = readFile;
    const groups = new Map<string, { readonly mount: string; readonly path: string }>();
    for (const line of (readFile("/proc/self/cgroup") ?? "").split("\n")) {
      const [, controllers = "", path = ""] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
      if (path === "") continue;
      for (const controller of controllers.split(","))
        groups.set(controller, { mount: `${ROOT}/${controllers}`, path });
    }
    const v2 = { mount: ROOT, path: groups.get("")?.path ?? "/" };
    const memory = groups.get("memory");
    const cpu = groups.get("cpu");
    this.#v1Memory = memory !== undefined;
    this.#v1Cpu = cpu !== undefined;
    this.#memory = directories((memory ?? v2).mount, (memory ?? v2).path);
    this.#cpu = directories((cpu ?? v2).mount, (cpu ?? v2).path);
  }

  /** In bytes; Infinity: no limit, or none that can be seen. */
  memoryLimitBytes(): number {
    const limits = this.#memory.map((directory) => {
      const text = this.#readFile(`${directory}/${this.#v1Memory ? "memory.limit_in_bytes" : "memory.max"}`)?.trim();
      const bytes = text === undefined || text === "max" || text === "" ? Infinity : Number(text);
      return bytes >= UNLIMITED_V1 || Number.isNaN(bytes) ? Infinity : bytes;
    });
    return Math.min(...limits);
  }

  /** What the group itself takes, in bytes; undefined where the system does not say. */
  memoryBytes(): number | undefined {
    for (const directory of this.#memory) {
      const text = this.#readFile(`${directory}/${this.#v1Memory ? "memory.usage_in_bytes" : "memory.current"}`);
      const bytes = text === undefined || text.trim() === "" ? Number.NaN : Number(text);
      if (!Number.isNaN(bytes)) return bytes;
    }
    return undefined;
  }

  /** In cores; Infinity: no limit, or none that can be seen. */
  cpuLimitCores(): number {
    const limits = this.#cpu.map((directory) => {
      const [quota, period] = this.#v1Cpu
        ? [this.#readFile(`${directory}/cpu.cfs_quota_us`), this.#readFile(`${directory}/cpu.cfs_period_us`)]
        : (this.#readFile(`${directory}/cpu.max`)?.trim().split(" ") ?? []);
      const cores = Number(quota) / Number(period);
      return cores > 0 ? cores : Infinity;
    });
    return Math.min(...limits);
  }

  /** Of the group itself, since it was made; undefined if nobody counts it. */
  throttling(): CpuThrottling | undefined {
    for (const directory of this.#cpu) {
      const text = this.#readFile(`${directory}/cpu.stat`);
      if (text === undefined) continue;
      const count = (name: string) => {
        const match = new RegExp(`^${name} (\\d+)$`, "m").exec(text);
        return match === null ? undefined : Number(match[1]);
      };
      const periods = count("nr_periods");
      if (periods === undefined) return undefined;
      const usec = count("throttled_usec") ?? (count("throttled_time") ?? 0) / 1000;
      return { periods, throttledPeriods: count("nr_throttled") ?? 0, throttledSeconds: usec / 1e6 };
    }
    return undefined;
  }
}

/** The host's memory in bytes; Infinity where the system does not say. */
export function hostMemoryBytes(readFile: ReadFile = readReal): number {
  const kib = /^MemTotal:\s+(\d+) kB$/m.exec(readFile("/proc/meminfo") ?? "")?.[1];
  return kib === undefined ? Infinity : Number(kib) * 1024;
}
