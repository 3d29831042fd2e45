// The open record batch of one topic-partition, and when it is sealed.
//
// A batch is sealed when the next record does not fit, at once when nothing of the partition is in flight, and else when all
// that is in flight is settled or its linger ends, whichever is first (with five in flight at that moment: when one of them
// is settled). So an idle partition adds no delay (unless its broker is busy: accumulators.ts), a busy one fills its batches by
// itself, and `linger` bounds what a slow broker can hold back.

import type { Clock } from "../clock.ts";
import type { GivenDurability } from "./batch.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { RecordBatch } from "./record-batch.ts";
import type { Topic } from "./topics.ts";

/** What a producer may have under way for one partition (kafka-protocol: the broker remembers five batches). */
export const IN_FLIGHT_MAX = 5;

const FIRST_SIZE_HINT_BYTES = 4 << 10;

export class Accumulator {
  readonly topic: Topic;
  readonly partition: number;
  readonly durability: GivenDurability;
  open: RecordBatch | undefined;
  /** Sealed batches that are not settled. */
  inFlight = 0;
  /** Records of sealed batches that have no outcome. */
  unsettled = 0;
  /** Is it on the pipeline's list of those that got records in this turn? */
  touched = false;
  /** Is it on the list of those whose open batch waits for their broker? */
  waitsForBroker = false;
  /** The next batch probably becomes as large as the last one. */
  #sizeHint = FIRST_SIZE_HINT_BYTES;

  constructor(topic: Topic, partition: number, durability: GivenDurability) {
    this.topic = topic;
    this.partition = partition;
    this.durability = durability;
  }

  /** Opens a batch, as none is open. */
  begin(pool: BufferPool, clock: Clock): RecordBatch {
    const batch = new RecordBatch(this, pool, clock, this.#sizeHint);
    this.open = batch;
    return batch;
  }

  /** Records without an outcome, those of the open batch included. */
  get held(): number {
    return this.unsettled + (this.open?.count ?? 0);
  }

  /** Lets go of a batch that was opened for a record which turned out too large for any. */
  discardEmpty(): void {
    if (this.open?.count !== 0) return;
    this.open.release();
    this.open = undefined;
  }

  /** Takes the open batch out, sealed; undefined if there is nothing in it. */
  seal(): RecordBatch | undefined {
    const batch = this.open;
    if (batch === undefined || batch.count === 0) return undefined;
    this.open = undefined;
    this.#sizeHint = batch.length;
    this.inFlight++;
    this.unsettled += batch.count;
    batch.seal();
    return batch;
  }
}
