import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { gunzipSync } from "node:zlib";
import fastify from "fastify";
import { incidentRoutes } from "../../src/admin/incidents.ts";
import type { AdminState } from "../../src/admin/state.ts";
import { AT_MS, hotHandlerFiles, Scene } from "../admin/scene.ts";
import { Files, run } from "./support.ts";

async function start(context: TestContext) {
  const scene = new Scene();
  const app = fastify({ forceCloseConnections: true });
  incidentRoutes(app, scene as Partial<AdminState> as AdminState);
  const url = await app.listen({ host: "127.0.0.1", port: 0 });
  context.after(async () => {
    await app.close();
    scene[Symbol.dispose]();
  });
  const env = { ADMIN_LISTEN: new URL(url).host };
  return { scene, sluice: async (...args: string[]) => await run(["incidents", ...args], { env }) };
}

test("the list has a line for each incident, the newest first", async (t) => {
  const { scene, sluice } = await start(t);
  assert.deepEqual(await sluice("list"), { code: 0, stdout: "no incidents\n", stderr: "" });
  const older = scene.add({ atMs: AT_MS - 60_000 }, { "stack.txt": "12345" });
  const newer = scene.add({ kind: "out_of_memory", worker: "0", why: "its heap was full", state: "recording" });
  const lines = (await sluice("list")).stdout.split("\n");
  assert.match(lines[0]!, /^ID +WHEN \(UTC\) +KIND +PROCESS +SIZE +WHY$/);
  assert.match(
    lines[1]!,
    new RegExp(`^${newer.id} +2026-03-01 10:11:12 +out_of_memory +0 +recording +its heap was full$`),
  );
  assert.match(lines[2]!, new RegExp(`^${older.id} .* 5 B `));
  assert.match((await sluice("list", "--limit", "1")).stdout, /\.\.\. and 1 more incident; --limit shows more\n$/);
  const json = (await sluice("list", "--json")).stdout.trimEnd().split("\n");
  assert.deepEqual(
    json.map((line) => JSON.parse(line) as unknown),
    [newer, older],
  );
});

test("one is shown with why, the heaviest functions of its process and the last log lines", async (t) => {
  const { scene, sluice } = await start(t);
  const { id } = scene.add(
    { problems: ["heap.pb.gz: not within 20 s"] },
    { ...hotHandlerFiles(), "stack.txt": "spin (a.ts:5)\n" },
  );
  const { code, stdout, stderr } = await sluice("show", id);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /^why +worker 1 used 0\.97 cores, against 0\.31 before$/m);
  assert.match(stdout, /^missing +heap\.pb\.gz: not within 20 s$/m);
  assert.match(stdout, /^JavaScript stack:\nspin \(a\.ts:5\)$/m);
  const after = stdout.slice(stdout.indexOf("profile-after.pb.gz, process 1:"));
  assert.match(after, /flat%.*\n +270 +88\.8% .* burn a\.ts:5\n/);
  assert.match(stdout, /Last log lines:\n.*ready.*\n.*an incident is recorded/);
  assert.equal((await sluice("show", id, "--json")).stdout, `${JSON.stringify(scene.incident(id))}\n`);
});

test("the beginning of an id is enough if it is one's alone, and `latest` is the newest", async (t) => {
  const { scene, sluice } = await start(t);
  assert.match((await sluice("show", "latest")).stderr, /^sluice incidents: there are no incidents\n$/);
  scene.add({ atMs: AT_MS - 60_000 });
  const newest = scene.add({});
  assert.match((await sluice("show", "20260301T1011")).stdout, new RegExp(`^id +${newest.id}$`, "m"));
  assert.match((await sluice("show", "latest")).stdout, new RegExp(`^id +${newest.id}$`, "m"));
  const several = await sluice("show", "2026");
  assert.equal(several.code, 1);
  assert.match(several.stderr, /2026 begins 2 ids: /);
  assert.match((await sluice("show", "2027")).stderr, /there is no incident 2027; `sluice incidents list` shows/);
  for (const ids of [[], ["a", "b"]]) assert.equal((await sluice("show", ...ids)).code, 2);
});

test("what a terminal would obey is shown as text", async (t) => {
  const { scene, sluice } = await start(t);
  scene.add({ why: "\u001b[2Jgone" }, { "log.ndjson": "\u001b]0;title\u0007\n" });
  const { stdout } = await sluice("show", "latest");
  assert.ok(!stdout.includes("\u001b") && !stdout.includes("\u0007"));
  assert.match(stdout, /\\x1b\[2Jgone/);
});

test("a bundle is fetched into a file, or to standard output", async (t) => {
  using files = new Files();
  const { scene, sluice } = await start(t);
  const { id } = scene.add({ state: "recording" });
  const file = join(files.directory, "bundle.tar.gz");
  const { code, stdout, stderr } = await sluice("fetch", "latest", "-o", file);
  assert.deepEqual([code, stdout], [0, ""]);
  assert.match(stderr, /bundle\.tar\.gz: \d+\.?\d* B; tar xzf .*\nit is still being recorded/);
  assert.equal(gunzipSync(readFileSync(file)).toString(), `archive of ${id}`);
  assert.ok((await sluice("fetch", id, "-o", "-")).stdout.length > 0);
});

test("one is recorded now, and told why there is none", async (t) => {
  const { scene, sluice } = await start(t);
  const incident = scene.add({ kind: "forced", worker: "all" });
  scene.next = incident;
  assert.deepEqual(await sluice("record", "--why", "it feels slow & odd"), {
    code: 0,
    stdout: `${incident.id}\n`,
    stderr: "",
  });
  assert.deepEqual(scene.forced, ["it feels slow & odd"]);
  scene.next = undefined;
  const refused = await sluice("record");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /no incident began: one is being recorded already/);
});
