// The state machine of one partition against everything that can happen to it, by a seed.

import assert from "node:assert/strict";
import test from "node:test";

import type { IngestError } from "../../src/errors.ts";
import type { BatchSettler, SealedBatch } from "../../src/ingest/producer.ts";
import { snapshot } from "../../src/telemetry/metrics.ts";
import { valuesOf } from "./support/batches.ts";
import { CALM, type Faults, World } from "./support/partition-world.ts";
import { chance } from "./support/random.ts";

/** Every record's outcome, by its value. */
class Ledger implements BatchSettler {
  readonly stored_ = new Map<string, number>();
  readonly failed_ = new Map<string, IngestError>();

  stored(batch: SealedBatch, first: number, count: number, baseOffset: number): void {
    for (const [index, value] of valuesOf(batch.bytes)
      .slice(first, first + count)
      .entries()) {
      this.#once(value);
      this.stored_.set(value, baseOffset + index);
    }
  }

  failed(batch: SealedBatch, first: number, count: number, error: IngestError): void {
    for (const value of valuesOf(batch.bytes).slice(first, first + count)) {
      this.#once(value);
      this.failed_.set(value, error);
    }
  }

  #once(value: string): void {
    assert.ok(!this.stored_.has(value) && !this.failed_.has(value), `${value} is settled once`);
  }
}

function run(seed: number, faults: Faults, withBadRecords: boolean): void {
  const dice = chance(seed);
  const ledger = new Ledger();
  const world = new World(dice, ledger);
  world.faults = faults;
  const sent: string[] = [];
  const batches = 10 + dice.below(60);
  for (let batch = 0; batch < batches; batch++) {
    const values = Array.from({ length: 1 + dice.below(8) }, (_, index) => {
      const kind = withBadRecords && dice.hit(0.02) ? "bad" : "v";
      return `${kind}-${batch}-${index}${withBadRecords && dice.hit(0.01) ? "x".repeat(150) : ""}`;
    });
    sent.push(...values);
    world.enqueue(values);
    for (let steps = dice.below(12); steps > 0; steps--) world.step();
  }
  world.faults = CALM;
  for (let steps = 0; !world.partition.idle; steps++) {
    assert.ok(steps < 100_000, "it comes to an end");
    world.step();
  }

  const log = world.stored();
  const places = new Map(log.map((value, offset) => [value, offset]));
  assert.equal(places.size, log.length, "nothing is stored twice");
  for (const [value, offset] of ledger.stored_)
    assert.equal(places.get(value), offset, `${value} is where it was said`);
  const order = new Map(sent.map((value, index) => [value, index]));
  const indexes = log.map((value) => order.get(value)!);
  assert.deepEqual(
    indexes,
    indexes.toSorted((a, b) => a - b),
    "the order is kept",
  );
  assert.equal(ledger.stored_.size + ledger.failed_.size, sent.length, "every record is settled");
  for (const [value, error] of ledger.failed_) {
    assert.ok(value.startsWith("bad") || value.length > 100, `${value} failed: ${error.message}`);
  }
  assert.equal(world.partition.queuedBytes, 0);
  const metric = (name: string) => snapshot(world.metrics).find((each) => each.name === name)!.series;
  // A batch that may be stored, for all the producer knows, and is then refused cannot be told from one that was.
  if (!withBadRecords) assert.deepEqual(metric("sluice_kafka_possible_duplicates_total"), [[[], 0]]);
  assert.deepEqual(metric("sluice_kafka_queued_bytes"), [[[], 0]]);
}

const RUNS = 150;

for (const [what, faults, withBadRecords] of [
  ["a quiet cluster", CALM, false],
  ["connections that break", { ...CALM, breaks: 0.05 }, false],
  ["leaders that move", { ...CALM, moves: 0.05 }, false],
  ["records that are refused or too large", CALM, true],
  ["error codes", { ...CALM, errors: 0.1, errorCodes: [3, 5, 6, 7, 19, 20, 35, 56, 74, -1] }, false],
  ["everything at once", { breaks: 0.03, moves: 0.02, errors: 0.05, errorCodes: [5, 7, 19, 20, 56] }, true],
] as const satisfies readonly (readonly [string, Faults, boolean])[]) {
  test(`with ${what}, all that is acknowledged is stored once and in order`, () => {
    const first = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
    for (let seed = first; seed < first + RUNS; seed++) {
      try {
        run(seed, faults, withBadRecords);
      } catch (cause) {
        throw new Error(`SEED=${seed}: ${String(cause)}`, { cause });
      }
    }
  });
}
