// The page and what feeds it, over HTTP.

import assert from "node:assert/strict";
import { once } from "node:events";
import { get as httpGet, type IncomingMessage } from "node:http";
import test, { after, before, beforeEach } from "node:test";
import { WATCHERS_MAX } from "../../../src/admin/live/events.ts";
import type { LiveSnapshot } from "../../../src/admin/live/model.ts";
import { TAILS_MAX, type TailedSecond } from "../../../src/admin/live/tail.ts";
import { AdminServer } from "../../../src/admin/server.ts";
import type { AdminState, TopicTail } from "../../../src/admin/state.ts";
import { emptyLedger } from "../../../src/telemetry/ledger.ts";
import { noIncidents } from "../../incidents/support.ts";
import { snapshotOf } from "../no-live.ts";

const unused = () => {
  throw new Error("not asked here");
};

const watchers = new Set<() => void>();
let change: Partial<LiveSnapshot> = {};
let tail: TopicTail | undefined;
let lastMs = 0;

const state: AdminState = {
  renderMetrics: unused,
  readiness: unused,
  ledger: unused,
  dropLetters: unused,
  profile: unused,
  inspect: unused,
  ...noIncidents,
  profiled: [],
  commandLine: [],
  live: (sinceMs) =>
    snapshotOf(
      [lastMs - 1000, lastMs].filter((t) => t > sinceMs),
      1234,
      { tail: tail !== undefined, ...change, atMs: lastMs },
    ),
  watchLive: (watcher) => {
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  },
  get tail() {
    return tail;
  },
};

const admin = new AdminServer(state, { host: "127.0.0.1", port: 0 });
let base = "";
const open = new Set<IncomingMessage>();

before(async () => {
  const { host, port } = await admin.start();
  base = `http://${host}:${port}`;
});

after(async () => {
  for (const each of open) each.destroy();
  await admin.dispose();
});

beforeEach(() => {
  change = {};
  tail = undefined;
  lastMs = Date.now();
});

async function get(path: string, headers: Record<string, string> = {}) {
  const response = await fetch(base + path, { headers });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** A stream of events, and what it has brought. */
async function stream(path: string, headers: Record<string, string> = {}) {
  const request = httpGet(base + path, { headers, agent: false });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  open.add(response);
  response.setEncoding("utf8");
  let text = "";
  response.on("data", (chunk: string) => (text += chunk)).on("error", () => {});
  const message = async (n: number): Promise<string> => {
    for (;;) {
      const all = Array.from(text.matchAll(/^((?:id|event): .*\n)*data: .*\n\n/gm), ([each]) => each);
      if (all.length >= n) return all[n - 1]!;
      await once(response, "data");
    }
  };
  const close = async () => {
    response.destroy();
    if (!response.closed) await once(response, "close");
  };
  return { response, message, close, text: () => text };
}

async function eventually(what: string, check: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (check()) return;
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
  assert.fail(what);
}

test("the page has the numbers of now without any script, and what came from outside is text", async () => {
  change = {
    service: {
      ...snapshotOf([], null).service,
      ready: false,
      problems: [{ worker: "1", reason: "no broker <answers>" }],
    },
    bottleneck: {
      stage: "produce",
      sentence: "produce: broker a:1 takes 240 ms a request",
      broker: "a:1",
      worker: null,
      notes: [],
    },
    ledger: [{ ...emptyLedger(), topic: "clicks<1>", received: 42, stored: 42, agrees: true }],
    incidents: [
      { id: "x-y", kind: "cpu", worker: "0", atMs: lastMs, state: "complete", title: "worker 0: high <CPU>", why: "" },
    ],
  };
  const { text, headers } = await get("/");
  assert.match(headers.get("content-type") ?? "", /^text\/html/);
  for (const shown of [
    "1,234/s",
    "not ready",
    "worker 1: no broker &lt;answers&gt;",
    "Held up: produce",
    "broker a:1 takes 240 ms a request",
    "clicks&lt;1&gt;",
    'href="/debug/incidents/x-y"',
    "worker 0: high &lt;CPU&gt;",
    "127.0.0.1:9092",
    "ADMIN_TAIL=true",
    '<meta http-equiv="refresh" content="5" />',
  ])
    assert.ok(text.includes(shown), shown);
});

test("the page's policy allows its own files and nothing within it, and each of them is there", async () => {
  const { text, headers } = await get("/");
  const policy = headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe|http|\*/);
  assert.doesNotMatch(text, /<style|style=|<script(?![^>]* src=)| on\w+=/);
  assert.equal(headers.get("cache-control"), "no-store");
  const files = new Set(Array.from(text.matchAll(/(?:src|href)="(\/debug\/assets\/[^"]+)"/g), ([, path]) => path!));
  assert.ok(files.size > 10, [...files].join(" "));
  for (const path of files) {
    const { status, text: code, headers } = await get(path);
    assert.equal(status, 200, path);
    const type = path.endsWith(".css") ? /^text\/css/ : /^text\/javascript/;
    assert.match(headers.get("content-type") ?? "", type, path);
    if (path.endsWith(".css")) continue;
    // Whatever a module loads is one of those that the page names.
    for (const [, imported] of code.matchAll(/^(?:import|export) [^;]*from "([^"]+)";$/gm))
      assert.ok(files.has(new URL(imported!, base + path).pathname), `${path} imports ${imported}`);
    const again = await get(path, { "if-none-match": headers.get("etag") ?? "" });
    assert.equal(again.status, 304, path);
  }
});

test("no other file of the source can be had", async () => {
  for (const path of [
    "live/page.ts",
    "live/routes.ts",
    "../server.ts",
    "live/client/..%2f..%2fserver.ts",
    "live/client/tsconfig.json",
    "",
  ])
    assert.equal((await get(`/debug/assets/${path}`)).status, 404, path);
});

test("the history is as long as it is asked for, and a mistake in the question is told", async () => {
  const all = JSON.parse((await get("/debug/live")).text) as LiveSnapshot;
  assert.equal(all.history.t.length, 2);
  const none = JSON.parse((await get("/debug/live?seconds=0")).text) as LiveSnapshot;
  assert.deepEqual(none.history.t, []);
  for (const query of ["seconds=901", "seconds=x", "second=1"])
    assert.equal((await get(`/debug/live?${query}`)).status, 400, query);
});

test("each second is a message, and the first one brings what was missed", async () => {
  const { response, message, close } = await stream(`/debug/live/events?since=${lastMs - 1500}`);
  assert.match(response.headers["content-type"] ?? "", /^text\/event-stream/);
  assert.equal(response.headers["cache-control"], "no-store");
  const first = await message(1);
  assert.match(first, new RegExp(`^id: ${lastMs}\n`));
  assert.deepEqual((JSON.parse(/^data: (.*)$/m.exec(first)![1]!) as LiveSnapshot).history.t, [lastMs - 1000, lastMs]);
  lastMs += 1000;
  for (const watcher of watchers) watcher();
  const second = JSON.parse(/^data: (.*)$/m.exec(await message(2))![1]!) as LiveSnapshot;
  assert.deepEqual(second.history.t, [lastMs]);
  await close();
  await eventually("nobody watches any more", () => watchers.size === 0);
});

test("a browser that comes back says what it had last, and gets what came since", async () => {
  const { message, close } = await stream("/debug/live/events?since=0", { "last-event-id": String(lastMs - 1000) });
  const first = JSON.parse(/^data: (.*)$/m.exec(await message(1))![1]!) as LiveSnapshot;
  assert.deepEqual(first.history.t, [lastMs]);
  await close();
});

test("one more than may watch is refused, until one goes", async () => {
  const streams = await Promise.all(Array.from({ length: WATCHERS_MAX }, () => stream("/debug/live/events?since=0")));
  const refused = await get("/debug/live/events");
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "5"]);
  assert.match(refused.text, /watch already/);
  await streams[0]!.close();
  let next: Awaited<ReturnType<typeof stream>> | undefined;
  for (let i = 0; i < 500 && next === undefined; i++) {
    const tried = await stream("/debug/live/events?since=0");
    if (tried.response.statusCode === 200) next = tried;
    else await tried.close();
  }
  assert.equal(next?.response.statusCode, 200);
  for (const each of [...streams.slice(1), next]) await each.close();
  await eventually("nobody watches any more", () => watchers.size === 0);
});

test("a page of another host gets none of it", async () => {
  for (const path of ["/", "/debug/live", "/debug/live/events", "/debug/live/tail?topic=t", "/debug/assets/uplot.js"]) {
    const request = httpGet(base + path, { headers: { host: "evil.example" }, agent: false });
    const [response] = (await once(request, "response")) as [IncomingMessage];
    response.resume();
    assert.equal(response.statusCode, 403, path);
  }
});

test("a topic is shown only if that is switched on, and the page says how", async () => {
  const off = await get("/debug/live/tail?topic=clicks");
  assert.equal(off.status, 404);
  assert.match(off.text, /ADMIN_TAIL=true/);
  tail = async function* (topic) {
    yield [{ line: () => `{"topic":${JSON.stringify(topic)}}` }];
  };
  assert.match((await get("/")).text, /id="tail-form"/);
  for (const query of ["", "?topic=", `?topic=${"x".repeat(250)}`])
    assert.equal((await get(`/debug/live/tail${query}`)).status, 400, query);
  const { message, response } = await stream("/debug/live/tail?topic=clicks");
  const second = JSON.parse(/^data: (.*)$/m.exec(await message(1))![1]!) as TailedSecond;
  assert.deepEqual(second, { lines: ['{"topic":"clicks"}'], leftOut: 0 });
  if (!response.closed) await once(response, "close");
});

test("only a few topics are read at a time, and reading ends with its reader", async () => {
  let reading = 0;
  tail = async function* (_topic, _skip, signal) {
    reading += 1;
    yield [{ line: () => "{}" }];
    if (!signal.aborted) await once(signal, "abort");
    reading -= 1;
  };
  const streams = await Promise.all(Array.from({ length: TAILS_MAX }, () => stream("/debug/live/tail?topic=t")));
  assert.equal((await get("/debug/live/tail?topic=t")).status, 503);
  for (const each of streams) await each.close();
  await eventually("nothing is read any more", () => reading === 0);
});
