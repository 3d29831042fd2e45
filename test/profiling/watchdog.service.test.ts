import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import test, { type TestContext } from "node:test";
import { stuckProfile, stuckText } from "../../src/profiling/stuck-profile.ts";
import { isStuckReport, type StuckReport } from "../../src/profiling/stuck-report.ts";
import { eventually } from "../support/service.ts";
import { decode, flatten, top } from "./read.ts";

const FIXTURE = join(import.meta.dirname, "fixture/stuck.ts");
const LINE =
  readFileSync(FIXTURE, "utf8")
    .split("\n")
    .findIndex((line) => line.endsWith("// the loop")) + 1;

function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "sluice-watchdog-"));
  t.after(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return join(dir, "worker-0");
}

function run(t: TestContext, dir: string, how: string): ChildProcess {
  const child = spawn(process.execPath, [FIXTURE, dir, how], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => {
    child.kill("SIGKILL");
  });
  return child;
}

const reports = (dir: string): string[] => {
  try {
    return readdirSync(dir).filter((name) => /^stuck-\d+\.json$/.test(name));
  } catch {
    return [];
  }
};

async function reportOf(dir: string): Promise<{ report: StuckReport; text: string }> {
  const [name] = await eventually("there is a report", () => reports(dir).length > 0 && reports(dir));
  const text = readFileSync(join(dir, name!), "utf8");
  const report: unknown = JSON.parse(text);
  assert.ok(isStuckReport(report));
  return { report, text };
}

test("an endless loop is seen from outside: the guilty function, its true line, and no argument", async (t) => {
  const dir = directory(t);
  run(t, dir, "loop");
  const { report, text } = await reportOf(dir);
  assert.ok(report.stuckMs >= 1_000);
  assert.equal(report.problem, undefined);
  assert.doesNotMatch(text, /canary/);

  const samples = flatten(decode(stuckProfile(report, "0").encode()));
  const { frame } = top(samples, "cpu");
  assert.deepEqual(frame, { name: "spin", file: FIXTURE, line: LINE });
  assert.ok(samples.every(({ labels }) => labels["worker"] === "0"));
  for (const { stack } of samples) {
    // Now and then it is seen while it asks for the time, with functions of Node.js on top.
    const own = stack.filter(({ file }) => !file.startsWith("node:"));
    assert.deepEqual([own[0]?.name, own[1]?.name], ["spin", "handle"]);
  }
  assert.ok(samples.reduce((sum, { values }) => sum + values["sample"]!, 0) >= 10);
  assert.ok(stuckText(report).includes(`at spin (${FIXTURE}:${LINE})`));
});

test("a thread outside of JavaScript is told as such", async (t) => {
  const dir = directory(t);
  run(t, dir, "native");
  const { report } = await reportOf(dir);
  assert.deepEqual(report.stacks, []);
  assert.match(report.problem!, /outside of JavaScript/);
  assert.match(stuckText(report), /outside of JavaScript/);
});

test("a look that ends while the thread is outside of JavaScript does not end the watchdog", async (t) => {
  const child = run(t, directory(t), "between");
  let output = "";
  child.stdout!.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  await eventually("it is back", () => output.endsWith("back\n"), 30_000);
  assert.equal(output, "stuck\nback\n");
});

test("a thread that comes back is left alone, and a process that was stopped was not stuck", async (t) => {
  const dir = directory(t);
  const child = run(t, dir, "never");
  await once(child.stdout!, "data");
  child.kill("SIGSTOP");
  await setTimeout(3_000);
  child.kill("SIGCONT");
  await setTimeout(1_500);
  assert.deepEqual(reports(dir), []);
});

test("a stuck process whose parent is gone ends itself", async (t) => {
  const dir = directory(t);
  const parent = spawn(
    process.execPath,
    [
      "-e",
      `const c = require("node:child_process").spawn(process.execPath, ${JSON.stringify([FIXTURE, dir, "loop"])}, { stdio: ["ignore", "pipe", "inherit"] });
       console.log(c.pid); c.stdout.once("data", () => { process.exit(); });`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const [pid] = (await once(parent.stdout, "data")) as [Buffer];
  await once(parent, "exit");
  await eventually(
    "the orphan is gone",
    () => {
      try {
        process.kill(Number(pid), 0);
        return false;
      } catch {
        return true;
      }
    },
    30_000,
  );
});
