import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import test from "node:test";
import { checkService } from "../../src/cli/doctor/service.ts";
import { ExitCode } from "../../src/supervisor/exit-codes.ts";
import { eventually, logLines, runServiceToEnd, type RunningService, spawnService } from "../support/service.ts";
import { command, FIXTURE, readiness, scrape, startFixture } from "./fixture/client.ts";

test("a worker that dies is started again on the same port, and no counter goes back", async () => {
  await using service = await startFixture();
  await command(service, "count 5");
  const first = await command(service, "inflight 3");
  const inFlight = 'sluice_events_in_flight{topic="t",worker="0"}';
  const received = 'sluice_events_received_total{topic="t",worker="0"}';
  const restarts = 'sluice_worker_restarts_total{worker="0"}';
  await eventually("the counts are scraped", async () => (await scrape(service)).get(inFlight) === 3);
  assert.equal((await scrape(service)).get(restarts), 0);

  assert.equal(await command(service, "crash"), undefined);
  await eventually("the death is seen", async () => (await scrape(service)).get(inFlight) === undefined);
  const second = await eventually("the next worker answers", async () => await command(service, "count 2"));
  assert.notEqual(second.pid, first?.pid);
  const metrics = await eventually("the new count is added", async () => {
    const now = await scrape(service);
    assert.ok(now.get(received)! >= 8);
    return now.get(received) === 10 && now;
  });
  assert.equal(metrics.get(restarts), 1);
  assert.equal(metrics.get('sluice_worker_up{worker="0"}'), 1);
  // What was in flight in the dead process has got its outcome: the ledger sums up.
  assert.equal(metrics.get('sluice_events_failed_total{topic="t",reason="worker_died",worker="0"}'), 3);
  assert.equal((await service.stop()).code, ExitCode.OK);
});

/** Connects until each of two workers has taken a connection. Their pids, by index. */
async function bothPids(service: RunningService): Promise<ReadonlyMap<number, number>> {
  const pids = new Map<number, number>();
  await eventually("both workers take connections", async () => {
    const taker = await command(service, "count 0");
    if (taker !== undefined) pids.set(taker.index, taker.pid);
    return pids.size === 2;
  });
  return pids;
}

test("after all workers died at once, all of them serve again where they did", async () => {
  await using service = await startFixture({ WORKERS: "2" });
  const before = await bothPids(service);
  for (const pid of before.values()) process.kill(pid, "SIGKILL");
  const after = await eventually("both workers are new", async () => {
    const now = await bothPids(service);
    return [0, 1].every((index) => now.get(index) !== before.get(index)) && now;
  });
  assert.equal(after.size, 2);
  assert.equal((await scrape(service)).get('sluice_worker_restarts_total{worker="0"}'), 1);
});

test("a connection that was handed to a worker which dies before it takes it is closed, so that the client comes again", async () => {
  await using service = await startFixture();
  const taker = await command(service, "count 0");
  // It hears of no connection any more; the supervisor accepts them, and hands the first one over.
  process.kill(taker!.pid, "SIGSTOP");
  const [host = "", port = ""] = service.grpcAddress.split(":");
  const sockets = [1, 2, 3].map(() => net.connect(Number(port), host));
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  const over = sockets.map(
    (socket) =>
      new Promise<void>((resolve) => {
        socket.on("error", () => {}).on("close", resolve);
        socket.on("data", () => socket.destroy()).write("count 0\n");
      }),
  );
  await setTimeout(100);
  process.kill(taker!.pid, "SIGKILL");
  const late = setTimeout(10_000, "left hanging", { ref: false });
  assert.notEqual(await Promise.race([Promise.all(over), late]), "left hanging");
});

test("the other workers serve while one is away, and readiness says which one is", async () => {
  await using service = await startFixture({ WORKERS: "2" });
  const pids = await bothPids(service);
  assert.deepEqual(await readiness(service), { status: 200, ready: true, problems: [] });
  process.kill(pids.get(1)!, "SIGKILL");
  const state = await eventually("the death is seen", async () => {
    const now = await readiness(service);
    return now.status === 503 && now;
  });
  assert.deepEqual(
    state.problems.map(({ worker }) => worker),
    ["1"],
  );
  assert.match(state.problems[0]!.reason, /^(not running \(signal SIGKILL\); it is started again|starting)$/);
  assert.ok(await command(service, "count 0"));
  await eventually("the worker is back", async () => (await readiness(service)).status === 200);
});

test("readiness tells a worker's own problem, and a worker that says nothing", async () => {
  await using service = await startFixture();
  const taker = await command(service, "problem no-broker-answers");
  const state = await eventually("the problem is told", async () => {
    const now = await readiness(service);
    return now.status === 503 && now;
  });
  assert.deepEqual(state.problems, [{ worker: "0", reason: "no-broker-answers" }]);
  process.kill(taker!.pid, "SIGSTOP");
  try {
    await eventually("the silence is told", async () =>
      /^no sign of life for \d+ s$/.test((await readiness(service)).problems[0]?.reason ?? ""),
    );
    assert.equal((await fetch(`${service.adminUrl}/healthz`)).status, 200);
  } finally {
    process.kill(taker!.pid, "SIGCONT");
  }
});

test("a ledger that does not agree is a log line, a metric, a detail of readiness and a finding of the doctor", async () => {
  await using service = await startFixture({ WORKERS: "2" });
  await bothPids(service);
  const taker = await command(service, "mistake 4");
  const worker = String(taker!.index);
  const state = await eventually("the mistake is told", async () => {
    const now = await readiness(service);
    return now.problems.length > 0 && now;
  });
  const what = "received 4 is not stored 0 + failed 0 + in flight 0";
  assert.deepEqual(state, {
    status: 200,
    ready: true,
    problems: [
      { worker, reason: `over all its processes, the ledger of t does not agree: ${what}` },
      { reason: `the ledger of all topics does not agree: ${what}` },
    ],
  });
  assert.equal((await scrape(service)).get('sluice_ledger_mismatches{worker="supervisor"}'), 2);
  const checks = 'sluice_ledger_checks_total{worker="supervisor"}';
  const before = (await scrape(service)).get(checks)!;
  await eventually("it is checked again", async () => (await scrape(service)).get(checks)! > before + 1);
  assert.deepEqual(
    logLines(service.stderr())
      .filter(({ level }) => level === "error")
      .map(({ msg, worker, topic, left, right, difference }) => ({ msg, worker, topic, left, right, difference })),
    [
      { msg: "the ledger does not agree", worker, topic: "t", left: 4, right: 0, difference: 4 },
      { msg: "the ledger does not agree", worker: "all", topic: "all topics", left: 4, right: 0, difference: 4 },
    ],
  );
  const { hostname, port } = new URL(service.adminUrl);
  const findings = await checkService({ address: { host: hostname, port: Number(port) } });
  assert.deepEqual(
    findings.filter(({ level }) => level === "error").map(({ subject, message }) => `${subject}: ${message}`),
    [
      `ledger of t, worker ${worker}: ${what}`,
      `ledger of t: ${what}`,
      `ledger: ${what}`,
      "ledger: the supervisor finds 2 mismatches in its books",
    ],
  );
});

test("a worker that dies again and again ends the whole, after the others were drained", async () => {
  const { code, stdout, stderr } = await runServiceToEnd({
    entry: FIXTURE,
    env: { WORKERS: "2", FAKE_MORTAL: "1" },
    timeoutMs: 60_000,
  });
  assert.equal(code, ExitCode.CRASH_LOOP);
  assert.equal(stdout, "drained 0\n");
  const told = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
  assert.deepEqual(told, [
    "sluice serve: worker 1 died 5 times within 30 s, the last time with exit code 7; the others are drained",
  ]);
});

/** The last line of the log tells how it ended. */
function assertEnded(service: RunningService, level: string, msg: string, exitCode: number): void {
  const last = logLines(service.stderr()).at(-1);
  assert.deepEqual(
    { level: last?.["level"], msg: last?.["msg"], exitCode: last?.["exitCode"] },
    { level, msg, exitCode },
  );
  assert.equal(typeof last?.["durationMs"], "number");
}

test("SIGTERM drains every worker and ends with 0", async () => {
  const service = await startFixture({ WORKERS: "2", FAKE_DRAIN: "slow" });
  const stopped = service.stop();
  const state = await eventually("readiness says why", async () => {
    const now = await readiness(service);
    return now.status === 503 && now;
  });
  assert.deepEqual(state.problems[0], { reason: "draining" });
  assert.deepEqual(await stopped, { code: ExitCode.OK, signal: null });
  assert.deepEqual(service.stdout().split("\n").sort(), ["", "drained 0", "drained 1"]);
  assertEnded(service, "info", "ended: everything that was taken is settled", ExitCode.OK);
});

test("a worker that does not end after its drain deadline is killed, and the exit code tells", async () => {
  const service = await startFixture({ FAKE_DRAIN: "hang", DRAIN_TIMEOUT: "1s" });
  assert.deepEqual(await service.stop(), { code: ExitCode.DRAIN_INCOMPLETE, signal: null });
  assertEnded(service, "error", "ended: not everything that was taken is settled", ExitCode.DRAIN_INCOMPLETE);
});

test("events without an answer at the end are an exit code", async () => {
  const service = await startFixture();
  await command(service, "inflight 1");
  assert.deepEqual(await service.stop(), { code: ExitCode.DRAIN_INCOMPLETE, signal: null });
  assert.deepEqual(
    logLines(service.stderr())
      .filter(({ level }) => level === "error")
      .map(({ msg, worker, events }) => ({ msg, worker, events })),
    [
      { msg: "worker ended with events unanswered", worker: 0, events: 1 },
      { msg: "ended: not everything that was taken is settled", worker: undefined, events: undefined },
    ],
  );
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`a second ${signal} ends everything at once, and the next start does not take it for a death`, async (t) => {
    const dataDir = mkdtempSync(join(tmpdir(), "sluice-signals-"));
    t.after(() => {
      rmSync(dataDir, { recursive: true, force: true });
    });
    const service = await startFixture({ WORKERS: "2", FAKE_DRAIN: "hang", DATA_DIR: dataDir });
    const marker = join(dataDir, "incidents", "run.json");
    await eventually("the sign of life is there", () => existsSync(marker));
    process.kill(service.pid, signal);
    await eventually("it drains", () => service.stderr().includes('"draining"'));
    // Twice within a tenth of a second is one Ctrl-C that was delivered twice.
    process.kill(service.pid, signal);
    await setTimeout(250);
    assert.deepEqual(await service.stop(signal), { code: ExitCode[signal], signal: null });
    assert.equal(existsSync(marker), false);
  });
}

test("workers leave signals to the supervisor", async () => {
  await using service = await startFixture();
  const taker = await command(service, "count 0");
  process.kill(taker!.pid, "SIGTERM");
  process.kill(taker!.pid, "SIGINT");
  assert.equal((await command(service, "count 0"))?.pid, taker?.pid);
});

test("workers whose supervisor was killed drain and end by themselves", async () => {
  const service = await startFixture({ WORKERS: "2" });
  // `stop` waits until no process is left.
  assert.deepEqual(await service.stop("SIGKILL"), { code: null, signal: "SIGKILL" });
  assert.deepEqual(service.stdout().split("\n").sort(), ["", "drained 0", "drained 1"]);
});

test("workers whose supervisor was killed end even if their drain does not", async () => {
  const service = await startFixture({ FAKE_DRAIN: "hang" });
  assert.deepEqual(await service.stop("SIGKILL"), { code: null, signal: "SIGKILL" });
});

test("workers whose supervisor was killed while they drained end, too", async () => {
  const service = await startFixture({ FAKE_DRAIN: "hang", DRAIN_TIMEOUT: "3s" });
  process.kill(service.pid, "SIGTERM");
  await eventually("it drains", () => service.stderr().includes('"draining"'));
  assert.deepEqual(await service.stop("SIGKILL"), { code: null, signal: "SIGKILL" });
});

test("SIGTERM ends workers that are still starting", async () => {
  const service = spawnService({ entry: FIXTURE, env: { FAKE_START: "hang", LOG_LEVEL: "debug" } });
  await eventually("it starts", () => service.stderr().includes('"starting"'));
  service.child.kill("SIGTERM");
  assert.deepEqual(await service.exited, { code: ExitCode.OK, signal: null });
});

test("a start that fails is one line and an exit code, and leaves nothing running", async () => {
  const { code, stderr } = await runServiceToEnd({ entry: FIXTURE, env: { WORKERS: "2", FAKE_START: "fail" } });
  assert.equal(code, ExitCode.START_FAILED);
  assert.equal(stderr, "sluice serve: the spool is locked; end its other owner\n");
});

test("a busy port is one line and an exit code", async () => {
  const busy = net.createServer().listen(0, "127.0.0.1");
  await once(busy, "listening");
  const address = busy.address();
  assert.ok(typeof address === "object" && address !== null);
  const where = `127.0.0.1:${address.port}`;
  try {
    const grpc = await runServiceToEnd({ entry: FIXTURE, env: { WORKERS: "2", GRPC_LISTEN: where } });
    assert.equal(grpc.code, ExitCode.START_FAILED);
    assert.match(grpc.stderr, /^sluice serve: [^\n]*EADDRINUSE[^\n]*\n$/);
    const admin = await runServiceToEnd({ entry: FIXTURE, env: { WORKERS: "2", ADMIN_LISTEN: where } });
    assert.equal(admin.code, ExitCode.START_FAILED);
    assert.equal(
      admin.stderr,
      `sluice serve: ADMIN_LISTEN: cannot listen on ${where} (address already in use); give a free address\n`,
    );
  } finally {
    busy.close();
  }
});

test("a bug at the start is one line, too, and the log has the stack", async () => {
  const { code, stderr } = await runServiceToEnd({ entry: FIXTURE, env: { FAKE_START: "throw" } });
  assert.equal(code, ExitCode.START_FAILED);
  assert.match(stderr, /^sluice serve: a bug$/m);
  assert.match(JSON.stringify(logLines(stderr).find(({ level }) => level === "error")), /TypeError: a bug.*at /);
});

test("a worker that ends before it is ready ends the first start", async () => {
  const { code, stderr } = await runServiceToEnd({ entry: FIXTURE, env: { FAKE_START: "crash" } });
  assert.equal(code, ExitCode.START_FAILED);
  assert.match(stderr, /^sluice serve: worker 0 ended before it was ready \(exit code 9\)$/m);
});

async function dropLetters(service: RunningService, by: string) {
  const response = await fetch(`${service.adminUrl}/dead-letters/drop`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ letters: ["0-1", "3-5"], logs: { 0: "aa", 3: "bb" }, why: "dropped", by }),
  });
  return (await response.json()) as { dropped: string[]; events: number; missing: string[]; problems: string[] };
}

test("dead letters are dropped by the workers that hold them, and a worker that cannot, or dies, is a problem", async () => {
  await using service = await startFixture({ WORKERS: "2" });
  await bothPids(service);
  const outcome = await dropLetters(service, "ada");
  assert.deepEqual([outcome.dropped.sort(), outcome.events, outcome.problems], [["0-1", "3-5"], 21, []]);
  const failed = await dropLetters(service, "fail");
  assert.deepEqual(failed.dropped, []);
  assert.deepEqual(failed.problems.sort(), ["worker 0: the disk is full", "worker 1: the disk is full"]);
  const crashed = await dropLetters(service, "crash");
  assert.match(crashed.problems.join(), /worker 0: it ended \(exit code 7\); look what is left, and try again/);
  await eventually("both workers are back", async () => (await dropLetters(service, "ada")).dropped.length === 2);
});
