// Of the processes that take turns, one runs at a time, and each as much as the others.

import assert from "node:assert/strict";
import test from "node:test";
import { Turns } from "../../bench/turns.ts";
import { Child } from "../../scripts/child.ts";

/** Says what it saw: how many of its ticks of a millisecond came, and how many pauses were long. */
const TICKER = `
let ticks = 0, pauses = 0, last = performance.now();
const timer = setInterval(() => {
  const now = performance.now();
  if (now - last > 60) pauses++;
  last = now;
  ticks++;
}, 1);
setTimeout(() => { clearInterval(timer); console.log(JSON.stringify({ ticks, pauses })); }, 3000);
`;

test("processes that take turns are stopped while others run, and all of them end", async () => {
  const ticker = () =>
    new Child({ name: "a ticker", command: process.execPath, args: ["-e", TICKER], cwd: process.cwd(), env: {} });
  const { signal } = new AbortController();
  await using turns = new Turns(100);
  await using first = ticker();
  turns.join(first, process.pid);
  await using second = ticker();
  turns.join(second, process.pid);
  const outputs = await Promise.all([first.output(20_000, signal), second.output(20_000, signal)]);
  const cpuSeconds = turns.cpuSeconds(process.pid);
  assert.ok(cpuSeconds > 0 && cpuSeconds < 6, `${cpuSeconds} CPU seconds in the turns of one`);
  for (const output of outputs) {
    const { ticks, pauses } = JSON.parse(output) as { ticks: number; pauses: number };
    assert.ok(ticks > 0);
    assert.ok(pauses >= 3, `stopped ${pauses} times`);
  }
});
