// The ends of the service's processes under load, good and bad: what clients see, and what is there afterwards.
//
// Everything is PERSISTED on the spool, so that what is there can be read when all processes are gone.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { ledgerMistakes, readLedger } from "../../src/cli/ledger.ts";
import { Durability } from "../../src/gen/sluice/v1/ingest_pb.js";
import { readSpool } from "../../src/spool/reader.ts";
import { ExitCode } from "../../src/supervisor/exit-codes.ts";
import { decodeRecords } from "../../src/wire/record-batch.ts";
import { Load, type LoadOptions } from "../support/load.ts";
import {
  eventually,
  logLines,
  type RunningService,
  runServiceToEnd,
  type ServiceOptions,
  startService,
} from "../support/service.ts";

const LIMIT = { timeout: 120_000 };
const FAULTY = join(import.meta.dirname, "faulty-service.ts");
const TOPIC = "t";
/** Batches answered before something happens: every stream is well under way then. */
const UNDER_WAY = 400;

async function withDataDir(body: (dataDir: string) => Promise<void>): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-death-"));
  try {
    await body(dataDir);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** Every value in the spool, as often as it is there, in order within each worker. */
async function spooled(dataDir: string): Promise<string[]> {
  const values: string[] = [];
  for await (const { bytes } of readSpool({ dataDir, topic: TOPIC }))
    for (const { value } of decodeRecords(bytes)) values.push(value!.toString());
  return values;
}

/** What was acknowledged is in the spool, once, and nothing is there that was not sent. @returns the spool's values. */
async function assertStored(dataDir: string, load: Load): Promise<Set<string>> {
  const values = await spooled(dataDir);
  const there = new Set(values);
  assert.equal(values.length, there.size, "nothing is stored twice");
  const stored = load.stored();
  assert.deepEqual([...stored].filter((value) => !there.has(value)).slice(0, 3), [], "what was acknowledged is there");
  const unknown = load.unknown();
  assert.deepEqual([...there].filter((value) => !stored.has(value) && !unknown.has(value)).slice(0, 3), []);
  return there;
}

/** The events of a stream with the same key lie in the order in which they were sent. Only for streams that did not move. */
function assertOrder(values: Iterable<string>): void {
  const last = new Map<string, number>();
  for (const value of values) {
    const [sender, sequence, i] = value.split("/").map(Number) as [number, number, number];
    const key = `${sender} ${i % 3}`;
    const at = sequence * 1_000 + i;
    assert.ok((last.get(key) ?? -1) < at, `${value} is behind its place`);
    last.set(key, at);
  }
}

const LOAD: Omit<LoadOptions, "address"> = {
  topic: TOPIC,
  durability: Durability.PERSISTED,
  streams: ["closes", "closes", "closes", "stays", "stays", "closes"],
  unaryCallers: 12,
};

async function underWay(load: Load, batches = UNDER_WAY): Promise<void> {
  const target = load.answered + batches;
  await eventually("the load is under way", () => load.answered >= target, 60_000);
}

/** The pids of the workers that gRPC listens in, the last one of each slot. */
function workerPids(service: { readonly stderr: () => string }): Map<string, number> {
  const listening = logLines(service.stderr()).filter(({ msg }) => msg === "gRPC listens");
  return new Map(listening.map(({ process: name, pid }) => [String(name), Number(pid)]));
}

async function respawned(service: RunningService, worker: string, before: number): Promise<void> {
  await eventually(
    `${worker} is there again`,
    () => {
      const pid = workerPids(service).get(worker);
      return pid !== undefined && pid !== before;
    },
    60_000,
  );
}

async function assertLedger(service: RunningService): Promise<void> {
  let mistakes: readonly unknown[] = [];
  await eventually("the ledger sums up with nothing in flight", async () => {
    const ledger = readLedger(await (await fetch(`${service.adminUrl}/metrics`)).text(), TOPIC);
    mistakes = ledgerMistakes(ledger);
    return mistakes.length === 0 && ledger.inFlight === 0;
  });
}

const faulty = (dataDir: string, env: NonNullable<ServiceOptions["env"]>): ServiceOptions => ({
  entry: FAULTY,
  env: { DATA_DIR: dataDir, WORKERS: "2", ...env },
});

test(
  "SIGTERM under load: each batch has one outcome, every call in flight is answered, and the exit code is 0",
  LIMIT,
  async () => {
    await withDataDir(async (dataDir) => {
      const service = await startService({ env: { DATA_DIR: dataDir, WORKERS: "2" } });
      const load = new Load({ ...LOAD, address: service.grpcAddress });
      await underWay(load);
      assert.deepEqual(await service.stop(), { code: ExitCode.OK, signal: null });
      await load.ended;
      load.assertOneOutcomeEach();
      assert.equal(load.drains, LOAD.streams.length);
      const there = await assertStored(dataDir, load);
      const notTaken = load.unknown();
      assert.deepEqual(
        [...there].filter((value) => notTaken.has(value)),
        [],
        "what has no answer was not taken",
      );
      assertOrder([...there].filter((value) => Number(value.split("/")[0]) < LOAD.streams.length));
    });
  },
);

test(
  "clients that ignore Drain hold the end up to the deadline at most, and what they get is UNAVAILABLE",
  LIMIT,
  async () => {
    await withDataDir(async (dataDir) => {
      const service = await startService({ env: { DATA_DIR: dataDir, WORKERS: "2", DRAIN_TIMEOUT: "6s" } });
      const load = new Load({
        ...LOAD,
        streams: ["ignores", "closes", "ignores", "stays"],
        address: service.grpcAddress,
      });
      await underWay(load);
      assert.deepEqual(await service.stop(), { code: ExitCode.OK, signal: null });
      await load.ended;
      load.assertOneOutcomeEach();
      await assertStored(dataDir, load);
      const quiet = load.unknown(({ afterDrain }) => !afterDrain);
      const there = new Set(await spooled(dataDir));
      assert.deepEqual(
        [...quiet].filter((value) => there.has(value)),
        [],
      );
    });
  },
);

test("a second SIGTERM under load ends everything at once, and what was acknowledged is there", LIMIT, async () => {
  await withDataDir(async (dataDir) => {
    const service = await startService({ env: { DATA_DIR: dataDir, WORKERS: "2" } });
    const streams = ["ignores", "ignores", "closes", "stays"] as const;
    const load = new Load({ ...LOAD, streams, address: service.grpcAddress, connectionsBreak: true });
    await underWay(load);
    process.kill(service.pid, "SIGTERM");
    await eventually("it drains", () => load.drains > 0);
    // Twice within a tenth of a second is one Ctrl-C that was delivered twice.
    await setTimeout(250);
    assert.deepEqual(await service.stop(), { code: ExitCode.SIGTERM, signal: null });
    await load.ended;
    load.assertOneOutcomeEach();
    await assertStored(dataDir, load);
  });
});

for (const { how, name, env, harm, cause } of [
  {
    how: "is killed",
    name: "killed",
    env: {},
    harm: "SIGKILL",
    cause: /^signal SIGKILL$/,
  },
  {
    how: "throws what nobody catches",
    name: "threw",
    env: { FAULT: "throw" },
    harm: "SIGUSR2",
    cause: /^exit code [1-9]/,
  },
  {
    how: "runs out of memory",
    name: "out of memory",
    // As an operator would bound it; the supervisor and the other workers get the same.
    env: { FAULT: "leak", NODE_OPTIONS: "--max-old-space-size=128" },
    harm: "SIGUSR2",
    cause: /^(signal SIGABRT|signal SIGTRAP|signal SIGILL|exit code 134)$/,
  },
] as const) {
  test(
    `a worker that ${how} under load is started again: its clients see UNAVAILABLE, what was acknowledged is there`,
    LIMIT,
    async () => {
      await withDataDir(async (dataDir) => {
        await using service = await startService(faulty(dataDir, env));
        const load = new Load({ ...LOAD, address: service.grpcAddress, reconnect: true, connectionsBreak: true });
        await underWay(load);
        const victim = workerPids(service).get("worker 0")!;
        const other = workerPids(service).get("worker 1");
        process.kill(victim, harm);
        await respawned(service, "worker 0", victim);
        await underWay(load);
        await load.stop();
        load.assertOneOutcomeEach();
        assert.ok((load.outcomes()["ended UNAVAILABLE"] ?? 0) > 0, name);
        const death = logLines(service.stderr()).find(({ msg }) => msg === "worker died");
        assert.match(String(death?.["cause"]), cause);
        assert.equal(workerPids(service).get("worker 1"), other, "the other one went on");
        await assertLedger(service);
        await assertStored(dataDir, load);
        assert.deepEqual(await service.stop(), { code: ExitCode.OK, signal: null });
      });
    },
  );
}

test(
  "workers whose supervisor is killed under load drain and end; until then the directory is refused, then it is free",
  LIMIT,
  async () => {
    await withDataDir(async (dataDir) => {
      const service = await startService({ env: { DATA_DIR: dataDir, WORKERS: "2" } });
      const load = new Load({ ...LOAD, address: service.grpcAddress });
      await underWay(load);
      // One of them cannot notice until the second service has looked at its directory.
      const late = workerPids(service).get("worker 1")!;
      process.kill(late, "SIGSTOP");
      process.kill(service.pid, "SIGKILL");
      const second = await runServiceToEnd({ env: { DATA_DIR: dataDir, WORKERS: "2" }, timeoutMs: 60_000 }).finally(
        () => {
          process.kill(late, "SIGCONT");
        },
      );
      assert.equal(second.code, ExitCode.START_FAILED, second.stderr);
      const lines = second.stderr.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
      assert.equal(lines.length, 1, second.stderr);
      assert.match(lines[0]!, /^sluice serve: the directory .* is in use by another process: stop the other sluice/);
      // The last of its processes has gone by then.
      assert.deepEqual(await service.exited, { code: null, signal: "SIGKILL" });
      await load.ended;
      load.assertOneOutcomeEach();
      assert.equal(load.drains, LOAD.streams.length);
      const there = await assertStored(dataDir, load);
      await using again = await startService({ env: { DATA_DIR: dataDir, WORKERS: "2" } });
      await eventually("both workers tell that they took their spools over", async () => {
        const { recovered } = readLedger(await (await fetch(`${again.adminUrl}/metrics`)).text(), TOPIC);
        assert.ok(recovered <= there.size);
        return recovered === there.size;
      });

      assert.deepEqual(await again.stop(), { code: ExitCode.OK, signal: null });
    });
  },
);

test(
  "a disk that is full while the service drains: what is answered as stored is there, the rest is told to come again",
  LIMIT,
  async () => {
    await withDataDir(async (dataDir) => {
      const service = await startService(faulty(dataDir, { FAULT: "full", DRAIN_TIMEOUT: "4s" }));
      const load = new Load({ ...LOAD, streams: ["closes", "ignores", "stays"], address: service.grpcAddress });
      await underWay(load);
      process.kill(service.pid, "SIGTERM");
      for (const pid of workerPids(service).values()) process.kill(pid, "SIGUSR2");
      assert.deepEqual(await service.stop(), { code: ExitCode.OK, signal: null });
      await load.ended;
      assert.deepEqual(load.violations, []);
      for (const { outcome } of load.batches) {
        if (outcome?.kind === "answered") for (const { retryable } of outcome.failures) assert.ok(retryable);
        // Once the disk is known to be full, batches are refused whole.
        else if (outcome?.kind === "refused") assert.equal(outcome.code, 8);
        else assert.ok(outcome?.kind === "ended" && [8, 14].includes(outcome.code), JSON.stringify(outcome));
      }
      assert.ok(
        Object.keys(load.outcomes()).some((how) => how.includes("is full")),
        JSON.stringify(load.outcomes()),
      );
      await assertStored(dataDir, load);
    });
  },
);
