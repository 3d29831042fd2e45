// Keeps the order of a partition between the two durabilities: what is REPLICATED goes straight to Kafka, but not past what
// was spooled for its partition before it.
//
// After Kafka was away, a partition may have spooled batches that came before the one at hand. It waits here, within the byte
// budget of its worker, until the forwarder has brought them. A PERSISTED batch behind it waits only if both hold events of one
// call, for which an order is promised: a PERSISTED answer must not need Kafka because somebody else asked for REPLICATED.
// Nearly always nothing is spooled, and a batch passes with one look at the backlog.
//
// Invariants: batches that share a call pass in the order in which they came; a REPLICATED batch waits for what was spooled
// when it came, not for what comes after it, so a steady stream of PERSISTED ones does not hold it up for ever.

import type { BatchSettler, Producer, SealedBatch } from "../ingest/producer.ts";
import { UNASSIGNED_PARTITION } from "../ingest/producer.ts";
import type { Spool } from "./spool.ts";

interface Waiting {
  readonly way: "producer" | "spool";
  readonly batch: SealedBatch;
  readonly settler: BatchSettler;
  /** How many batches had come to the spool for its partition when it came. */
  readonly behind: number;
}

/** What waits for one partition, in order. */
class Line {
  readonly waiting: Waiting[] = [];
  /** What was appended to the spool from this line may share a call with everything behind it. */
  behind = 0;
  /** By call, how many batches that wait have events of it. */
  readonly #calls = new Map<object, number>();
  /** Batches of which nobody knows whose they are. */
  #ofAnybody = 0;

  add(waiting: Waiting): void {
    this.waiting.push(waiting);
    this.#count(waiting.batch, 1);
  }

  remove(count: number): void {
    for (const { batch } of this.waiting.splice(0, count)) this.#count(batch, -1);
  }

  shares({ calls }: SealedBatch): boolean {
    if (calls === undefined || this.#ofAnybody > 0) return true;
    for (const call of calls) if (this.#calls.has(call)) return true;
    return false;
  }

  #count({ calls }: SealedBatch, by: 1 | -1): void {
    if (calls === undefined) {
      this.#ofAnybody += by;
      return;
    }
    for (const call of calls) {
      const count = (this.#calls.get(call) ?? 0) + by;
      if (count === 0) this.#calls.delete(call);
      else this.#calls.set(call, count);
    }
  }
}

export class BehindSpool {
  /** For REPLICATED batches. */
  readonly replicated = {
    send: (batch: SealedBatch, settler: BatchSettler) => this.#replicated(batch, settler),
    busy: (topic: string, partition: number) => this.#producer.busy?.(topic, partition) === true,
  };
  /** For PERSISTED batches. */
  readonly persisted = {
    send: (batch: SealedBatch, settler: BatchSettler) => this.#persisted(batch, settler),
    refusal: (bytes: number) => this.#spool.refusal(bytes),
  };
  readonly #spool: Spool;
  readonly #producer: Producer;
  /** By topic, then by partition; only those that have any. */
  readonly #lines = new Map<string, Map<number, Line>>();

  constructor(spool: Spool, producer: Producer) {
    this.#spool = spool;
    this.#producer = producer;
    spool.onDone((topic, partition) => this.#moved(topic, partition));
  }

  #replicated(batch: SealedBatch, settler: BatchSettler): void {
    const { topic, partition } = batch;
    const line = this.#lines.get(topic)?.get(partition);
    if (line === undefined && this.#spool.backlog(topic, partition) === 0) {
      this.#producer.send(batch, settler);
      return;
    }
    const behind = this.#spool.arrivals(topic, partition);
    (line ?? this.#newLine(topic, partition)).add({ way: "producer", batch, settler, behind });
  }

  #persisted(batch: SealedBatch, settler: BatchSettler): void {
    const line = this.#lines.get(batch.topic)?.get(batch.partition);
    if (line?.shares(batch) === true) line.add({ way: "spool", batch, settler, behind: 0 });
    else this.#spool.append(batch, settler);
  }

  #newLine(topic: string, partition: number): Line {
    const line = new Line();
    const lines = this.#lines.get(topic) ?? new Map<number, Line>();
    this.#lines.set(topic, lines.set(partition, line));
    return line;
  }

  #moved(topic: string, partition: number): void {
    const lines = this.#lines.get(topic);
    if (lines === undefined) return;
    // Batches without a partition were in the way of every partition.
    const free = partition === UNASSIGNED_PARTITION ? [...lines.keys()] : [partition];
    for (const each of free) {
      const line = lines.get(each);
      if (line !== undefined) this.#workOff(line, topic, each);
      if (line?.waiting.length === 0) lines.delete(each);
    }
    if (lines.size === 0) this.#lines.delete(topic);
  }

  #workOff(line: Line, topic: string, partition: number): void {
    let passed = 0;
    for (const { way, batch, settler, behind } of line.waiting) {
      if (way === "producer") {
        if (!this.#spool.isDone(topic, partition, Math.max(behind, line.behind))) break;
        this.#producer.send(batch, settler);
      } else {
        this.#spool.append(batch, settler);
        line.behind = this.#spool.arrivals(topic, partition);
      }
      passed++;
    }
    line.remove(passed);
  }
}
