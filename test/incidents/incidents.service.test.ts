// Incidents of the real service under load: something happens to one of its processes from outside, and a bundle tells what, while
// the other worker goes on.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { Durability, PublishRequestSchema } from "../../src/gen/sluice/v1/ingest_pb.js";
import type { Incident, IncidentKind } from "../../src/incidents/incident.ts";
import { decode, flatten, top } from "../profiling/read.ts";
import { scrape } from "../supervisor/fixture/client.ts";
import { Load } from "../support/load.ts";
import { PUBLISH, RawClient } from "../support/raw-client.ts";
import { eventually, logLines, type RunningService, startService } from "../support/service.ts";

const LIMIT = { timeout: 150_000 };
const FAULTY = join(import.meta.dirname, "../e2e/faulty-service.ts");
const LOOP_LINE =
  readFileSync(FAULTY, "utf8")
    .split("\n")
    .findIndex((line) => line.endsWith("// the loop")) + 1;
const SECRETS = ["canary-password", "canary-token-0123456789", "canary-flag"];
const CANARIES = [...SECRETS, "canary-key", "canary-value"];

const EVERYTHING = [
  "config.json",
  "eventloop.json",
  "history.json",
  "ledger.json",
  "log.ndjson",
  "profile-after.pb.gz",
  "profile-before.pb.gz",
  "state.json",
  "threads.json",
  "versions.json",
];

function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "sluice-incidents-"));
  t.after(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

async function start(dataDir: string, env: Record<string, string> = {}): Promise<RunningService> {
  return await startService({
    entry: FAULTY,
    env: {
      WORKERS: "2",
      LOG_LEVEL: "debug",
      INCIDENT_TRIGGERS: "none",
      KAFKA_SASL_MECHANISM: "PLAIN",
      KAFKA_SASL_USERNAME: "sluice",
      KAFKA_SASL_PASSWORD: "canary-password",
      ADMIN_TOKEN: "canary-token-0123456789",
      DATA_DIR: dataDir,
      ...env,
    },
    args: ["--kafka-sasl-password=canary-flag"],
  });
}

function pidOf(service: RunningService, worker: number): number {
  return Number(
    logLines(service.stderr()).findLast((line) => line["msg"] === "worker ready" && line["worker"] === worker)!["pid"],
  );
}

/** Enough callers for every worker to have some; those of one that hangs wait. */
function load(t: TestContext, service: RunningService): Load {
  const clients = new Load({
    address: service.grpcAddress,
    topic: "clicks",
    durability: Durability.PERSISTED,
    streams: [],
    unaryCallers: 8,
    reconnect: true,
    connectionsBreak: true,
  });
  t.after(() => clients.stop());
  return clients;
}

async function publishCanary(service: RunningService): Promise<void> {
  const [host = "", port = ""] = service.grpcAddress.split(":");
  using client = new RawClient({ host, port: Number(port) });
  const request = create(PublishRequestSchema, {
    topic: "clicks",
    durability: Durability.PERSISTED,
    events: [{ key: Buffer.from("canary-key"), value: Buffer.from("canary-value") }],
  });
  assert.ok(Buffer.isBuffer(await client.unary(PUBLISH, Buffer.from(toBinary(PublishRequestSchema, request)))));
  // And one whose refusal may say something of it.
  const refused = create(PublishRequestSchema, { ...request, topic: "no topic/canary" });
  await client.unary(PUBLISH, Buffer.from(toBinary(PublishRequestSchema, refused)));
}

const stored = async (service: RunningService, worker: number) =>
  (await scrape(service)).get(`sluice_events_stored_total{topic="clicks",durability="persisted",worker="${worker}"}`) ??
  0;

/** The worker stores events from now on, too. */
async function assertGoesOn(service: RunningService, worker: number): Promise<void> {
  const before = await stored(service, worker);
  await eventually("the other worker goes on", async () => (await stored(service, worker)) > before);
}

async function incidents(service: RunningService): Promise<Incident[]> {
  const response = await fetch(`${service.adminUrl}/debug/incidents?format=json`);
  return ((await response.json()) as { readonly incidents: Incident[] }).incidents;
}

async function incidentOf(
  service: RunningService,
  kind: IncidentKind,
  where: (incident: Incident) => boolean = () => true,
): Promise<Incident> {
  return await eventually(
    `there is an incident: ${kind}`,
    async () => (await incidents(service)).find((incident) => incident.kind === kind && where(incident)),
    60_000,
  );
}

const has = (name: string) => (incident: Incident) => incident.files.some((file) => file.name === name);

async function fileOf(service: RunningService, { id }: Incident, name: string): Promise<Buffer> {
  const response = await fetch(`${service.adminUrl}/debug/incidents/${id}/files/${name}`);
  assert.equal(response.status, 200, name);
  return Buffer.from(await response.arrayBuffer());
}

test("a fatal signal: a bundle with everything, and neither secrets nor events in it", LIMIT, async (t) => {
  await using service = await start(directory(t));
  const clients = load(t, service);
  await publishCanary(service);
  await eventually("both workers store", async () => (await stored(service, 0)) > 0 && (await stored(service, 1)) > 0);
  await eventually("some seconds are recorded", () => clients.answered > 2_000);
  process.kill(pidOf(service, 0), "SIGSEGV");
  const begun = await incidentOf(service, "fatal_signal");
  assert.equal(begun.worker, "0");
  assert.match(begun.why, /^it ended with signal SIGSEGV, after \d+ s$/);
  await assertGoesOn(service, 1);
  assert.equal((await fetch(`${service.adminUrl}/healthz`)).status, 200);

  const incident = await incidentOf(service, "fatal_signal", ({ state }) => state === "complete");
  await clients.stop();
  assert.deepEqual(
    incident.files.map(({ name }) => name).filter((name) => name !== "heap.pb.gz"),
    EVERYTHING,
  );
  assert.deepEqual(
    incident.problems.filter((problem) => !problem.startsWith("heap.pb.gz")),
    [],
  );
  const before = flatten(decode(await fileOf(service, incident, "profile-before.pb.gz")));
  const workers = new Set(before.map(({ labels }) => labels["worker"]));
  assert.ok(workers.has("1") && workers.has("supervisor"), [...workers].join());
  const history = JSON.parse((await fileOf(service, incident, "history.json")).toString()) as {
    readonly workers: Readonly<Record<string, { readonly t: readonly number[] }>>;
  };
  assert.ok(history.workers["0"]!.t[0]! < incident.atMs, "it reaches back to before");
  assert.ok(history.workers["1"]!.t.at(-1)! > incident.atMs + 25_000, "it reaches to the end");
  assert.match((await fileOf(service, incident, "log.ndjson")).toString(), /worker died/);
  const state = JSON.parse((await fileOf(service, incident, "state.json")).toString()) as Record<string, unknown>;
  assert.deepEqual(Object.keys(state), ["0", "1"]);
  const metrics = await scrape(service);
  assert.equal(metrics.get('sluice_incidents_total{kind="fatal_signal"}'), 1);
  assert.ok(metrics.get("sluice_incident_bytes")! > 1_000);
  const said = logLines(service.stderr())
    .filter((line) => line["incident"] === incident.id)
    .map(({ msg }) => msg);
  assert.deepEqual(said, ["an incident is recorded", "an incident is complete"]);

  const archive = await fetch(`${service.adminUrl}/debug/incidents/${incident.id}.tar.gz`);
  const dir = directory(t);
  writeFileSync(join(dir, "x.tar.gz"), Buffer.from(await archive.arrayBuffer()));
  execFileSync("tar", ["xzf", "x.tar.gz"], { cwd: dir });
  assert.deepEqual(
    readdirSync(join(dir, incident.id)).sort(),
    [...incident.files.map(({ name }) => name), "incident.json"].sort(),
  );
  for (const name of readdirSync(join(dir, incident.id))) {
    let bytes = readFileSync(join(dir, incident.id, name));
    if (name.endsWith(".gz")) bytes = Buffer.from(decode(bytes).encode());
    for (const canary of CANARIES) assert.equal(bytes.includes(canary), false, `${canary} is in ${name}`);
  }
  for (const canary of CANARIES) assert.equal(service.stderr().includes(canary), false, `${canary} is in the log`);
});

test("an endless loop: the watchdog names the function and its line, while the loop goes on", LIMIT, async (t) => {
  await using service = await start(directory(t), { FAULT: "loop", WATCHDOG_TIMEOUT: "2s" });
  const clients = load(t, service);
  await eventually("both workers store", async () => (await stored(service, 0)) > 0 && (await stored(service, 1)) > 0);
  const pid = pidOf(service, 0);
  process.kill(pid, "SIGUSR2");
  const incident = await incidentOf(service, "stuck_loop", has("profile-stuck.pb.gz"));
  assert.equal(incident.worker, "0");
  assert.match(incident.why, /^its main thread was stuck for \d+ s in spin /);
  await assertGoesOn(service, 1);
  assert.ok((await fileOf(service, incident, "stack.txt")).toString().includes(`at spin (${FAULTY}:${LOOP_LINE})`));
  const { frame } = top(flatten(decode(await fileOf(service, incident, "profile-stuck.pb.gz"))), "cpu");
  assert.deepEqual(frame, { name: "spin", file: FAULTY, line: LOOP_LINE });
  process.kill(pid, "SIGKILL");
  await incidentOf(service, "fatal_signal");
  await clients.stop();
  // One loop is one incident.
  assert.equal((await incidents(service)).filter(({ kind }) => kind === "stuck_loop").length, 1);
});

test("a heap at its limit: the profile that V8 left is in the bundle, and names who filled it", LIMIT, async (t) => {
  await using service = await start(directory(t), { FAULT: "leak", NODE_OPTIONS: "--max-old-space-size=96" });
  const clients = load(t, service);
  await eventually("both workers store", async () => (await stored(service, 0)) > 0 && (await stored(service, 1)) > 0);
  process.kill(pidOf(service, 0), "SIGUSR2");
  const incident = await incidentOf(service, "out_of_memory", has("heap.pb.gz"));
  assert.equal(incident.worker, "0");
  assert.match(incident.why, /^its heap reached its limit; it ended with signal SIG\w+, after \d+ s$/);
  await assertGoesOn(service, 1);
  const samples = flatten(decode(await fileOf(service, incident, "heap.pb.gz")));
  const sums = new Map<string, number>();
  for (const { stack, values, labels } of samples) {
    assert.equal(labels["worker"], "0");
    const guilty = stack.some(({ name, file }) => name === "harm" && file.endsWith("faulty-service.ts"));
    sums.set(guilty ? "harm" : "others", (sums.get(guilty ? "harm" : "others") ?? 0) + values["inuse_space"]!);
  }
  assert.ok(sums.get("harm")! > 5 * (sums.get("others") ?? 0), JSON.stringify([...sums]));
  await clients.stop();
});

test("a worker that is stopped from outside: it is unresponsive, and comes back", LIMIT, async (t) => {
  await using service = await start(directory(t), { WATCHDOG_TIMEOUT: "1s" });
  const pid = pidOf(service, 1);
  process.kill(pid, "SIGSTOP");
  try {
    const incident = await incidentOf(service, "unresponsive");
    assert.equal(incident.worker, "1");
    assert.match(incident.why, /^it has said nothing for \d+ s/);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await eventually("it is back", async () => (await fetch(`${service.adminUrl}/readyz`)).status === 200);
  assert.equal((await incidents(service)).length, 1);
});

test("a supervisor that is killed: the next start says so, and completes what it had begun", LIMIT, async (t) => {
  const dataDir = directory(t);
  const first = await start(dataDir);
  const clients = load(t, first);
  await publishCanary(first);
  const slices = () => {
    try {
      return readdirSync(join(dataDir, "profiles/worker-1")).filter((name) => name.endsWith(".cpu.pb.gz"));
    } catch {
      return [];
    }
  };
  await eventually("a slice of a worker is on disk", () => slices().length > 0, 40_000);
  const forced = await fetch(`${first.adminUrl}/debug/incidents?why=before%20the%20end`, { method: "POST" });
  assert.equal(forced.status, 202);
  const { id } = (await forced.json()) as Incident;
  assert.equal(forced.headers.get("location"), `/debug/incidents/${id}`);
  assert.equal((await fetch(`${first.adminUrl}/debug/incidents`, { method: "POST" })).status, 409);
  await incidentOf(first, "forced", has("profile-before.pb.gz"));
  const words = join(dataDir, "incidents/last-words.json");
  await eventually("log and ledger are on disk", () => existsSync(words));
  for (const name of ["last-words.json", "run.json"])
    assert.equal(statSync(join(dataDir, "incidents", name)).mode & 0o777, 0o600, name);
  const killedMs = Date.now();
  process.kill(first.pid, "SIGKILL");
  await first.exited;
  await clients.stop();

  await using second = await start(dataDir);
  const died = await incidentOf(second, "supervisor_died", ({ state }) => state === "complete");
  assert.equal(died.worker, "supervisor");
  assert.ok(died.atMs <= killedMs + 1 && died.atMs > killedMs - 6_000, "its last sign of life is known");
  const before = flatten(decode(await fileOf(second, died, "profile-before.pb.gz")));
  assert.ok(before.some(({ labels }) => labels["worker"] === "1"));
  const read = async (name: string) => {
    const text = (await fileOf(second, died, name)).toString();
    for (const canary of CANARIES) assert.equal(text.includes(canary), false, `${canary} is in ${name}`);
    return text;
  };
  const said = logLines(await read("log.ndjson"));
  assert.ok(said.some(({ msg, pid }) => msg === "ready" && pid === first.pid));
  assert.ok(said.every(({ time }) => Date.parse(String(time)) <= killedMs));
  const { clicks } = JSON.parse(await read("ledger.json")) as Record<string, { readonly received: number }>;
  assert.ok(clicks!.received > 0);
  assert.equal((JSON.parse(await read("versions.json")) as NodeJS.ProcessVersions).node, process.versions.node);
  const config = JSON.parse(await read("config.json")) as Record<string, unknown>;
  assert.deepEqual([config["workers"], config["kafkaSaslPassword"]], [2, "[redacted]"]);
  const half = (await incidents(second)).find((incident) => incident.id === id)!;
  assert.equal(half.state, "complete");
  assert.equal(half.why, "before the end");
  assert.ok(half.problems.some((problem) => problem.startsWith("its recorder died")));
  assert.ok(has("profile-before.pb.gz")(half) && has("log.ndjson")(half) && has("history.json")(half));

  // What ended as it should is no incident at the next start.
  assert.equal((await second.stop()).code, 0);
  await using third = await start(dataDir);
  assert.deepEqual((await incidents(third)).map(({ kind }) => kind).sort(), ["forced", "supervisor_died"]);
});

test(
  "a page of another site cannot make one record an incident, and no path leads out of a bundle",
  LIMIT,
  async (t) => {
    await using service = await start(directory(t), { WORKERS: "1" });
    const at = `${service.adminUrl}/debug/incidents`;
    const foreign = await fetch(at, { method: "POST", headers: { origin: "http://evil.example" } });
    assert.equal(foreign.status, 403);
    const { id } = (await (await fetch(at, { method: "POST" })).json()) as Incident;
    const dot = "%2e%2e%2f";
    for (const path of [
      `${id}/files/${dot}${dot}run.json`,
      `${id}/files/..%2frun.json`,
      `${dot}incidents/files/run.json`,
      "..%2f..",
      "x.tar.gz",
      `${dot}.tar.gz`,
      `${id}/files/none.json`,
    ])
      assert.equal((await fetch(`${at}/${path}`)).status, 404, path);
    assert.equal((await fetch(at, { method: "DELETE" })).status, 405);
  },
);
