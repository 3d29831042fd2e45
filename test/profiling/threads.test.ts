import assert from "node:assert/strict";
import test from "node:test";
import { parseThread, readThreads } from "../../src/profiling/threads.ts";

const STAT =
  "4711 (rdk:broker (1) x) S 1 4711 4711 0 -1 4194304 812 0 3 0 1234 56 0 0 20 0 11 0 99 1000 200 18446744073709551615";
const STATUS = "Name:\trdk\nvoluntary_ctxt_switches:\t301\nnonvoluntary_ctxt_switches:\t17\n";

test("a thread whose name has blanks and parentheses is read by its last one", () => {
  assert.deepEqual(parseThread(4711, { stat: STAT, schedstat: "12900000000 2500000000 318\n", status: STATUS }), {
    tid: 4711,
    name: "rdk:broker (1) x",
    cpuUserSeconds: 12.34,
    cpuSystemSeconds: 0.56,
    runQueueSeconds: 2.5,
    voluntarySwitches: 301,
    involuntarySwitches: 17,
  });
});

test("a kernel without schedstat leaves the wait unknown, not zero", () => {
  const thread = parseThread(1, { stat: STAT, schedstat: undefined, status: STATUS });
  assert.equal(thread.runQueueSeconds, undefined);
});

const NO_PROC = process.platform === "linux" ? false : "there is no /proc";

test(
  "a process reads its own threads, the main one among them, in order of their CPU time",
  { skip: NO_PROC },
  async () => {
    const threads = await readThreads(process.pid);
    assert.ok(threads.some(({ tid }) => tid === process.pid));
    assert.ok(threads.length > 1, "V8's and libuv's are there");
    const used = threads.map(({ cpuUserSeconds, cpuSystemSeconds }) => cpuUserSeconds + cpuSystemSeconds);
    assert.deepEqual(
      used,
      [...used].sort((a, b) => b - a),
    );
    assert.ok(threads.every(({ voluntarySwitches }) => Number.isInteger(voluntarySwitches)));
  },
);

test("a process that is gone is a sentence", { skip: NO_PROC }, async () => {
  await assert.rejects(readThreads(2 ** 22 + 1), /process \d+ is gone/);
});
