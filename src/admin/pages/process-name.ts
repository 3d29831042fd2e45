// What people call a process.

/** @param name its `worker` label. @returns `worker 0`, `supervisor` */
export function processName(name: string): string {
  return /^\d+$/.test(name) ? `worker ${name}` : name;
}
