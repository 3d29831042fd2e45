// Keeps the order of a partition between the two durabilities: what is REPLICATED goes straight to Kafka, but not past what
// is spooled for its partition.
//
// After Kafka was away, a partition may have spooled batches that came before the one at hand. It waits here, within the byte
// budget of its worker, until the forwarder has brought them; and a PERSISTED one behind it waits too, or the forwarder would
// carry it past. Nearly always nothing is spooled, and a batch passes with one look at the backlog.

import type { BatchSettler, Producer, SealedBatch } from "../ingest/producer.ts";
import { UNASSIGNED_PARTITION } from "../ingest/producer.ts";
import type { Spool } from "./spool.ts";

type Way = "producer" | "spool";

interface Waiting {
  readonly way: Way;
  readonly batch: SealedBatch;
  readonly settler: BatchSettler;
}

export class BehindSpool {
  /** For REPLICATED batches. */
  readonly replicated = { send: (batch: SealedBatch, settler: BatchSettler) => this.#send("producer", batch, settler) };
  /** For PERSISTED batches. */
  readonly persisted = {
    send: (batch: SealedBatch, settler: BatchSettler) => this.#send("spool", batch, settler),
    refusal: (bytes: number) => this.#spool.refusal(bytes),
  };
  readonly #spool: Spool;
  readonly #producer: Producer;
  /** By topic, then by partition; only those that have any. */
  readonly #waiting = new Map<string, Map<number, Waiting[]>>();

  constructor(spool: Spool, producer: Producer) {
    this.#spool = spool;
    this.#producer = producer;
    spool.onCaughtUp((topic, partition) => this.#caughtUp(topic, partition));
  }

  #send(way: Way, batch: SealedBatch, settler: BatchSettler): void {
    const line = this.#waiting.get(batch.topic)?.get(batch.partition);
    if (line !== undefined) line.push({ way, batch, settler });
    else if (!this.#pass(way, batch, settler)) this.#wait({ way, batch, settler });
  }

  /** False if the batch has to wait. */
  #pass(way: Way, batch: SealedBatch, settler: BatchSettler): boolean {
    if (way === "spool") {
      this.#spool.append(batch, settler);
      return true;
    }
    if (this.#spool.backlog(batch.topic, batch.partition) > 0) return false;
    this.#producer.send(batch, settler);
    return true;
  }

  #wait(first: Waiting): void {
    const { topic, partition } = first.batch;
    const partitions = this.#waiting.get(topic) ?? new Map<number, Waiting[]>();
    this.#waiting.set(topic, partitions.set(partition, [first]));
  }

  #caughtUp(topic: string, partition: number): void {
    const partitions = this.#waiting.get(topic);
    if (partitions === undefined) return;
    // Batches without a partition were in the way of every partition.
    const free = partition === UNASSIGNED_PARTITION ? [...partitions.keys()] : [partition];
    for (const each of free) this.#workOff(partitions, each);
    if (partitions.size === 0) this.#waiting.delete(topic);
  }

  #workOff(partitions: Map<number, Waiting[]>, partition: number): void {
    const line = partitions.get(partition) ?? [];
    let passed = 0;
    for (const { way, batch, settler } of line) {
      if (!this.#pass(way, batch, settler)) break;
      passed++;
    }
    if (passed === line.length) partitions.delete(partition);
    else line.splice(0, passed);
  }
}
