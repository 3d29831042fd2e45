import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import test from "node:test";
import { measureTree, parseStat, residentBytes, treeOf } from "../../bench/process-tree.ts";

/** A line of /proc/PID/stat with these fields and zeros elsewhere. */
function statLine(pid: number, name: string, fields: Record<number, number>): string {
  const rest = Array.from({ length: 50 }, (_, i) => fields[i + 3] ?? 0);
  return `${pid} (${name}) S ${rest.slice(1).join(" ")}\n`;
}

test("a process's times include those of the children that it waited for", () => {
  const line = statLine(42, "node", { 4: 7, 14: 100, 15: 20, 16: 3000, 17: 400, 24: 555 });
  assert.deepEqual(parseStat(line), { pid: 42, ppid: 7, cpuTicks: 3520, rssPages: 555 });
});

test("a command's name may hold spaces and parentheses", () => {
  const line = statLine(42, "a) S 1 (b", { 4: 7, 14: 5, 24: 1 });
  assert.deepEqual(parseStat(line), { pid: 42, ppid: 7, cpuTicks: 5, rssPages: 1 });
});

test("a line that is cut is an error", () => {
  assert.throws(() => parseStat("42 (node) S 7 1 2"), /no number in field 14/);
});

test("a tree is its root and every descendant, and nothing else", () => {
  const parents: Record<number, number> = { 1: 0, 10: 1, 11: 10, 12: 10, 13: 12, 20: 1, 21: 20, 2: 0 };
  const processes = Object.entries(parents).map(([pid, ppid]) => ({
    pid: Number(pid),
    ppid,
    cpuTicks: 1,
    rssPages: 1,
  }));
  const pids = (root: number) => treeOf(processes, root).map((process) => process.pid);
  assert.deepEqual(pids(10), [10, 11, 12, 13]);
  assert.deepEqual(pids(21), [21]);
  assert.deepEqual(pids(99), []);
});

test("a process that is its own parent does not go round in circles", () => {
  assert.equal(treeOf([{ pid: 1, ppid: 1, cpuTicks: 0, rssPages: 0 }], 1).length, 1);
});

test("this process's own tree has memory and time", { skip: process.platform !== "linux" }, async (t) => {
  const tree = measureTree(process.pid);
  assert.equal(tree.pids[0], process.pid);
  assert.ok(tree.cpuSeconds > 0);
  assert.ok(tree.rssBytes > 10e6);
  assert.ok(residentBytes([process.pid]) > 10e6);
  const child = spawn(process.execPath, ["-e", "console.log(1); setInterval(() => {}, 1000)"]);
  t.after(() => child.kill());
  await once(child.stdout, "data");
  const { childrenRssBytes } = measureTree(process.pid);
  assert.ok(childrenRssBytes.length >= 1 && childrenRssBytes.every((bytes) => bytes > 10e6));
});
