// What the page is told of a loaded service: where events are held up, by whom, and who gets the load.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { LiveSnapshot } from "../../src/admin/live/model.ts";
import { Durability } from "../../src/gen/sluice/v1/ingest_pb.js";
import { FakeCluster } from "../support/fake-broker.ts";
import { eventually, type RunningService, startService } from "../support/service.ts";
import { SteadyLoad } from "../support/steady-load.ts";

const LIMIT = { timeout: 150_000 };

async function live(service: RunningService, seconds = 900): Promise<LiveSnapshot> {
  const response = await fetch(`${service.adminUrl}/debug/live?seconds=${seconds}`);
  assert.equal(response.status, 200);
  return (await response.json()) as LiveSnapshot;
}

const known = (values: readonly (number | null)[]) => values.filter((value) => value !== null);

/** Resolves with what is told when it is so. */
async function untilLive(
  what: string,
  service: RunningService,
  isSo: (snapshot: LiveSnapshot) => boolean,
): Promise<LiveSnapshot> {
  return await eventually(
    what,
    async () => {
      const snapshot = await live(service, 5);
      return isSo(snapshot) ? snapshot : undefined;
    },
    60_000,
  );
}

test("every second has values of the service, its processes and its brokers, on one axis of time", LIMIT, async () => {
  await using cluster = await FakeCluster.start({ brokers: 2, topics: { clicks: 4 }, store: false });
  await using service = await startService({ env: { WORKERS: "2", KAFKA_BROKERS: cluster.bootstrap } });
  using _load = new SteadyLoad({
    address: service.grpcAddress,
    topic: "clicks",
    durability: Durability.REPLICATED,
    streams: 4,
    batchesPerSecond: 25,
  });
  await eventually(
    "some seconds under load",
    async () => {
      // Each worker tells of its callers in its own time.
      const { history, partitions, callers } = await live(service);
      const connections = callers.reduce((sum, caller) => sum + caller.connections, 0);
      return known(history.service.acknowledgeP99).length >= 5 && partitions.length === 4 && connections === 4;
    },
    60_000,
  );
  const { history, processes, brokers, partitions, callers, ledger, ledgerSum, service: about } = await live(service);
  const { t } = history;
  assert.ok(t.every((ms, i) => i === 0 || ms > t[i - 1]!));
  const columns = [history.service, ...Object.values(history.brokers), ...Object.values(history.processes)].flatMap(
    (series) => Object.entries(series),
  );
  for (const [name, values] of columns) assert.equal(values.length, t.length, name);
  for (const series of ["eventsPerSecond", "storedPerSecond", "requestsPerSecond", "bytesPerSecond"] as const)
    assert.ok(
      known(history.service[series]).some((value) => value > 0),
      series,
    );
  for (const series of ["admitP99", "queueP99", "produceP99", "acknowledgeP50", "acknowledgeP99"] as const)
    assert.ok(known(history.service[series]).length > 0, series);

  assert.deepEqual(
    processes.map(({ name, up }) => [name, up]),
    [
      ["0", true],
      ["1", true],
      ["supervisor", true],
    ],
  );
  for (const { name } of processes) assert.ok(known(history.processes[name]!.rssBytes).at(-1)! > 1e7, name);
  assert.deepEqual(brokers.map(({ name }) => name).sort(), cluster.bootstrap.split(",").sort());
  for (const { name } of brokers) assert.ok(known(history.brokers[name]!.requestP99).length > 0, name);
  assert.deepEqual(partitions.map(({ topic, partition }) => `${topic}/${partition}`).sort(), [
    "clicks/0",
    "clicks/1",
    "clicks/2",
    "clicks/3",
  ]);
  assert.ok(partitions.every(({ broker }) => broker !== null));
  assert.deepEqual(
    callers.map(({ address, connections }) => [address, connections]),
    [["127.0.0.1", 4]],
  );
  assert.deepEqual([ledger[0]!.topic, ledger[0]!.agrees, ledgerSum.agrees], ["clicks", true, true]);
  assert.deepEqual([about.workers, about.workersUp, about.ready], [2, 2, true]);
});

test("seconds come as server-sent events, and none is missed or told twice", LIMIT, async () => {
  await using service = await startService();
  await eventually("the first second", async () => (await live(service)).history.t.length > 0);
  const { history, atMs } = await live(service);
  const leaving = new AbortController();
  const response = await fetch(`${service.adminUrl}/debug/live/events?since=${atMs}`, { signal: leaving.signal });
  assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
  const seen = [...history.t];
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const messages = text.split("\n\n");
    text = messages.pop()!;
    for (const message of messages) {
      const data = /^data: (.*)$/m.exec(message)?.[1];
      if (data !== undefined) seen.push(...(JSON.parse(data) as LiveSnapshot).history.t);
    }
    if (seen.length >= history.t.length + 4) break;
  }
  leaving.abort();
  const all = (await live(service)).history.t;
  assert.deepEqual(seen, all.slice(0, seen.length));
});

test("a broker that is slow is named, and the stage is produce", LIMIT, async () => {
  await using cluster = await FakeCluster.start({ brokers: 2, topics: { clicks: 4 }, store: false });
  cluster.onProduce = ({ nodeId }) => (nodeId === 2 ? { delayMs: 400 } : undefined);
  await using service = await startService({ env: { KAFKA_BROKERS: cluster.bootstrap } });
  using _load = new SteadyLoad({
    address: service.grpcAddress,
    topic: "clicks",
    durability: Durability.REPLICATED,
    streams: 2,
    batchesPerSecond: 20,
  });
  const slow = cluster.bootstrap.split(",")[1]!;
  const { bottleneck } = await untilLive("produce is said", service, ({ bottleneck }) => bottleneck.broker === slow);
  assert.equal(bottleneck.stage, "produce");
  assert.match(
    bottleneck.sentence,
    new RegExp(`^produce: broker ${slow.replaceAll(".", "\\.")} takes [\\d.,]+ m?s a request$`),
  );
});

test("a broker that says nothing any more is named, too", LIMIT, async () => {
  await using cluster = await FakeCluster.start({ brokers: 1, topics: { clicks: 1 }, store: false });
  cluster.onProduce = () => ({ delayMs: 20_000 });
  await using service = await startService({ env: { KAFKA_BROKERS: cluster.bootstrap, DRAIN_TIMEOUT: "1s" } });
  using _load = new SteadyLoad({
    address: service.grpcAddress,
    topic: "clicks",
    durability: Durability.REPLICATED,
    streams: 1,
    batchesPerSecond: 20,
  });
  const { bottleneck } = await untilLive("silence is said", service, ({ bottleneck }) =>
    bottleneck.sentence.includes("has not answered"),
  );
  assert.deepEqual([bottleneck.stage, bottleneck.broker], ["produce", cluster.bootstrap]);
});

test("a byte budget that is too small is admission, whatever it makes wait", LIMIT, async () => {
  // A broker that takes its time, but not so long that it is the cause.
  await using cluster = await FakeCluster.start({ brokers: 1, topics: { clicks: 1 }, store: false });
  cluster.onProduce = () => ({ delayMs: 25 });
  const limits = { ADMITTED_BYTES_MAX: "64KiB", GRPC_MESSAGE_BYTES_MAX: "32KiB", LINGER: "0ms" };
  const env = { KAFKA_BROKERS: cluster.bootstrap, ...limits };
  await using service = await startService({ env });
  const common = { address: service.grpcAddress, topic: "clicks", durability: Durability.REPLICATED } as const;
  using _load = new SteadyLoad({ ...common, streams: 120, batchesPerSecond: 50 });
  const { bottleneck } = await untilLive("admit is said", service, ({ bottleneck }) => bottleneck.stage === "admit");
  assert.match(
    bottleneck.sentence,
    /^admit: batches wait .*room in the byte budget \(ADMITTED_BYTES_MAX, 64 KiB a worker\)$/,
  );
});

test("a client that has all its streams on one worker shows as imbalance", LIMIT, async () => {
  await using service = await startService({ env: { WORKERS: "2" } });
  using _load = new SteadyLoad({
    address: service.grpcAddress,
    topic: "clicks",
    durability: Durability.PERSISTED,
    streams: 1,
    batchesPerSecond: 50,
  });
  const { history, bottleneck, callers } = await untilLive(
    "imbalance is said, and who is connected",
    service,
    ({ bottleneck, callers }) => bottleneck.notes.some((note) => note.includes("uneven")) && callers.length > 0,
  );
  assert.match(bottleneck.notes.join(), /load is uneven: worker [01] gets 2 times the mean of all workers/);
  assert.equal(known(history.service.imbalance).at(-1), 2);
  const loads = ["0", "1"].map((worker) => history.processes[worker]!.load.at(-1));
  assert.deepEqual(
    loads.map(Number).sort((a, b) => a - b),
    [0, 2],
  );
  assert.equal(callers[0]!.workers.length, 1);
});
