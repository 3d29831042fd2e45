// The direct producer against every row of the error table: what is sent again, with which sequence and which bytes, what is
// settled, and when the epoch is bumped.

import assert from "node:assert/strict";
import test from "node:test";

import { Code, IngestError, Reason } from "../../src/errors.ts";
import { actionFor, errorName } from "../../src/kafka/errors.ts";
import type { Fault } from "../support/fake-broker.ts";
import { sequences, watch } from "./support/attempts.ts";
import { batchOf, brief, type Outcomes, Settlements } from "./support/batches.ts";
import { type Harness, start, storedValues, until, value } from "./support/harness.ts";

const before = (code: number): Fault => ({ action: "error", code, when: "before" });
const after = (code: number): Fault => ({ action: "error", code, when: "after" });

/** One batch is acknowledged, so that what comes next may be pipelined. */
async function warmUp({ producer }: Harness, settlements: Settlements): Promise<void> {
  assert.deepEqual(await settlements.send(producer, batchOf("t", 0, ["warm"])), [0]);
}

/** Five batches of two records: all of them are in flight together before the broker reads the first. */
async function pipeline({ producer, cluster, metrics }: Harness, settlements: Settlements): Promise<Outcomes[]> {
  cluster.broker(1).pause();
  const sending = Promise.all(
    ["a", "b", "c", "d", "e"].map((name) => settlements.send(producer, batchOf("t", 0, [`${name}0`, `${name}1`]))),
  );
  await until(() => value(metrics, "sluice_kafka_requests_in_flight") === 5, "five are in flight");
  cluster.broker(1).resume();
  return await sending;
}

const PIPELINED = ["warm", "a0", "a1", "b0", "b1", "c0", "c1", "d0", "d1", "e0", "e1"];

function failure(outcomes: Outcomes, record = 0): IngestError {
  const outcome = outcomes[record];
  assert.ok(outcome instanceof IngestError, `record ${record}: ${String(outcome)}`);
  return outcome;
}

test("the error table is the documented one", () => {
  const rows: [string, number[]][] = [
    ["acknowledge", [0, 46]],
    ["resend", [7, 20, 56, -1, 999]],
    ["move", [3, 5, 6, 74]],
    ["backoff", [19]],
    ["sequence", [45, 59]],
    ["fenced", [47, 90]],
    ["split", [10, 18]],
    ["corrupt", [2]],
    ["reject", [32, 44, 76, 87]],
    ["denied", [17, 29, 31]],
    ["renegotiate", [35]],
  ];
  for (const [action, codes] of rows) for (const code of codes) assert.equal(actionFor(code), action, errorName(code));
  assert.equal(errorName(6), "NOT_LEADER_OR_FOLLOWER");
  assert.equal(errorName(999), "ERROR_999");
});

test("code 46 acknowledges: the batch is on the log, at an offset that is not known", async () => {
  await using harness = await start();
  const attempts = watch(harness.cluster, [after(46)]);
  const settlements = new Settlements();
  assert.deepEqual(await settlements.send(harness.producer, batchOf("t", 0, ["a", "b"])), [-1, -1]);
  assert.deepEqual(await settlements.send(harness.producer, batchOf("t", 0, ["c"])), [2]);
  assert.deepEqual(sequences(attempts), ["0:0+2", "0:2+1"]);
});

for (const code of [7, 20, 56, -1]) {
  for (const [when, fault] of [
    ["after", after(code)],
    ["before", before(code)],
  ] as const) {
    test(`code ${code} (${errorName(code)}) told ${when} it is stored: the same bytes go again and are stored once`, async () => {
      await using harness = await start();
      const settlements = new Settlements();
      await warmUp(harness, settlements);
      const metadata = harness.cluster.count("Metadata");
      const attempts = watch(harness.cluster, [fault]);
      assert.deepEqual(await pipeline(harness, settlements), [
        [1, 2],
        [3, 4],
        [5, 6],
        [7, 8],
        [9, 10],
      ]);
      assert.deepEqual(storedValues(harness.cluster, "t", 0), PIPELINED);
      assert.deepEqual(sequences(attempts.slice(0, 5)), ["0:1+2", "0:3+2", "0:5+2", "0:7+2", "0:9+2"]);
      const again = attempts.slice(5);
      assert.deepEqual([sequences(again)[0], again[0]!.digest], ["0:1+2", attempts[0]!.digest]);
      assert.ok(again.every(({ epoch }) => epoch === 0));
      await until(() => harness.cluster.count("Metadata") > metadata, "metadata is refreshed");
      assert.equal(value(harness.metrics, "sluice_kafka_possible_duplicates_total"), 0);
      assert.equal(value(harness.metrics, "sluice_kafka_errors_total", errorName(code)), 1);
    });
  }
}

for (const code of [3, 5, 6, 74]) {
  test(`code ${code} (${errorName(code)}): it is sent again, with the same bytes, once all others are home`, async () => {
    await using harness = await start();
    const settlements = new Settlements();
    await warmUp(harness, settlements);
    const metadata = harness.cluster.count("Metadata");
    const attempts = watch(harness.cluster, [before(code)]);
    await pipeline(harness, settlements);
    assert.deepEqual(storedValues(harness.cluster, "t", 0), PIPELINED);
    // The four behind it were answered 45, and the first goes again alone.
    const all = ["0:1+2", "0:3+2", "0:5+2", "0:7+2", "0:9+2"];
    assert.deepEqual(sequences(attempts), [...all, ...all]);
    assert.deepEqual(
      attempts.slice(0, 5).map(({ digest }) => digest),
      attempts.slice(5).map(({ digest }) => digest),
    );
    assert.equal(value(harness.metrics, "sluice_kafka_retries_total"), 5);
    await until(() => harness.cluster.count("Metadata") > metadata, "metadata is refreshed");
  });
}

test("code 19 (NOT_ENOUGH_REPLICAS): it backs off, ever longer, and keeps the order", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  await warmUp(harness, settlements);
  const attempts = watch(harness.cluster, (sent) =>
    attempts.length < 9 && sent[0]!.sequence === 1 ? before(19) : undefined,
  );
  await pipeline(harness, settlements);
  assert.deepEqual(storedValues(harness.cluster, "t", 0), PIPELINED);
  const first = attempts.filter(({ sequence }) => sequence === 1);
  assert.deepEqual(new Set(first.map(({ digest }) => digest)).size, 1);
  const gaps = first.slice(1).map(({ atMs }, index) => atMs - first[index]!.atMs);
  assert.ok(gaps.length >= 4 && gaps.at(-1)! > gaps[0]!, `gaps of ${gaps.join(", ")} ms`);
  assert.ok(
    attempts.every(({ epoch }) => epoch === 0),
    "the epoch is kept",
  );
});

test("code 45 behind another batch: it waits for that one, in the same epoch", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  await warmUp(harness, settlements);
  const attempts = watch(harness.cluster, [before(19)]);
  await pipeline(harness, settlements);
  assert.equal(value(harness.metrics, "sluice_kafka_errors_total", "OUT_OF_ORDER_SEQUENCE_NUMBER"), 4);
  assert.deepEqual(storedValues(harness.cluster, "t", 0), PIPELINED);
  assert.ok(attempts.every(({ epoch }) => epoch === 0));
});

for (const code of [45, 59]) {
  test(`code ${code} (${errorName(code)}) at the head: the epoch is bumped and everything goes again under it`, async () => {
    await using harness = await start();
    const settlements = new Settlements();
    await warmUp(harness, settlements);
    const attempts = watch(harness.cluster, [before(code)]);
    await pipeline(harness, settlements);
    assert.deepEqual(storedValues(harness.cluster, "t", 0), PIPELINED);
    assert.deepEqual(sequences(attempts.slice(5)), ["1:0+2", "1:2+2", "1:4+2", "1:6+2", "1:8+2"]);
    assert.equal(new Set(attempts.map(({ producerId }) => producerId)).size, 1, "the producer id is kept");
    assert.equal(harness.cluster.count("InitProducerId"), 1, "a bump is local");
    assert.equal(value(harness.metrics, "sluice_kafka_possible_duplicates_total"), 0, "it was certainly not stored");
  });

  test(`code ${code} (${errorName(code)}) at the head of what may be stored already is a possible duplicate, and counted`, async () => {
    await using harness = await start();
    const settlements = new Settlements();
    await warmUp(harness, settlements);
    watch(harness.cluster, [{ action: "disconnect", when: "after" }, before(code)]);
    assert.deepEqual(await settlements.send(harness.producer, batchOf("t", 0, ["a"])), [2]);
    assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", "a", "a"]);
    assert.equal(value(harness.metrics, "sluice_kafka_possible_duplicates_total"), 1);
  });
}

test("a broker that has forgotten the producer takes the next batch, and those behind it in their order", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  await warmUp(harness, settlements);
  harness.cluster.forgetProducer("t", 0);
  await pipeline(harness, settlements);
  assert.deepEqual(storedValues(harness.cluster, "t", 0), PIPELINED);
});

for (const code of [47, 90]) {
  test(`code ${code} (${errorName(code)}): somebody else has the producer id, so a new one is taken`, async () => {
    await using harness = await start();
    const settlements = new Settlements();
    await warmUp(harness, settlements);
    const attempts = watch(harness.cluster, [before(code)]);
    await pipeline(harness, settlements);
    assert.deepEqual(storedValues(harness.cluster, "t", 0), PIPELINED);
    assert.deepEqual(sequences(attempts.slice(5)), ["0:0+2", "0:2+2", "0:4+2", "0:6+2", "0:8+2"]);
    assert.notEqual(attempts[5]!.producerId, attempts[0]!.producerId);
    assert.equal(harness.cluster.count("InitProducerId"), 2);
  });
}

for (const code of [10, 18]) {
  test(`code ${code} (${errorName(code)}): the batch is split, with contiguous sequences of the same epoch`, async () => {
    await using harness = await start();
    const settlements = new Settlements();
    await warmUp(harness, settlements);
    const attempts = watch(harness.cluster, (sent) => (sent[0]!.count > 2 ? before(code) : undefined));
    const large = settlements.send(harness.producer, batchOf("t", 0, ["0", "1", "2", "3", "4"]));
    const behind = settlements.send(harness.producer, batchOf("t", 0, ["5"]));
    assert.deepEqual(await large, [1, 2, 3, 4, 5]);
    assert.deepEqual(await behind, [6]);
    assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", "0", "1", "2", "3", "4", "5"]);
    const whole = ["0:1+5", "0:6+1"];
    // The second half is too large as well.
    const halves = ["0:1+2", "0:3+3", "0:6+1"];
    const quarters = ["0:3+1", "0:4+2", "0:6+1"];
    assert.deepEqual(sequences(attempts), [...whole, ...halves, ...quarters]);
  });
}

test("a record that is too large by itself fails as TOO_LARGE, its neighbours are stored", async () => {
  await using harness = await start({ topics: { t: { configs: { "max.message.bytes": "300" } } } });
  const settlements = new Settlements();
  await warmUp(harness, settlements);
  const attempts = watch(harness.cluster);
  const mixed = settlements.send(harness.producer, batchOf("t", 0, ["a", "b".repeat(400), "c"]));
  const behind = settlements.send(harness.producer, batchOf("t", 0, ["d"]));
  const outcomes = await mixed;
  assert.deepEqual(await behind, [3]);
  assert.deepEqual([outcomes[0], outcomes[2]], [1, 2]);
  const error = failure(outcomes, 1);
  assert.deepEqual([error.reason, error.retryable], [Reason.TOO_LARGE, false]);
  assert.match(error.message, /takes \d+ bytes as a batch, more than topic t takes \(max\.message\.bytes\)/);
  assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", "a", "c", "d"]);
  assert.equal(attempts.at(-1)!.epoch, 1, "its sequence is a hole, so an epoch without it follows");
});

test("a topic that takes less than before says so to those who ask, after the first batch that is too large", async () => {
  await using harness = await start({ topics: { t: { configs: { "max.message.bytes": "2000" } } } });
  const settlements = new Settlements();
  assert.equal((await harness.producer.lookup("t")).maxBatchBytes, 2_000);
  harness.cluster.deleteTopic("t");
  harness.cluster.createTopic("t", { configs: { "max.message.bytes": "1000" } });
  await settlements.send(harness.producer, batchOf("t", 0, ["x".repeat(600), "y".repeat(600)]));
  await until(() => harness.producer.topic("t")?.maxBatchBytes === 1_000, "the new limit is known");
});

test("code 2 (CORRUPT_MESSAGE): the intact batch is sent three times, then it fails as our bug, and what follows is stored", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  await warmUp(harness, settlements);
  const attempts = watch(harness.cluster, (sent) => (sent[0]!.values[0] === "a" ? before(2) : undefined));
  const corrupt = settlements.send(harness.producer, batchOf("t", 0, ["a", "b"]));
  const behind = settlements.send(harness.producer, batchOf("t", 0, ["c"]));
  const error = failure(await corrupt, 1);
  assert.equal(error.code, Code.INTERNAL);
  assert.match(error.message, /corrupt 3 times.*please report this/);
  assert.deepEqual(await behind, [1]);
  const sent = attempts.filter(({ values }) => values[0] === "a");
  assert.equal(sent.length, 3);
  assert.equal(new Set(sent.map(({ digest }) => digest)).size, 1);
});

test("a batch whose bytes change after it was stamped is not sent again", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  const batch = batchOf("t", 0, ["a", "b"]);
  watch(harness.cluster, (_, earlier) => {
    if (earlier > 0) return undefined;
    batch.bytes[batch.bytes.length - 1]! ^= 1;
    return before(2);
  });
  assert.match(failure(await settlements.send(harness.producer, batch)).message, /changed in memory/);
  assert.deepEqual(storedValues(harness.cluster, "t", 0), []);
});

for (const code of [32, 44, 76, 87]) {
  test(`code ${code} (${errorName(code)}) with record errors: those events fail, their neighbours are stored`, async () => {
    await using harness = await start();
    const settlements = new Settlements();
    await warmUp(harness, settlements);
    const attempts = watch(harness.cluster, (sent) => {
      const recordErrors = sent[0]!.values.flatMap((each, index) =>
        each.startsWith("bad") ? [{ index, message: `no ${each}` }] : [],
      );
      return recordErrors.length > 0 ? { ...before(code), recordErrors } : undefined;
    });
    const mixed = settlements.send(harness.producer, batchOf("t", 0, ["bad0", "a", "b", "bad3", "c"]));
    const behind = settlements.send(harness.producer, batchOf("t", 0, ["d", "e"]));
    const outcomes = await mixed;
    assert.deepEqual(brief(outcomes).slice(1, 3).concat(brief(outcomes).slice(4)), [1, 2, 3]);
    assert.deepEqual(await behind, [4, 5]);
    assert.match(failure(outcomes, 0).message, /no bad0/);
    assert.match(failure(outcomes, 3).message, /no bad3/);
    assert.equal(failure(outcomes, 3).reason, code === 32 ? Reason.INVALID_TIMESTAMP : Reason.REJECTED);
    assert.equal(failure(outcomes, 3).retryable, false);
    assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", "a", "b", "c", "d", "e"]);
    assert.deepEqual(sequences(attempts.slice(2)), ["1:0+2", "1:2+1", "1:3+2"]);
    assert.equal(value(harness.metrics, "sluice_kafka_possible_duplicates_total"), 0);
  });
}

test("a poison record that the broker does not name is found by halves", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  await warmUp(harness, settlements);
  watch(harness.cluster, (sent) => (sent[0]!.values.includes("bad") ? { ...before(87), message: "no" } : undefined));
  const values = ["0", "1", "2", "3", "4", "bad", "6", "7", "8"];
  const outcomes = await settlements.send(harness.producer, batchOf("t", 0, values));
  assert.deepEqual(
    outcomes.map((each) => (typeof each === "number" ? each : -1)),
    [1, 2, 3, 4, 5, -1, 6, 7, 8],
  );
  assert.match(failure(outcomes, 5).message, /Kafka refused the record: no/);
});

test("record errors for records that are not in the batch are no reason to send it for ever", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  const recordErrors = [-1, 2, 100].map((index) => ({ index, message: "no" }));
  const attempts = watch(harness.cluster, (sent) =>
    sent[0]!.values.includes("bad") ? { ...before(87), recordErrors } : undefined,
  );
  const outcomes = await settlements.send(harness.producer, batchOf("t", 0, ["a", "bad"]));
  assert.deepEqual([outcomes[0], failure(outcomes, 1).reason], [0, Reason.REJECTED]);
  assert.equal(attempts.length, 3);
});

test("what stands before a poison batch and may be stored already is settled first, under the old epoch", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  await warmUp(harness, settlements);
  // The first of the five is stored, though the broker says it does not know; the second is refused.
  const attempts = watch(harness.cluster, (sent, earlier) =>
    earlier === 0 ? after(7) : sent[0]!.values[0] === "b0" ? before(87) : undefined,
  );
  const outcomes = await pipeline(harness, settlements);
  assert.match(failure(outcomes[1]!, 0).message, /refused/);
  assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", "a0", "a1", "b1", ...PIPELINED.slice(5)]);
  assert.equal(value(harness.metrics, "sluice_kafka_possible_duplicates_total"), 0);
  assert.ok(attempts.filter(({ values }) => values[0] === "a0").every(({ epoch }) => epoch === 0));
});

test("what comes behind a batch that is stored in silence and then refused is not stored twice", async () => {
  await using harness = await start({}, { requestTimeoutMs: 300 });
  const settlements = new Settlements();
  await warmUp(harness, settlements);
  // All are stored and nobody is told; when they come again, the first is too old by now.
  watch(harness.cluster, (sent, earlier) =>
    earlier === 0 ? { action: "drop-response" } : earlier >= 5 && sent[0]!.values[0] === "a" ? before(32) : undefined,
  );
  const names = ["a", "b", "c", "d", "e"];
  const outcomes = await Promise.all(names.map((each) => settlements.send(harness.producer, batchOf("t", 0, [each]))));
  assert.equal(failure(outcomes[0]!).reason, Reason.INVALID_TIMESTAMP);
  assert.deepEqual(outcomes.slice(1), [[2], [3], [4], [5]]);
  assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", ...names]);
  assert.equal(value(harness.metrics, "sluice_kafka_possible_duplicates_total"), 0);
});

for (const code of [17, 29, 31]) {
  test(`code ${code} (${errorName(code)}): what is queued fails, retryable; the partition is tried again and works once it may`, async () => {
    await using harness = await start();
    const settlements = new Settlements();
    await warmUp(harness, settlements);
    const attempts = watch(harness.cluster, (sent) => (sent[0]!.values[0]!.startsWith("z") ? undefined : before(code)));
    const outcomes = (await pipeline(harness, settlements)).flat();
    for (const outcome of outcomes) {
      assert.ok(outcome instanceof IngestError && outcome.retryable);
      assert.equal(outcome.reason, code === 17 ? Reason.INVALID_TOPIC : Reason.NOT_AUTHORIZED);
    }
    assert.ok(attempts.length <= 5, "each was tried at most once");
    const [problem] = harness.producer.health().problems;
    assert.match(problem!, new RegExp(`Kafka refuses topic t.*${code === 17 ? "publish to another" : "grant"}`));
    assert.deepEqual(await settlements.send(harness.producer, batchOf("t", 0, ["z"])), [1]);
    assert.deepEqual(harness.producer.health().problems, []);
    assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", "z"]);
  });
}

test("a producer id that is denied fails what waits for it, and says what to grant", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  harness.cluster.onRequest = ({ api }) => (api === "InitProducerId" ? before(31) : undefined);
  const error = failure(await settlements.send(harness.producer, batchOf("t", 0, ["a"])));
  assert.deepEqual([error.code, error.retryable, error.reason], [Code.PERMISSION_DENIED, true, Reason.NOT_AUTHORIZED]);
  assert.match(harness.producer.health().problems.join(), /grant IDEMPOTENT_WRITE/);
  harness.cluster.onRequest = undefined;
  assert.deepEqual(await settlements.send(harness.producer, batchOf("t", 0, ["b"])), [0]);
});

test("code 35 (UNSUPPORTED_VERSION): versions are negotiated again on a new connection, and the same bytes are sent", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  await warmUp(harness, settlements);
  const negotiated = harness.cluster.count("ApiVersions");
  const attempts = watch(harness.cluster, [before(35)]);
  await pipeline(harness, settlements);
  assert.deepEqual(storedValues(harness.cluster, "t", 0), PIPELINED);
  assert.equal(harness.cluster.count("ApiVersions"), negotiated + 1);
  const [first, again] = attempts.filter(({ sequence }) => sequence === 1);
  assert.equal(first!.digest, again!.digest);
  assert.notEqual(first!.connection, again!.connection);
});
