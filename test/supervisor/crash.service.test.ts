import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { toldError, type ToldError } from "../../src/profiling/crash-report.ts";
import { eventually } from "../support/service.ts";
import { command, FIXTURE, startFixture } from "./fixture/client.ts";

async function bundleOf(t: TestContext, line: string) {
  const dataDir = mkdtempSync(join(tmpdir(), "sluice-crash-"));
  t.after(() => {
    rmSync(dataDir, { recursive: true, force: true });
  });
  await using service = await startFixture({ DATA_DIR: dataDir, WORKERS: "1", INCIDENT_TRIGGERS: "none" });
  const pid = (await command(service, line))?.pid;
  const incidents = join(dataDir, "incidents");
  const bundle = await eventually("there is a bundle with the log's last lines", () => {
    const names = readdirSync(incidents).filter((name) => name.includes("crash"));
    const dir = names[0] === undefined ? undefined : join(incidents, names[0]);
    return dir !== undefined && readdirSync(dir).includes("log.ndjson") && dir;
  });
  const read = (name: string) => readFileSync(join(bundle, name), "utf8");
  const left = readdirSync(join(dataDir, "profiles/worker-0")).filter((name) => name.startsWith("crash-"));
  return {
    pid,
    why: read("incident.json"),
    stack: read("stack.txt"),
    log: read("log.ndjson"),
    stderr: service.stderr(),
    left,
  };
}

test("a worker that dies of an exception leaves the stack and its last log lines, but not what a client sent", async (t) => {
  const { pid, why, stack, log, stderr, left } = await bundleOf(t, "throw canary-4711");
  assert.match(stack, /^TypeError: a bug about …\n {4}at throwUp \(/);
  assert.ok(stack.includes(FIXTURE));
  assert.match(why, /exit code 1, after .* of TypeError: a bug about …/);
  const last = log
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .find(({ level }) => level === "fatal");
  assert.deepEqual([last?.["msg"], last?.["pid"]], ["the worker dies of an exception", pid]);
  assert.doesNotMatch(`${stack}${log}${why}`, /canary/);
  // As without: Node.js prints it, too.
  assert.match(stderr, /^TypeError: a bug about "canary-4711"$/m);
  assert.deepEqual(left, []);
});

test("a rejection that nobody handles is told as an exception is", async (t) => {
  const { stack, why } = await bundleOf(t, "reject canary-4711");
  assert.match(stack, /^TypeError: a promise about …\n {4}at /);
  assert.doesNotMatch(`${stack}${why}`, /canary/);
});

test("an error is told without what it quotes, with a bound, and whatever was thrown", () => {
  const syntax = ((): ToldError => {
    try {
      return JSON.parse("canary");
    } catch (error) {
      return toldError(error);
    }
  })();
  assert.equal(syntax.type, "SyntaxError");
  assert.doesNotMatch(JSON.stringify(syntax), /canary/);
  assert.ok(syntax.frames.length > 0 && syntax.frames.every((frame) => frame.startsWith("at ")));
  assert.equal(toldError(new Error("x".repeat(10_000))).message.length, 501);
  assert.deepEqual(toldError("canary"), { type: "string", message: "what was thrown is no Error", frames: [] });
  assert.ok(toldError(new Error()).frames.length > 0);
  const lines = toldError(new Error("first\n    at canary (second)"));
  assert.doesNotMatch(JSON.stringify(lines.frames), /canary/);
});
