// Under which producer id, epoch and sequence the batches of a partition go, and when they need a new epoch. No I/O.
//
// Invariants (docs/adr/0004-direct-producer.md has their reasons):
// - Everything in flight, and everything that has a sequence, goes under one identity. It is changed, and its epoch bumped,
//   only when nothing is in flight.
// - Live batches and spooled ones have identities of their own (identity.ts).
// - A spooled batch goes when the spool has kept its numbers. One that was sent by an earlier process goes under the numbers
//   it had then, and what has none goes after that under a producer id of this process.
// - A hole is where records begin that have sequences and are not on the log: from there on, only a new epoch can be stored.

import { assert } from "../../errors.ts";
import type { Counter } from "../../telemetry/instruments.ts";
import { stampProducer } from "../../wire/record-batch.ts";
import { type Entry, hasKeptNumbers, isBefore, type Position } from "./entry.ts";
import { Identity, SEQUENCES } from "./identity.ts";

interface Hole extends Position {
  /** True if its records never were on the log, so that nothing behind them can be. */
  readonly certain: boolean;
}

export class Numbering {
  readonly #possibleDuplicates: Counter;
  readonly #live = new Identity();
  readonly #spooled = new Identity();
  /** The one that is in use. */
  #identity = this.#live;
  #hole: Hole | undefined;
  /** The producer id is another's. */
  #fenced = false;

  /** @param possibleDuplicates counts batches that get new numbers although they may be stored under their old ones. */
  constructor(possibleDuplicates: Counter) {
    this.#possibleDuplicates = possibleDuplicates;
  }

  /** The one in use; undefined if a broker has to give one. */
  get producerId(): bigint | undefined {
    return this.#identity.producerId;
  }

  /** Is a new epoch needed, so that nothing may follow what is in flight? */
  get isOver(): boolean {
    return this.#fenced || this.#hole !== undefined;
  }

  /** Takes a producer id that was asked for. False if none is needed any more. */
  assign(producerId: bigint, epoch: number): boolean {
    if (this.#identity.producerId !== undefined) return false;
    this.#identity.assign(producerId, epoch);
    return true;
  }

  /**
   * Nothing is in flight, and the head of the queue goes next: new epochs and identities begin now.
   *
   * @returns true if one did, so that the broker has no state for it.
   */
  turnTo(head: Entry, queue: readonly Entry[]): boolean {
    let isNew = false;
    if (this.#fenced || (this.#hole !== undefined && !isBefore(head, this.#hole))) {
      this.#newEpoch(queue, this.#hole?.certain === true && !this.#fenced);
      isNew = true;
    }
    const identity = this.#identityOf(head);
    if (identity !== this.#identity) {
      this.#identity = identity;
      isNew = true;
    }
    if (head.stamp !== undefined && !identity.mayTakeOver(head.stamp)) this.#unbind(head, false);
    if (head.stamp !== undefined) {
      if (identity.is(head.stamp)) return isNew;
      identity.takeOver(head.stamp);
      return true;
    }
    if (!identity.takenOver || head.sequence >= 0) return isNew;
    this.#newEpoch(queue, false);
    return true;
  }

  /** May the entry go beside what is in flight? */
  suits(entry: Entry): boolean {
    if (this.#identityOf(entry) !== this.#identity) return false;
    if (entry.stamp !== undefined) return this.#identity.is(entry.stamp);
    return !this.#identity.takenOver || entry.sequence >= 0;
  }

  /** Gives the entry, which suits, its numbers, if it has none. */
  number(entry: Entry): void {
    if (entry.sequence >= 0) return;
    entry.sequence = entry.stamp?.baseSequence ?? this.#identity.take(entry.count);
    entry.stamp = undefined;
    this.#stamp(entry);
  }

  /** Gives a part the numbers that its records have in the whole. */
  numberPart(part: Entry, whole: Entry): void {
    part.sequence = (whole.sequence + part.first - whole.first) % SEQUENCES;
    this.#stamp(part);
  }

  /**
   * Numbers what may go next, and lets its keepers keep that.
   *
   * @param next in order.
   * @param kept called whenever one of them may go.
   */
  keepStamps(next: readonly Entry[], kept: () => void): void {
    const identity = this.#identity;
    const { producerId, producerEpoch } = identity;
    assert(producerId !== undefined, "what is numbered has a producer id");
    for (const entry of next) {
      if (this.explains(entry) || !this.suits(entry)) return;
      this.number(entry);
      if (entry.stampKept !== "no") continue;
      entry.stampKept = "pending";
      const stamp = { producerId, producerEpoch, baseSequence: entry.sequence };
      entry.batch.stamps!.keep(stamp, () => {
        // It may have got other numbers meanwhile, which have to be kept too.
        if (entry.sequence !== stamp.baseSequence || !identity.is(stamp)) return;
        entry.stampKept = "yes";
        kept();
      });
    }
  }

  /** Somebody else owns the producer id. */
  fence(): void {
    this.#fenced = true;
  }

  /** @param certain whether nothing from there on is on the log. */
  digHole({ order, first }: Position, certain: boolean): void {
    if (this.#hole === undefined || isBefore({ order, first }, this.#hole)) this.#hole = { order, first, certain };
  }

  /** Is it known already why the entry cannot be stored under its numbers? */
  explains(entry: Entry): boolean {
    return this.#fenced || (this.#hole !== undefined && !isBefore(entry, this.#hole));
  }

  #identityOf({ batch }: Entry): Identity {
    return batch.stamps === undefined ? this.#live : this.#spooled;
  }

  #stamp({ bytes, sequence }: Entry): void {
    const { producerId, producerEpoch } = this.#identity;
    assert(producerId !== undefined, "what is numbered has a producer id");
    stampProducer(bytes, producerId, producerEpoch, sequence);
  }

  /** @param certain whether nothing of what is queued can be on the log. */
  #newEpoch(queue: readonly Entry[], certain: boolean): void {
    const identity = this.#identity;
    if (this.#fenced) identity.forget();
    else identity.bump();
    this.#fenced = false;
    this.#hole = undefined;
    for (const entry of queue) {
      if (this.#identityOf(entry) !== identity) continue;
      this.#unbind(entry, certain);
    }
  }

  /** Lets the entry get new numbers. @param certain whether it cannot be on the log. */
  #unbind(entry: Entry, certain: boolean): void {
    if (entry.unknown && !certain) this.#possibleDuplicates.inc();
    entry.unknown = false;
    entry.sequence = -1;
    entry.stamp = undefined;
    if (hasKeptNumbers(entry)) entry.stampKept = "no";
  }
}
