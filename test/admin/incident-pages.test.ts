import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { gunzipSync } from "node:zlib";
import fastify from "fastify";
import { incidentRoutes } from "../../src/admin/incidents.ts";
import type { AdminState } from "../../src/admin/state.ts";
import { stacksOf } from "../../src/profiling/stacks.ts";
import { decode, flatten } from "../profiling/read.ts";
import { AT_MS, hotHandlerFiles, Scene } from "./scene.ts";

const HTML = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

async function start(context: TestContext) {
  const scene = new Scene();
  const app = fastify();
  incidentRoutes(app, scene as Partial<AdminState> as AdminState);
  const url = await app.listen({ host: "127.0.0.1", port: 0 });
  context.after(async () => {
    await app.close();
    scene[Symbol.dispose]();
  });
  const get = async (path: string, headers: Readonly<Record<string, string>> = {}) => {
    const response = await fetch(`${url}${path}`, { headers });
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, bytes, text: bytes.toString() };
  };
  return { scene, get };
}

test("a browser gets pages that may load nothing but our stylesheet, and whoever takes anything gets JSON", async (t) => {
  const { scene, get } = await start(t);
  const { id } = scene.add({}, hotHandlerFiles());
  for (const path of ["/debug/incidents", `/debug/incidents/${id}`]) {
    const page = await get(path, HTML);
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-type") ?? "", /^text\/html/);
    const policy = page.headers.get("content-security-policy") ?? "";
    assert.match(policy, /^default-src 'none'; style-src 'self';/);
    assert.doesNotMatch(policy, /unsafe/);
    assert.doesNotMatch(page.text, /<script|<style|\sstyle=|\son[a-z]+=/);
    assert.equal((await get(path)).headers.get("content-type"), "application/json; charset=utf-8");
  }
  const stylesheet = await get("/debug/pages.css");
  assert.equal(stylesheet.headers.get("content-type"), "text/css; charset=utf-8");
  assert.match(stylesheet.text, /prefers-color-scheme: dark/);
});

test("the list says what happened, and one without incidents says how to make one", async (t) => {
  const { scene, get } = await start(t);
  const empty = await get("/debug/incidents", HTML);
  assert.match(empty.text, /No incidents are recorded/);
  assert.match(empty.text, /curl -X POST/);
  const older = scene.add({ atMs: AT_MS - 60_000 }, {});
  const newer = scene.add({ kind: "out_of_memory", worker: "0", why: "worker 0 died of its heap", state: "recording" });
  const { text } = await get("/debug/incidents", HTML);
  assert.ok(text.indexOf(newer.id) < text.indexOf(older.id));
  assert.match(text, /worker 0: out of memory/);
  assert.match(text, /still recording/);
});

test("what comes from outside is shown as text", async (t) => {
  const { scene, get } = await start(t);
  const { id } = scene.add({ why: `<img src=x onerror="alert(1)">`, problems: ["<b>bold</b>"] }, hotHandlerFiles());
  for (const path of ["/debug/incidents", `/debug/incidents/${id}`]) {
    const { text } = await get(path, HTML);
    assert.doesNotMatch(text, /<img|<b>/);
    assert.match(text, /&lt;img src=x onerror=&quot;alert\(1\)&quot;&gt;/);
  }
  assert.match((await get(`/debug/incidents/${id}`, HTML)).text, /<td>worker 1<\/td>\s*<td>info<\/td>/);
  assert.match((await get(`/debug/incidents/${id}`, HTML)).text, /&lt;script&gt;alert\(1\)&lt;\/script&gt;/);
});

test("the page of an incident has a chart for each metric that somebody has, those first that show its kind", async (t) => {
  const { scene, get } = await start(t);
  const { id } = scene.add({}, hotHandlerFiles());
  const { text } = await get(`/debug/incidents/${id}`, HTML);
  const titles = Array.from(text.matchAll(/<h3>([^<]*)<\/h3>/g), ([, title]) => title);
  assert.deepEqual(titles, [
    "CPU",
    "Events received",
    "Event-loop delay, the longest of each second",
    "Resident memory",
  ]);
  // Those who do not see the drawing hear its title and what it shows, and can read the numbers.
  assert.equal(text.match(/<svg[^>]*role="img"[^>]*>\s*<title>[^<]+<\/title>\s*<desc>[^<]+<\/desc>/g)?.length, 4 + 2);
  assert.match(
    text,
    /worker 1: 0\.3\d+ cores on average before the incident, 0\.97 cores at it, 0\.97 cores at most after it\./,
  );
});

test("the page shows the functions of the process that it is about, heaviest first", async (t) => {
  const { scene, get } = await start(t);
  const { id } = scene.add({}, hotHandlerFiles());
  const { text } = await get(`/debug/incidents/${id}`, HTML);
  const after = text.slice(text.indexOf("CPU of the half minute after, worker 1"));
  const [first] = /<strong>[^<]*<\/strong>/.exec(after)!;
  assert.equal(first, "<strong>burn</strong>");
  // 270 of the 304 samples that worker 1 has.
  assert.match(after, /burn \(a\.ts\): 270, 88\.8 %/);
});

test("a bundle that is being recorded, or whose files are broken, has a page all the same", async (t) => {
  const { scene, get } = await start(t);
  const begun = scene.add({ state: "recording", worker: "all", kind: "forced" });
  const page = await get(`/debug/incidents/${begun.id}`, HTML);
  assert.equal(page.status, 200);
  assert.match(page.text, /still being recorded/);
  const files = {
    "profile-before.pb.gz": "no gzip",
    "history.json": "{",
    "threads.json": "[]",
    "log.ndjson": "half a li",
  };
  const broken = scene.add({}, files);
  const { status, text } = await get(`/debug/incidents/${broken.id}`, HTML);
  assert.equal(status, 200);
  assert.match(text, /profile-before\.pb\.gz cannot be shown/);
  assert.match(text, /history\.json cannot be shown/);
  assert.match(text, /half a li/);
});

test("a profile of a bundle comes as it is, of one worker, and as what speedscope reads", async (t) => {
  const { scene, get } = await start(t);
  const files = hotHandlerFiles();
  const { id } = scene.add({}, files);
  const path = `/debug/incidents/${id}/files/profile-after.pb.gz`;
  assert.deepEqual((await get(path)).bytes, files["profile-after.pb.gz"]);
  const one = flatten(decode((await get(`${path}?worker=0`)).bytes));
  assert.deepEqual(new Set(one.map(({ labels }) => labels["worker"])), new Set(["0"]));
  const { shared } = JSON.parse((await get(`${path}?format=speedscope`)).text) as {
    shared: { frames: { name: string }[] };
  };
  assert.ok(shared.frames.some(({ name }) => name === "burn"));
  assert.match(
    (await get(`${path}?format=folded&worker=1`)).text,
    /^onTurn a\.ts:30;handle a\.ts:21;burn a\.ts:5 270$/m,
  );
  assert.match((await get(`${path}?format=text`)).text, /burn a\.ts:5/);
});

test("a difference compares what each second had", async (t) => {
  const { scene, get } = await start(t);
  const { id } = scene.add({}, hotHandlerFiles());
  const path = `/debug/incidents/${id}/files/profile-after.pb.gz?base=profile-before.pb.gz`;
  const { samples } = stacksOf(decode((await get(path)).bytes));
  const changes = samples.map(({ frames, labels, values }) => [labels.get("worker"), frames.at(-1)?.name, values[1]]);
  // 270 in 30 s against 40 in 300 s; parse of worker 0 had as much a second in both, and so is not there.
  assert.deepEqual(
    changes.sort((a, b) => Number(b[2]) - Number(a[2])),
    [
      ["1", "burn", 266],
      ["1", "settle", 9],
      ["1", "parse", -3],
    ],
  );
});

test("what is not there, and parameters that are not known, are told", async (t) => {
  const { scene, get } = await start(t);
  const { id } = scene.add({}, hotHandlerFiles());
  const path = `/debug/incidents/${id}/files`;
  for (const missing of [
    "/debug/incidents/20260301T101112.345Z-cpu-9",
    "/debug/incidents/20260301T101112.345Z-cpu-9.tar.gz",
    `${path}/heap.pb.gz`,
    `${path}/heap.pb.gz?format=text`,
    `${path}/..%2F..%2Fetc%2Fpasswd`,
    `${path}/profile-after.pb.gz?base=heap.pb.gz`,
  ])
    assert.equal((await get(missing)).status, 404, missing);
  for (const wrong of ["format=svg", "worker=1&worker=2", "secs=3", "base=history.json"]) {
    const { status, text } = await get(`${path}/profile-after.pb.gz?${wrong}`);
    assert.equal(status, 400, wrong);
    assert.match(text, new RegExp(`^${wrong.split("=")[0]}: `));
  }
});

test("nothing of a bundle is a page to a browser, whatever it holds", async (t) => {
  const { scene, get } = await start(t);
  const { id } = scene.add({}, { "stack.txt": "<script>alert(1)</script>", "log.ndjson": "<script>" });
  for (const name of ["stack.txt", "log.ndjson"]) {
    const { headers } = await get(`/debug/incidents/${id}/files/${name}`, HTML);
    assert.doesNotMatch(headers.get("content-type") ?? "", /html|xml|svg/);
    assert.equal(headers.get("x-content-type-options"), "nosniff");
  }
  assert.equal(gunzipSync((await get(`/debug/incidents/${id}.tar.gz`)).bytes).toString(), `archive of ${id}`);
});
