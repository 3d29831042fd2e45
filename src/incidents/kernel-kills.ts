// How many processes of this cgroup the kernel has killed because its memory limit was reached; what it kills gets SIGKILL, as
// from anybody else.

import { readFile } from "node:fs/promises";

const EVENTS = "/sys/fs/cgroup/memory.events";

/** 0 where the kernel does not say (cgroup v1, no Linux). */
export async function kernelKills(path = EVENTS): Promise<number> {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(await readFile(path, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
