// Record batches to send, and a settler that checks what the port promises: every record of a batch is told once, never from
// within `send`.

import assert from "node:assert/strict";

import type { IngestError } from "../../../src/errors.ts";
import type { BatchSettler, Producer, SealedBatch } from "../../../src/ingest/producer.ts";
import { encodeRecordBatch } from "../../../src/wire/encode-records.ts";
import { decodeRecords } from "../../../src/wire/record-batch.ts";

const TIMESTAMP = Date.now();

export function batchOf(topic: string, partition: number, values: readonly string[]): SealedBatch {
  const records = values.map((value) => ({ timestamp: TIMESTAMP, key: null, value: Buffer.from(value), headers: [] }));
  return { topic, partition, count: values.length, bytes: encodeRecordBatch(records) };
}

export function valuesOf(batch: Buffer): string[] {
  return Array.from(decodeRecords(batch), ({ value }) => value?.toString() ?? "null");
}

/** Each in order: the offset of a record, the error that it failed with, or undefined while it is open. */
export type Outcomes = (number | IngestError | undefined)[];

export class Settlements implements BatchSettler {
  readonly #outcomes = new Map<SealedBatch, Outcomes>();
  readonly #waiting = new Map<SealedBatch, () => void>();
  #sending = false;
  /** Batches in the order in which their last record was settled. */
  readonly finished: SealedBatch[] = [];

  /** Hands the batch over and resolves when every record of it is settled. */
  async send(producer: Pick<Producer, "send">, batch: SealedBatch): Promise<Outcomes> {
    const done = this.expect(batch);
    this.#sending = true;
    producer.send(batch, this);
    this.#sending = false;
    await done;
    return this.#outcomes.get(batch)!;
  }

  /** For who sends it by itself, with this as the settler. */
  async expect(batch: SealedBatch): Promise<void> {
    this.#outcomes.set(
      batch,
      Array.from({ length: batch.count }, () => undefined),
    );
    await new Promise<void>((resolve) => {
      this.#waiting.set(batch, resolve);
    });
  }

  outcomes(batch: SealedBatch): Outcomes {
    return this.#outcomes.get(batch) ?? [];
  }

  /** Records that have no outcome yet. */
  get open(): number {
    let open = 0;
    for (const batch of this.#waiting.keys()) open += this.outcomes(batch).filter((each) => each === undefined).length;
    return open;
  }

  stored(batch: SealedBatch, first: number, count: number, baseOffset: number): void {
    this.#settle(batch, first, count, (record) => (baseOffset < 0 ? -1 : baseOffset + record - first));
  }

  failed(batch: SealedBatch, first: number, count: number, error: IngestError): void {
    this.#settle(batch, first, count, () => error);
  }

  #settle(batch: SealedBatch, first: number, count: number, outcome: (record: number) => number | IngestError): void {
    assert.equal(this.#sending, false, "nothing is settled from within send");
    const outcomes = this.#outcomes.get(batch);
    assert.ok(outcomes !== undefined, "only what was sent is settled");
    assert.ok(count > 0 && first >= 0 && first + count <= batch.count, `records ${first} + ${count} of ${batch.count}`);
    for (let record = first; record < first + count; record++) {
      assert.equal(outcomes[record], undefined, "a record is settled once");
      outcomes[record] = outcome(record);
    }
    if (outcomes.includes(undefined)) return;
    this.finished.push(batch);
    this.#waiting.get(batch)!();
    this.#waiting.delete(batch);
  }
}

/** The outcome of every record, as short as a test wants to read it: its offset, or its reason. */
export function brief(outcomes: Outcomes): (number | string)[] {
  return outcomes.map((outcome) => (typeof outcome === "number" ? outcome : (outcome?.message ?? "open")));
}
