// Who sends, as a broker sees it: a producer id, its epoch, and the sequence that the next record gets.
//
// A partition has two of them, for live batches and for spooled ones. A broker remembers the last five batches of an id, and
// that is what keeps a spooled batch from being stored twice after a crash: it goes again under the numbers that the spool
// kept. Live batches under the same id would push it out of that memory while the note that it is in Kafka is still on its
// way to the disk.
//
// An identity that an earlier process had is taken over for what was sent under it, and given up before anything else is sent:
// that process may have used later epochs, for the parts of a batch that was refused, and bound their sequences to bytes that
// nobody knows any more. Rejected: a bump, which leads right into those.
//
// Invariant: the epoch of an id never goes back. A broker refuses that, and a bump from an old epoch would lead into one whose
// sequences are bound already.

import type { ProducerStamp } from "../../ingest/producer.ts";

const PRODUCER_EPOCH_MAX = 32_767;
/** Sequences wrap here. */
export const SEQUENCES = 0x8000_0000;

export class Identity {
  #producerId: bigint | undefined;
  #producerEpoch = 0;
  #nextSequence = 0;
  #takenOver = false;
  /** The highest epoch that was in use, by producer id. */
  readonly #epochs = new Map<bigint, number>();

  /** Undefined: a broker has to give one. */
  get producerId(): bigint | undefined {
    return this.#producerId;
  }

  get producerEpoch(): number {
    return this.#producerEpoch;
  }

  /** Only what was sent under it before may be sent under it. */
  get takenOver(): boolean {
    return this.#takenOver;
  }

  /** As a broker gave it. */
  assign(producerId: bigint, epoch: number): void {
    this.#begin(producerId, epoch, false);
  }

  /** Does the stamp name this id and epoch? */
  is({ producerId, producerEpoch }: ProducerStamp): boolean {
    return producerId === this.#producerId && producerEpoch === this.#producerEpoch;
  }

  /** Is the stamp's epoch one that may still be used? */
  mayTakeOver({ producerId, producerEpoch }: ProducerStamp): boolean {
    return producerEpoch >= (this.#epochs.get(producerId) ?? 0);
  }

  takeOver({ producerId, producerEpoch }: ProducerStamp): void {
    this.#begin(producerId, producerEpoch, true);
  }

  /** @returns the sequence of the first of so many records, which are given away now. */
  take(count: number): number {
    const first = this.#nextSequence;
    this.#nextSequence = (first + count) % SEQUENCES;
    return first;
  }

  /**
   * A new epoch, which unbinds all sequences; without a request, because nobody else has this id. One that was taken over, or
   * is used up, is given up instead.
   */
  bump(): void {
    if (this.#takenOver || this.#producerEpoch >= PRODUCER_EPOCH_MAX) this.forget();
    else this.#begin(this.#producerId, this.#producerEpoch + 1, false);
  }

  /** It is somebody else's, or used up. */
  forget(): void {
    this.#begin(undefined, 0, false);
  }

  #begin(producerId: bigint | undefined, epoch: number, takenOver: boolean): void {
    this.#producerId = producerId;
    this.#producerEpoch = epoch;
    this.#nextSequence = 0;
    this.#takenOver = takenOver;
    if (producerId !== undefined) this.#epochs.set(producerId, epoch);
  }
}
