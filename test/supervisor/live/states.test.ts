import assert from "node:assert/strict";
import test from "node:test";
import type { PartitionState } from "../../../src/ingest/producer.ts";
import type { WorkerState } from "../../../src/supervisor/inspection.ts";
import {
  callersOf,
  CALLERS_MAX,
  PARTITIONS_MAX,
  partitionsOf,
  queuedBytesOf,
} from "../../../src/supervisor/live/states.ts";
import { ledgerRows, TOPICS_MAX } from "../../../src/supervisor/live/ledger.ts";
import { emptyLedger } from "../../../src/telemetry/ledger.ts";

const partition = (topic: string, index: number, queuedBytes: number, broker?: string): PartitionState => ({
  topic,
  partition: index,
  queuedBatches: 1,
  queuedBytes,
  inFlight: 2,
  retries: 3,
  leader: 1,
  broker,
  problem: undefined,
});

function worker(name: string, partitions: readonly PartitionState[], addresses: readonly string[] = []) {
  const caller = { identity: undefined, connections: 1, streams: 2, streamsMax: 2, unsentBytes: 5, oldestSeconds: 9 };
  const state = {
    kafka: { client: "direct", unknown: [], partitions, partitionsLeftOut: 0 },
    callers: {
      server: "native",
      unknown: [],
      callers: addresses.map((address) => ({ address, ...caller })),
      callersLeftOut: 0,
    },
  } as unknown as WorkerState;
  return { name, told: { asOfMs: 1, state } };
}

test("a partition is summed over the workers, the busiest first, and knows its leader if one of them does", () => {
  const { told } = partitionsOf([
    worker("0", [partition("t", 0, 10), partition("t", 1, 5, "a:1")]),
    worker("1", [partition("t", 0, 1, "b:1")]),
    { name: "2", told: undefined },
  ]);
  const [first, second] = told;
  assert.deepEqual([first!.partition, first!.queuedBytes, first!.inFlight, first!.broker], [0, 11, 4, "b:1"]);
  assert.deepEqual([second!.partition, second!.broker], [1, "a:1"]);
});

test("what waits for a broker is that of the partitions that it leads", () => {
  const slots = [
    worker("0", [partition("t", 0, 10, "a:1"), partition("u", 0, 7, "a:1")]),
    worker("1", [partition("t", 0, 1)]),
  ];
  assert.deepEqual([...queuedBytesOf(slots)], [["a:1", 17]]);
});

test("callers are those of all workers, with the workers that they are at", () => {
  const { callers } = callersOf([worker("0", [], ["10.0.0.1", "10.0.0.2"]), worker("1", [], ["10.0.0.1"])]);
  assert.deepEqual(
    callers.map(({ address, streams, workers }) => [address, streams, workers]),
    [
      ["10.0.0.1", 4, ["0", "1"]],
      ["10.0.0.2", 2, ["0"]],
    ],
  );
});

test("lists are bounded, and say how much they leave out", () => {
  const partitions = Array.from({ length: PARTITIONS_MAX + 7 }, (_, i) => partition("t", i, i));
  assert.deepEqual(
    [partitionsOf([worker("0", partitions)]).told.length, partitionsOf([worker("0", partitions)]).leftOut],
    [PARTITIONS_MAX, 7],
  );
  const addresses = Array.from({ length: CALLERS_MAX + 3 }, (_, i) => `10.0.0.${i}`);
  assert.equal(callersOf([worker("0", [], addresses)]).callersLeftOut, 3);
  const topics = new Map(
    Array.from({ length: TOPICS_MAX + 4 }, (_, i) => [`t${i}`, { ...emptyLedger(), received: i, stored: i }]),
  );
  topics.set("wrong", { ...emptyLedger(), received: 0, stored: 1 });
  const { ledger, ledgerLeftOut, ledgerSum } = ledgerRows(topics);
  assert.deepEqual(
    [ledger.length, ledgerLeftOut, ledger[0]!.topic, ledger[0]!.agrees],
    [TOPICS_MAX, 5, "wrong", false],
  );
  assert.equal(ledgerSum.agrees, false);
});
