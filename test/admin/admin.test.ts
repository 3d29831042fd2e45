import assert from "node:assert/strict";
import test, { after, before, beforeEach } from "node:test";
import { isLoopback } from "../../src/admin/loopback.ts";
import { AdminServer } from "../../src/admin/server.ts";
import type { AdminState, LetterDrop, Readiness } from "../../src/admin/state.ts";
import { noLive } from "./no-live.ts";
import { noIncidents } from "../incidents/support.ts";
import { emptyLedger } from "../../src/telemetry/ledger.ts";

let readiness: Readiness = { ready: true, problems: [] };
let drops: LetterDrop[] = [];

const state: AdminState = {
  renderMetrics: async (openMetrics) => ({ contentType: "text/plain", body: `openMetrics=${openMetrics}` }),
  readiness: () => readiness,
  ledger: () => new Map([["clicks<1>", { ...emptyLedger(), received: 42, stored: 40, inFlight: 2 }]]),
  ...noIncidents,
  ...noLive,
  profiled: ["0", "1", "supervisor"],
  profile: () => Promise.reject(new Error("nothing is profiled")),
  commandLine: [],
  inspect: async () => [],
  dropLetters: async (drop) => {
    drops.push(drop);
    return { dropped: drop.letters, events: 3, missing: [], problems: [] };
  },
};

const admin = new AdminServer(state, { host: "127.0.0.1", port: 0 });
let base = "";

before(async () => {
  const { host, port } = await admin.start();
  base = `http://${host}:${port}`;
});

after(async () => {
  await admin.dispose();
});

beforeEach(() => {
  readiness = { ready: true, problems: [] };
  drops = [];
});

async function get(path: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${base}${path}`, { headers, redirect: "manual" });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, bytes, text: bytes.toString() };
}

test("a scraper that accepts OpenMetrics gets it, others get Prometheus' text", async () => {
  assert.equal((await get("/metrics")).text, "openMetrics=false");
  assert.equal((await get("/metrics", { accept: "text/plain;version=0.0.4" })).text, "openMetrics=false");
  const prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
  assert.equal((await get("/metrics", { accept: prometheus })).text, "openMetrics=true");
});

test("alive is not ready, and not ready says who and why", async () => {
  assert.deepEqual(JSON.parse((await get("/readyz")).text), { ready: true, problems: [] });
  readiness = { ready: false, problems: [{ worker: "1", reason: "no broker answers" }] };
  const { status, text } = await get("/readyz");
  assert.equal(status, 503);
  assert.deepEqual(JSON.parse(text), { ready: false, problems: [{ worker: "1", reason: "no broker answers" }] });
  assert.equal((await get("/healthz")).status, 200);
  readiness = { ready: true, problems: [{ worker: "1", reason: "one segment was quarantined" }] };
  const degraded = await get("/readyz");
  assert.equal(degraded.status, 200);
  assert.deepEqual(JSON.parse(degraded.text), readiness);
});

test("pages run no scripts, load nothing, are not framed and not kept", async () => {
  const { headers } = await get("/debug/pprof/");
  const policy = headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /script-src/);
  assert.equal(headers.get("x-content-type-options"), "nosniff");
  assert.equal(headers.get("cache-control"), "no-store");
});

test("only GET is served", async () => {
  for (const method of ["POST", "HEAD", "DELETE"]) {
    const response = await fetch(`${base}/metrics`, { method });
    assert.deepEqual([response.status, response.headers.get("allow")], [405, "GET"]);
  }
  assert.equal((await get("/nothing")).status, 404);
});

test("loopback is 127.0.0.0/8 and ::1, also as an IPv6 socket tells it", () => {
  for (const own of ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"]) assert.ok(isLoopback(own), own);
  for (const other of ["10.0.0.1", "128.0.0.1", "::2", "::ffff:10.0.0.1", "", "localhost", undefined])
    assert.ok(!isLoopback(other), other);
});

async function post(body: unknown, headers: Record<string, string> = { "content-type": "application/json" }) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${base}/dead-letters/drop`, { method: "POST", headers, body: text });
  return { status: response.status, text: await response.text() };
}

const drop: LetterDrop = { letters: ["0-17"], logs: { 0: "6f" }, why: "dropped", by: "ada" };

test("dead letters are dropped over POST, and the answer says which", async () => {
  const { status, text } = await post(drop);
  assert.equal(status, 200);
  assert.deepEqual(JSON.parse(text), { dropped: ["0-17"], events: 3, missing: [], problems: [] });
  assert.deepEqual(drops, [drop]);
});

test("what is no request to drop, or comes from a browser, drops nothing", async () => {
  const wrong: unknown[] = [
    "{",
    [],
    null,
    {},
    { ...drop, letters: "0-17" },
    { ...drop, letters: [17] },
    { ...drop, letters: Array.from({ length: 9000 }, () => "0-1") },
    { ...drop, logs: { 0: 6 } },
    { ...drop, why: "forgotten" },
    { ...drop, by: undefined },
  ];
  for (const body of wrong) assert.equal((await post(body)).status, 400, JSON.stringify(body));
  assert.equal((await post(drop, { "content-type": "text/plain" })).status, 400);
  assert.equal((await post(drop, { "content-type": "application/json", origin: base })).status, 403);
  assert.equal((await post("x".repeat(2_000_000))).status, 413);
  for (const path of ["/metrics", "/dead-letters", "/dead-letters/drop?x"])
    assert.equal((await fetch(`${base}${path}`, { method: "POST" })).status, 405, path);
  assert.equal((await get("/dead-letters/drop")).status, 404);
  assert.deepEqual(drops, []);
});
