// The judge of a chaos run, with histories made up so that it has something to find.

import assert from "node:assert/strict";
import test from "node:test";
import { type Circumstances, Comparison, type Upheaval } from "../../scripts/chaos/comparison.ts";
import { keyOf, valueOf } from "../../scripts/chaos/event.ts";
import { History } from "../../scripts/chaos/history.ts";
import type { Line, Sent, Stored } from "../../scripts/chaos/record.ts";
import { judge, type TopicResult } from "../../scripts/chaos/topic-result.ts";

const RUN = "run";
const TOPIC = "t";
const REPLICATED = 1;
const PERSISTED = 2;
const CALM: Circumstances = { recreations: [], upheavals: [], possibleDuplicates: 0 };

/** Batches are sent at 1,000 and one millisecond after the other. */
const upheaval = (fromMs: number, toMs: number, killed = true): Circumstances => {
  const upheavals: readonly Upheaval[] = [{ fromMs, toMs, killed }];
  return { ...CALM, upheavals };
};

interface Copy {
  readonly batch: number;
  readonly index: number;
  readonly attempt?: number;
}

const sent = (batch: number, more: Partial<Sent> = {}): Sent => {
  const of = { at: 1_000 + batch, sender: 0, batch, attempt: 0 };
  return { kind: "sent", ...of, stream: 0, topic: TOPIC, durability: PERSISTED, count: 3, ...more };
};
const stored = (batch: number, more: Partial<Stored> = {}): Stored => {
  const of = { at: 2_000 + batch, sender: 0, batch, attempt: 0 };
  return { kind: "stored", ...of, durability: PERSISTED, failed: [], placed: [], ...more };
};
const unanswered = (kind: "refused" | "unknown", batch: number, attempt = 0): Line => {
  return { kind, at: 2_000, sender: 0, batch, attempt, code: "UNAVAILABLE" };
};
/** Every event of the batches, in their order. */
const all = (...batches: number[]): Copy[] =>
  batches.flatMap((batch) => [0, 1, 2].map((index): Copy => ({ batch, index })));

/** What the judge finds if the log of one partition holds these copies. */
function compare(lines: readonly Line[], log: readonly Copy[], circumstances: Circumstances = CALM): TopicResult {
  const history = new History();
  for (const line of lines) history.add(line);
  history.end();
  const comparison = new Comparison(RUN, history, circumstances);
  for (const [offset, { batch, index, attempt = 0 }] of log.entries()) {
    const id = { sender: 0, batch, index };
    comparison.read(TOPIC, { partition: 0, offset, key: keyOf(id), value: valueOf(RUN, id, attempt) });
  }
  return comparison.end()[0]!;
}

/** The kinds of events of which there are any. */
function found(result: TopicResult): Readonly<Record<string, number>> {
  const { topic: _topic, acknowledged: _acknowledged, read: _read, examples: _examples, ...kinds } = result;
  return Object.fromEntries(Object.entries(kinds).filter(([, count]) => count > 0));
}

const TWO = [sent(0), sent(1), stored(0), stored(1)];

test("what is there once, in its order, is nothing to talk about", () => {
  const result = compare(TWO, all(0, 1));
  assert.deepEqual([result.acknowledged, result.read, found(result)], [6, 6, {}]);
  assert.deepEqual(judge([result]), []);
});

test("an acknowledged event that is not there is missing, and named", () => {
  const result = compare(
    TWO,
    all(0, 1).filter(({ batch, index }) => batch !== 1 || index !== 2),
  );
  assert.deepEqual(found(result), { missing: 1 });
  const [verdict, example] = judge([result]);
  assert.equal(verdict, "t: 1 missing");
  assert.match(example!, /^t: event 0\/1\/2 is missing: stream 0, PERSISTED at .* acknowledged, 0 without an answer$/);
});

test("an event that was sent once and is there twice is duplicated", () => {
  const result = compare(TWO, [...all(0, 1), { batch: 0, index: 1 }]);
  assert.deepEqual(found(result), { duplicated: 1 });
  assert.match(judge([result])[1]!, /is there 2 times/);
});

test("an event that was sent again after a refusal is duplicated: a refusal says that nothing is stored", () => {
  const lines = [sent(0), unanswered("refused", 0), sent(0, { attempt: 1 }), stored(0, { attempt: 1 })];
  assert.deepEqual(found(compare(lines, [...all(0), { batch: 0, index: 0, attempt: 1 }])), { duplicated: 1 });
});

test("each attempt without an answer excuses one more copy, and no second one", () => {
  const lines = [sent(0), unanswered("unknown", 0), sent(0, { attempt: 1 }), stored(0, { attempt: 1 })];
  const again = { batch: 0, index: 0, attempt: 1 };
  assert.deepEqual(found(compare(lines, [...all(0), again])), { retried: 1 });
  assert.deepEqual(found(compare(lines, [...all(0), again, again])), { retried: 1, duplicated: 1 });
});

test("an event that failed as unavailable may be there; one that failed for another reason may not", () => {
  const lines = (reason: number) => [sent(0), stored(0, { failed: [[1, reason]] })];
  assert.deepEqual(found(compare(lines(9), all(0))), { unacknowledged: 1 });
  assert.deepEqual(found(compare(lines(1), all(0))), { unacknowledged: 1, alien: 1 });
});

test("what was on the disk of a service that was killed may be there again; what was sent after that may not", () => {
  const log = [...all(0, 1), ...all(0)];
  assert.deepEqual(found(compare(TWO, log, upheaval(1_400, 1_500))), { replayed: 3 });
  assert.deepEqual(found(compare(TWO, log, upheaval(1_400, 1_500, false))), { duplicated: 3 });
  assert.deepEqual(found(compare(TWO, log, upheaval(800, 900))), { duplicated: 3 });
  const lines = [sent(0, { durability: REPLICATED }), stored(0, { durability: REPLICATED, placed: [[0, 0, 3]] })];
  assert.deepEqual(found(compare(lines, [...all(0), ...all(0)], upheaval(1_400, 1_500))), { duplicated: 3 });
});

test("what the service counts as possible duplicates excuses them", () => {
  const result = compare(TWO, [...all(0, 1), { batch: 1, index: 1 }], { ...CALM, possibleDuplicates: 1 });
  assert.deepEqual(found(result), { possible: 1 });
});

test("a later event before an earlier one with its key is reordered", () => {
  assert.equal(keyOf({ sender: 0, batch: 0, index: 0 }), keyOf({ sender: 0, batch: 1, index: 1 }));
  const early = { batch: 1, index: 1 };
  const log = [early, ...all(0, 1).filter(({ batch, index }) => batch !== early.batch || index !== early.index)];
  assert.deepEqual(found(compare(TWO, log)), { reordered: 1 });
});

test("what was sent before a worker ended and what was sent after that have moved, not changed their order", () => {
  const at = (ms: number) => [sent(0), sent(1, { at: ms }), stored(0), stored(1)];
  const log = all(1, 0);
  assert.deepEqual(found(compare(at(1_400), log, upheaval(1_200, 1_300))), { moved: 1 });
  assert.deepEqual(found(compare(at(1_250), log, upheaval(1_200, 1_300))), { moved: 1 });
  assert.deepEqual(found(compare(at(1_100), log, upheaval(1_200, 1_300))), { reordered: 1 });
});

test("streams, and unary calls, have no order between them, nor has what was sent again", () => {
  const log = all(1, 0);
  const keys = new Set(all(0).map(({ batch, index }) => keyOf({ sender: 0, batch, index })));
  assert.ok(all(1).some(({ batch, index }) => keys.has(keyOf({ sender: 0, batch, index }))));
  assert.ok((found(compare(TWO, log))["reordered"] ?? 0) > 0);
  assert.deepEqual(found(compare([sent(0), sent(1, { stream: 1 }), stored(0), stored(1)], log)), {});
  assert.deepEqual(found(compare([sent(0, { stream: -1 }), sent(1, { stream: -1 }), stored(0), stored(1)], log)), {});
  const again = [sent(0), sent(1), stored(1), unanswered("refused", 0), sent(0, { attempt: 1 })];
  assert.deepEqual(found(compare([...again, stored(0, { attempt: 1 })], log)), {});
});

test("what was sent before its topic was gone went with it; what was sent after that has to be there", () => {
  const recreation = { topic: TOPIC, deletedAtMs: 900, goneAtMs: 1_001, createdAtMs: 1_500 };
  const circumstances = { ...CALM, recreations: [recreation] };
  assert.deepEqual(found(compare(TWO, all(1), circumstances)), { gone: 3 });
  assert.deepEqual(found(compare(TWO, [], circumstances)), { gone: 3, missing: 3 });
});

test("an answer that names another offset than the event's is misplaced, and so is a key in two partitions", () => {
  const lines = (placed: Stored["placed"]) => [
    sent(0, { durability: REPLICATED }),
    stored(0, { durability: REPLICATED, placed }),
  ];
  assert.deepEqual(found(compare(lines([[0, 0, 3]]), all(0))), {});
  assert.deepEqual(found(compare(lines([[0, 1, 3]]), all(0))), { misplaced: 1 });
  assert.deepEqual(found(compare(lines([[1, 0, 3]]), all(0))), { misplaced: 3 });
});

test("an event that nobody sent, or not like that, is alien", () => {
  const history = new History();
  for (const line of TWO) history.add(line);
  const comparison = new Comparison(RUN, history, CALM);
  const id = { sender: 0, batch: 0, index: 0 };
  const [key, value] = [keyOf(id), valueOf(RUN, id, 0)];
  const at = { partition: 0, offset: 0 };
  comparison.read(TOPIC, { ...at, key, value: valueOf("other", id, 0) });
  comparison.read(TOPIC, { ...at, key, value: valueOf(RUN, { ...id, batch: 7 }, 0) });
  comparison.read(TOPIC, { ...at, key: "other", value });
  comparison.read(TOPIC, { ...at, key, value: `${value}x` });
  comparison.read(TOPIC, { ...at, key, value: null });
  comparison.read("elsewhere", { ...at, key, value });
  assert.deepEqual(
    comparison.end().map(({ topic, alien }) => [topic, alien]),
    [
      ["elsewhere", 1],
      ["t", 5],
    ],
  );
});

test("an attempt without an end is one without an answer", () => {
  assert.deepEqual(found(compare([sent(0)], all(0))), { unacknowledged: 3 });
  assert.deepEqual(found(compare([sent(0)], [])), {});
});
