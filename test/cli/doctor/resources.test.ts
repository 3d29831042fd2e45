import assert from "node:assert/strict";
import test from "node:test";
import { judgeBalance, judgeBalances, type Share } from "../../../src/cli/doctor/balance.ts";
import { type ClockReading, judgeClock, judgeTopicClock } from "../../../src/cli/doctor/clock.ts";
import type { Finding } from "../../../src/cli/doctor/finding.ts";
import { judgeFiles, judgeSizing, judgeThrottling, type Sizing } from "../../../src/cli/doctor/resources.ts";
import { readFacts, type WorkerFacts } from "../../../src/cli/doctor/service-facts.ts";

const MIB = 1024 * 1024;
const checks = (findings: readonly Finding[]) => findings.map(({ level, check }) => [level, check]);

const SIZING: Sizing = {
  workers: 4,
  cores: 4,
  cpuLimitCores: Infinity,
  memoryLimitBytes: 2048 * MIB,
  admittedBytes: 4 * 64 * MIB,
};

test("workers are held against the cores of the host and of the control group", () => {
  assert.deepEqual(checks(judgeSizing("s", SIZING)), [["ok", "sizing"]]);
  assert.deepEqual(checks(judgeSizing("s", { ...SIZING, cores: 2 })), [["warning", "workers-over-cores"]]);
  const [limited] = judgeSizing("s", { ...SIZING, cpuLimitCores: 1.5 });
  assert.equal(limited!.message, "4 workers on a control group that may use 1.5 cores");
  assert.equal(limited!.remedy, "set WORKERS to 1");
  // A part of a core is worth a worker.
  assert.equal(judgeSizing("s", { ...SIZING, cpuLimitCores: 3.5 })[0]!.level, "ok");
  assert.equal(judgeSizing("s", { ...SIZING, cores: undefined })[0]!.level, "ok");
});

test("memory is held against what all workers may admit, twice, and what a process takes", () => {
  const [finding, ...rest] = judgeSizing("s", { ...SIZING, memoryLimitBytes: 512 * MIB });
  assert.deepEqual(rest, []);
  assert.equal(finding!.check, "memory-limit");
  assert.match(
    finding!.message,
    /^memory is limited to 512\.0 MiB, but 4 workers may take 912\.0 MiB: 2 × ADMITTED_BYTES_MAX \(256\.0 MiB in all\)/,
  );
});

const WORKER: WorkerFacts = {
  worker: "0",
  connections: 10,
  connectionsLimit: 10_000,
  streams: 100,
  events: 0,
  load: undefined,
  openFiles: 100,
  openFilesMax: 20_000,
  admittedBytesLimit: 64 * MIB,
};

test("file descriptors are held against the connections that a worker may have, and those that are open", () => {
  const judge = (facts: Partial<WorkerFacts>) =>
    judgeFiles(
      "s",
      [
        { ...WORKER, ...facts },
        { ...WORKER, worker: "1" },
      ],
      10_000,
    );
  assert.deepEqual(checks(judge({})), [["ok", "open-files"]]);
  const low = judge({ openFilesMax: 1024 });
  assert.deepEqual(checks(low), [["warning", "open-files"]]);
  assert.equal(
    low[0]!.message,
    "worker 0 may open 1024 files: enough for 768 connections, and GRPC_CONNECTIONS_MAX is 10,000 (20,000 over 2 workers)",
  );
  assert.match(low[0]!.remedy!, /^raise the limit to 10256 or more: `ulimit -n`/);
  const near = judge({ openFiles: 19_000 });
  assert.deepEqual(checks(near), [["error", "open-files"]]);
  assert.equal(near[0]!.message, "worker 0 has 19000 of 20000 file descriptors open");
});

const PAGE = `
sluice_worker_up{worker="0"} 1
sluice_worker_up{worker="1"} 1
sluice_grpc_connections{worker="0"} 1
sluice_grpc_connections{worker="1"} 1
sluice_grpc_connections_limit{worker="0"} 10000
sluice_grpc_http2_streams{worker="0"} 8
process_open_fds{worker="0"} 40
process_max_fds{worker="0"} 1024
sluice_admitted_bytes_limit{worker="0"} 1000
sluice_events_received_total{topic="a",worker="0"} 100
sluice_events_received_total{topic="b",worker="0"} 100
sluice_cgroup_cpu_limit_cores 2
sluice_cgroup_cpu_periods_total 1000
sluice_cgroup_cpu_throttled_periods_total 10
sluice_cgroup_cpu_throttled_seconds_total 1
`;
const LATER = PAGE.replace('"a",worker="0"} 100', '"a",worker="0"} 1100')
  .replace("periods_total 1000", "periods_total 1020")
  .replace("throttled_periods_total 10", "throttled_periods_total 15");

test("two scrapes give each worker's load, and how often the kernel held the service back", () => {
  const facts = readFacts("h:1", [PAGE, LATER], 2000, undefined);
  assert.deepEqual(facts.workers[0], {
    worker: "0",
    connections: 1,
    connectionsLimit: 10_000,
    streams: 8,
    events: 1000,
    load: undefined,
    openFiles: 40,
    openFilesMax: 1024,
    admittedBytesLimit: 1000,
  });
  assert.equal(facts.workers[1]!.openFilesMax, Infinity);
  assert.equal(facts.cpuLimitCores, 2);
  const [throttled] = judgeThrottling("s", facts);
  assert.equal(throttled!.level, "warning");
  assert.equal(
    throttled!.message,
    "its control group of 2 cores was held back in 1.5 % of 1,020 periods (1.0 s), and in 25.0 % of the 20 of the last 2.0 s",
  );
  assert.equal(judgeThrottling("s", readFacts("h:1", [PAGE, PAGE], 2000, undefined))[0]!.level, "ok");
  assert.deepEqual(judgeThrottling("s", readFacts("h:1", ["", ""], 2000, undefined)), []);
});

test("load that lies on one worker is found by events, and the remedy fits the connections", () => {
  const share = (name: string, events: number, connections: number, streams = 0): Share => ({
    name,
    events,
    connections,
    streams,
  });
  const judge = (...shares: Share[]) => judgeBalance("s", "worker", shares, 1000);
  assert.deepEqual(checks(judge(share("a", 900, 5), share("b", 1100, 5))), [["ok", "uneven-workers"]]);
  const [single] = judge(share("worker 0", 5000, 1), share("worker 1", 0, 0));
  assert.equal(single!.level, "warning");
  assert.equal(
    single!.message,
    "worker 0 has 100 % of 5,000 events in 1.0 s and 1 of 1 connection, so the others idle: worker 0 100 %, worker 1 0 %",
  );
  assert.match(single!.remedy!, /at least 2 connections$/);
  const [heavy] = judge(share("a", 9000, 5), share("b", 1500, 5));
  assert.match(heavy!.remedy!, /^some connections carry more than others/);
  const [uneven] = judge(share("a", 9000, 18), share("b", 1500, 2));
  assert.match(uneven!.message, /1\.7 times its share/);
  assert.match(uneven!.remedy!, /GRPC_CONNECTION_AGE_MAX/);
});

test("where hardly any events come, streams say where the load will be, and a single stream says nothing", () => {
  const judge = (a: number, b: number) =>
    judgeBalance(
      "s",
      "worker",
      [
        { name: "a", events: 3, streams: a, connections: 4 },
        { name: "b", events: 0, streams: b, connections: 4 },
      ],
      1000,
    );
  assert.deepEqual(checks(judge(40, 0)), [["warning", "uneven-workers"]]);
  assert.deepEqual(checks(judge(20, 20)), [["ok", "uneven-workers"]]);
  assert.deepEqual(judge(1, 0), []);
});

test("pods are compared with each other, each with all its workers", () => {
  const facts = readFacts("pod-0:1", [PAGE, LATER], 2000, undefined);
  const idle = { ...readFacts("pod-1:1", [PAGE, PAGE], 2000, undefined) };
  const findings = judgeBalances([
    { subject: "pod-0:1 service", facts },
    { subject: "pod-1:1 service", facts: idle },
  ]);
  const pods = findings.find(({ check }) => check === "uneven-pods");
  assert.equal(pods!.level, "warning");
  assert.match(pods!.message, /^pod-0:1 has 100 % of 1,000 events in 2\.0 s and 2 of 4 connections/);
});

test("shares of workers are the service's own where it counts them", () => {
  const page = (events: number) =>
    ["0", "1"]
      .map(
        (worker) =>
          `sluice_worker_up{worker="${worker}"} 1\nsluice_events_received_total{worker="${worker}"} ${worker === "0" ? events : 0}\n`,
      )
      .join("");
  const judge = (ratios: string) =>
    judgeBalances([{ subject: "s", facts: readFacts("h:1", [page(0), page(1000) + ratios], 1000, undefined) }]);
  assert.deepEqual(checks(judge("")), [["warning", "uneven-workers"]]);
  // The other worker's push is still to come.
  const even = 'sluice_worker_load_ratio{worker="0"} 1.1\nsluice_worker_load_ratio{worker="1"} 0.9\n';
  const [finding] = judge(even);
  assert.equal(finding!.message, "workers share 1,000 events in 1.0 s evenly: worker 0 55 %, worker 1 45 %");
});

const HOUR = 3_600_000;
const READING: ClockReading = { whose: "the controller", atMs: 10_000, askedMs: 9_990, answeredMs: 10_010, stepMs: 1 };

test("a clock agrees if it is right at any time between question and answer", () => {
  assert.equal(judgeClock(READING, HOUR).level, "ok");
  assert.equal(judgeClock({ ...READING, askedMs: 0, answeredMs: 60_000 }, HOUR).level, "ok");
  // The second that a Date header names has begun up to a second ago.
  assert.equal(judgeClock({ ...READING, askedMs: 11_900, answeredMs: 11_910, stepMs: 1000 }, HOUR).level, "ok");
});

test("a clock that is off is a warning with how much, and an error where brokers refuse events for it", () => {
  const ahead = judgeClock({ ...READING, atMs: 15_010 }, HOUR);
  assert.deepEqual([ahead.level, ahead.message], ["warning", "the controller is 5.0 s ahead of this host"]);
  const behind = judgeClock({ ...READING, askedMs: 20_001, answeredMs: 20_002 }, HOUR);
  assert.deepEqual([behind.level, behind.message], ["warning", "the controller is 10.0 s behind this host"]);
  const refused = judgeClock({ ...READING, askedMs: 20_001, answeredMs: 20_002 }, 5_000);
  assert.equal(refused.level, "error");
  assert.match(refused.message, /topics refuse timestamps more than 5\.0 s ahead$/);
  assert.equal(judgeClock({ ...READING, atMs: 15_010 }, 1).level, "warning");
});

test("a topic with events from the future is found, an empty one is not", () => {
  const judge = (newestMs: number) => judgeTopicClock({ name: "t", newestMs, nowMs: 1_000_000 });
  assert.deepEqual([judge(-1), judge(1_000_500)], [[], []]);
  assert.match(judge(1_600_000)[0]!.message, /^its newest timestamp is 10 minutes ahead of this host's clock$/);
});
