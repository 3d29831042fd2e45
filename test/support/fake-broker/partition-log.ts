// The log of one partition: offsets, stored batches, and the sequence checks of Kafka's ProducerStateManager.
//
// The checks are the broker's, not what a client would like them to be (storage/…/ProducerAppendInfo.java and
// UnifiedLog.analyzeAndValidateProducerState):
// - a batch equal in (epoch, first sequence, last sequence) to one of the last 5 of its producer id is a duplicate: success,
//   with the old offset, whatever its bytes are;
// - an older epoch is INVALID_PRODUCER_EPOCH; a newer one must begin at sequence 0;
// - the same epoch must go on where it ended, else OUT_OF_ORDER_SEQUENCE_NUMBER;
// - without state for the producer id, any first sequence is taken (KAFKA-15591).

import { ErrorCode } from "./versions.ts";

const REMEMBERED_BATCHES = 5;
const SEQUENCE_MAX = 0x7fff_ffff;

/** The fields of a RecordBatch v2 header that a broker looks at. `producerId` -1n is a producer without idempotence. */
export interface BatchHeader {
  readonly producerId: bigint;
  readonly epoch: number;
  readonly baseSequence: number;
  readonly count: number;
}

export interface StoredBatch extends BatchHeader {
  readonly baseOffset: number;
  /** The batch as it was sent; its base offset field is the sender's. */
  readonly bytes: Buffer;
}

export interface AppendResult {
  readonly errorCode: number;
  /** -1 if nothing is stored. */
  readonly baseOffset: number;
  readonly duplicate: boolean;
}

interface ProducerState {
  epoch: number;
  /** The newest last. */
  batches: { readonly firstSequence: number; readonly lastSequence: number; readonly baseOffset: number }[];
}

export class PartitionLog {
  readonly batches: StoredBatch[] = [];
  readonly #producers = new Map<bigint, ProducerState>();
  #endOffset = 0;

  /** The offset of the next record. */
  get endOffset(): number {
    return this.#endOffset;
  }

  /** Appends the batch without looking at it; with `bytes`, it can be read back. */
  appendUnchecked(header: BatchHeader, bytes: Buffer | undefined): number {
    const baseOffset = this.#endOffset;
    this.#endOffset += header.count;
    if (bytes !== undefined) this.batches.push({ ...header, baseOffset, bytes });
    return baseOffset;
  }

  /** Appends the batch if its sequence is right. */
  append(header: BatchHeader, bytes: Buffer | undefined): AppendResult {
    if (header.producerId < 0n) {
      return { errorCode: ErrorCode.NONE, baseOffset: this.appendUnchecked(header, bytes), duplicate: false };
    }
    const firstSequence = header.baseSequence;
    const lastSequence = wrap(firstSequence + header.count - 1);
    let state = this.#producers.get(header.producerId);
    if (state !== undefined) {
      const known = state.batches.find(
        (batch) => batch.firstSequence === firstSequence && batch.lastSequence === lastSequence,
      );
      if (header.epoch === state.epoch && known !== undefined) {
        return { errorCode: ErrorCode.NONE, baseOffset: known.baseOffset, duplicate: true };
      }
      if (header.epoch < state.epoch) return refused(ErrorCode.INVALID_PRODUCER_EPOCH);
      const expected = header.epoch > state.epoch ? 0 : wrap(state.batches.at(-1)!.lastSequence + 1);
      if (firstSequence !== expected) return refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER);
    }
    if (state === undefined || header.epoch > state.epoch) {
      state = { epoch: header.epoch, batches: [] };
      this.#producers.set(header.producerId, state);
    }
    const baseOffset = this.appendUnchecked(header, bytes);
    state.batches.push({ firstSequence, lastSequence, baseOffset });
    if (state.batches.length > REMEMBERED_BATCHES) state.batches.shift();
    return { errorCode: ErrorCode.NONE, baseOffset, duplicate: false };
  }

  /** Forgets what is known of every producer, as a broker does when their records or their ids expire. */
  forgetProducers(): void {
    this.#producers.clear();
  }
}

function refused(errorCode: number): AppendResult {
  return { errorCode, baseOffset: -1, duplicate: false };
}

/** Sequences are 0 to 2^31 - 1 and begin again at 0. */
function wrap(sequence: number): number {
  return sequence > SEQUENCE_MAX ? sequence - SEQUENCE_MAX - 1 : sequence;
}
