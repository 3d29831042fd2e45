// What the brokers hold: every topic under every life that it had, record by record.

import { decodeRecords } from "../../src/wire/record-batch.ts";
import { nameOf } from "./history.ts";
import type { FakeCluster, StoredBatch } from "../support/fake-broker.ts";

export interface StoredRecord {
  readonly key: string | undefined;
  readonly value: string;
  readonly offset: number;
  readonly batch: StoredBatch;
}

/** One life of a topic. */
export interface TopicLife {
  readonly topic: string;
  readonly partitions: (readonly StoredBatch[])[];
  /** Did its number of partitions ever change? Then a key has more than one. */
  grown: boolean;
  /** By partition, the end offsets at which its brokers forgot all producers. */
  readonly forgottenAt: Map<number, number[]>;
}

/** One copy of an event. */
export interface Copy {
  readonly life: TopicLife;
  readonly partition: number;
  readonly record: StoredRecord;
}

export class Logs {
  /** Of all topics, in the order of their creation. */
  readonly lives: TopicLife[] = [];
  readonly #cluster: FakeCluster;
  /** By the event's name, of all that was looked at. */
  readonly #copies = new Map<string, Copy[]>();
  /** How many batches of each partition were looked at. */
  readonly #looked = new Map<readonly StoredBatch[], number>();
  readonly #records = new WeakMap<StoredBatch, readonly StoredRecord[]>();

  constructor(cluster: FakeCluster) {
    this.#cluster = cluster;
  }

  /** A topic was created, or has got more partitions. */
  refresh(topic: string, isNew: boolean): void {
    const count = this.#cluster.partitions(topic);
    const partitions = Array.from({ length: count }, (_, partition) => this.#cluster.log(topic, partition));
    const life = this.lives.findLast((each) => each.topic === topic);
    if (isNew || life === undefined) {
      this.lives.push({ topic, partitions, grown: false, forgottenAt: new Map() });
    } else {
      life.partitions.splice(0, life.partitions.length, ...partitions);
      life.grown = true;
    }
  }

  /** The brokers of a partition have forgotten which sequences they have. */
  forgotten(topic: string, partition: number): void {
    const { forgottenAt } = this.lives.findLast((each) => each.topic === topic)!;
    const end = this.#cluster.endOffset(topic, partition);
    forgottenAt.set(partition, [...(forgottenAt.get(partition) ?? []), end]);
  }

  of(topic: string): readonly TopicLife[] {
    return this.lives.filter((life) => life.topic === topic);
  }

  records(batch: StoredBatch): readonly StoredRecord[] {
    let records = this.#records.get(batch);
    if (records === undefined) {
      records = Array.from(decodeRecords(batch.bytes), ({ key, value }, i) => ({
        key: key?.toString("latin1"),
        value: value?.toString("latin1") ?? "",
        offset: batch.baseOffset + i,
        batch,
      }));
      this.#records.set(batch, records);
    }
    return records;
  }

  /** Where an event is stored, under every life of its topic. */
  find(name: string): readonly Copy[] {
    const known = this.#copies.get(name);
    if (known === undefined) this.look();
    return this.#copies.get(name) ?? [];
  }

  /** Takes in what was stored since the last look. */
  look(): void {
    for (const life of this.lives) {
      for (const [partition, batches] of life.partitions.entries()) {
        const from = this.#looked.get(batches) ?? 0;
        this.#looked.set(batches, batches.length);
        for (let i = from; i < batches.length; i++) {
          for (const record of this.records(batches[i]!)) {
            const name = nameOf(record.value);
            const copies = this.#copies.get(name);
            if (copies === undefined) this.#copies.set(name, [{ life, partition, record }]);
            else copies.push({ life, partition, record });
          }
        }
      }
    }
  }

  /** The values of a record batch that is not stored. */
  decode(bytes: Buffer): string[] {
    return Array.from(decodeRecords(bytes), ({ value }) => value?.toString("latin1") ?? "");
  }

  /** The record at an offset, in each life of the topic that has one there, the last one first. */
  at(topic: string, partition: number, offset: number): StoredRecord[] {
    return this.of(topic)
      .toReversed()
      .flatMap((life) => {
        const batch = life.partitions[partition]?.findLast(({ baseOffset }) => baseOffset <= offset);
        return batch === undefined ? [] : (this.records(batch)[offset - batch.baseOffset] ?? []);
      });
  }
}
