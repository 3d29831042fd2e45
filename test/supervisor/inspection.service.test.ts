// Questions to the processes of the real service, under load, stuck and dead.

import assert from "node:assert/strict";
import cluster from "node:cluster";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { systemClock } from "../../src/clock.ts";
import { loadConfig } from "../../src/config.ts";
import { Durability } from "../../src/gen/sluice/v1/ingest_pb.js";
import { SETTLEMENT, scrapeDefinitions } from "../../src/supervisor/metrics.ts";
import { inspectAll } from "../../src/supervisor/inspection.ts";
import { type Ending, WorkerSlot } from "../../src/supervisor/slot.ts";
import { SlotMetrics } from "../../src/telemetry/slot.ts";
import { FakeCluster } from "../support/fake-broker.ts";
import { Load } from "../support/load.ts";
import { eventually } from "../support/service.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const NO_PROC = process.platform === "linux" ? false : "there is no /proc";

/** One worker of the real service in a slot of this process. */
async function startWorker(env: Readonly<Record<string, string>>) {
  const dataDir = mkdtempSync(join(tmpdir(), "sluice-test-"));
  const loaded = loadConfig({
    GRPC_LISTEN: "127.0.0.1:0",
    DATA_DIR: dataDir,
    WORKERS: "1",
    LOG_LEVEL: "error",
    ...env,
  });
  assert.ok(loaded.ok);
  const ready = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<Ending>();
  const observer = {
    ready: () => ready.resolve(),
    startFailed: (_slot: WorkerSlot, message: string) => ready.reject(new Error(message)),
    pushed: () => {},
    spans: () => {},
    ended: (_slot: WorkerSlot, ending: Ending) => ended.resolve(ending),
  };
  cluster.setupPrimary({ exec: MAIN, args: ["worker", "0"], execArgv: [], serialization: "advanced" });
  const slot = new WorkerSlot(0, new SlotMetrics(scrapeDefinitions(), SETTLEMENT), observer, systemClock);
  slot.start(loaded.config);
  await ready.promise;
  return {
    slot,
    ended: ended.promise,
    [Symbol.asyncDispose]: async () => {
      slot.kill();
      await ended.promise;
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

test(
  "a worker under load tells its threads, its event loop, its partitions and its callers",
  { skip: NO_PROC },
  async () => {
    await using kafka = await FakeCluster.start({ brokers: 1, topics: { clicks: 3 } });
    await using worker = await startWorker({ KAFKA_BROKERS: kafka.bootstrap });
    const { slot } = worker;
    const { host, port } = slot.address!;
    const load = new Load({
      address: `${host}:${port}`,
      topic: "clicks",
      durability: Durability.REPLICATED,
      streams: ["closes", "closes"],
      unaryCallers: 2,
    });
    try {
      const state = await eventually("all partitions are busy", async () => {
        const now = await slot.ask("state");
        return now.kafka?.partitions.length === 3 && (now.callers?.callers.length ?? 0) > 0 && now;
      });
      assert.equal(state.pid, slot.pid);
      assert.equal(state.versions["node"], process.versions.node);
      assert.equal(state.kafka!.client, "direct");
      assert.deepEqual(
        state.kafka!.partitions.map(({ partition }) => partition).toSorted((a, b) => a - b),
        [0, 1, 2],
      );
      for (const partition of state.kafka!.partitions) {
        assert.equal(partition.topic, "clicks");
        assert.ok(Number.isInteger(partition.leader));
        assert.equal(partition.problem, undefined);
      }
      const [caller] = state.callers!.callers;
      assert.equal(caller!.address, "127.0.0.1");
      assert.ok(caller!.connections >= 2);
      assert.ok(caller!.streams >= 2);

      const threads = await slot.ask("threads");
      assert.ok(threads.some(({ tid }) => tid === slot.pid));
      const seconds = await eventually("two seconds of the event loop", async () => {
        const now = await slot.ask("eventloop");
        return now.length >= 2 && now;
      });
      for (const { turns, p50, p99, max } of seconds) {
        assert.ok(turns > 0);
        assert.ok(p50 <= p99 && p99 <= max);
      }
    } finally {
      await load.stop();
    }
  },
);

test("kafkajs and grpc-js tell what they can, and say what they cannot", async () => {
  await using kafka = await FakeCluster.start({ brokers: 1, topics: { clicks: 2 } });
  await using worker = await startWorker({
    KAFKA_BROKERS: kafka.bootstrap,
    KAFKA_CLIENT: "kafkajs",
    GRPC_SERVER: "grpc-js",
  });
  const { kafka: client, callers } = await worker.slot.ask("state");
  assert.equal(client!.client, "kafkajs");
  assert.match(client!.unknown.join(), /which broker leads/);
  assert.deepEqual(callers!.callers, []);
  assert.match(callers!.unknown.join(), /does not tell who is connected/);
});

test(
  "a worker whose event loop does not turn is told so in bounded time, and its threads are read all the same",
  { skip: NO_PROC },
  async () => {
    await using worker = await startWorker({});
    const { slot, ended } = worker;
    const pid = slot.pid!;
    const told = await eventually("it has told its state", () => slot.earlier(false));
    assert.equal(told.state.pid, pid);
    assert.equal(slot.earlier(true), undefined);
    process.kill(pid, "SIGSTOP");
    const silent = { worker: "0", reason: "it did not answer within 3 s" };
    assert.deepEqual(await inspectAll([slot], "eventloop"), [silent]);
    const [state] = await inspectAll([slot], "state");
    assert.equal(state!.reason, silent.reason);
    assert.equal(state!.earlier?.state.pid, pid);
    const [threads] = await inspectAll([slot], "threads");
    assert.ok(threads!.value!.some(({ tid }) => tid === slot.pid));

    const asked = inspectAll([slot], "state");
    process.kill(slot.pid!, "SIGKILL");
    const [answer] = await asked;
    assert.equal(answer!.reason, "it ended (signal SIGKILL)");
    await ended;
    // Beside what its successor may answer, too.
    assert.equal(slot.earlier(true)?.state.pid, pid);
    for (const question of ["threads", "eventloop"] as const)
      assert.deepEqual(await inspectAll([slot], question), [
        { worker: "0", reason: "it does not run now (signal SIGKILL); try again" },
      ]);
  },
);

test("the last log lines of a worker are there after it was killed", async () => {
  await using worker = await startWorker({ LOG_LEVEL: "info" });
  const { slot, ended } = worker;
  const listens = () => slot.log.lines.find((line) => line.includes('"msg":"gRPC listens"'));
  await eventually("a line has come", listens);
  slot.kill();
  await ended;
  assert.equal((JSON.parse(listens()!) as { process: string }).process, "worker 0");
});
