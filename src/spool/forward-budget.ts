// How many bytes of spooled batches may be under way to Kafka.
//
// The bound keeps what is forwarded from crowding out live traffic, in memory and in the producer's queues. A lane whose
// batches do not move (no leader, no topic, a pause after a failure) would hold on to its part of it for as long as that
// takes, and a few such lanes to all of it; so its bytes count only against a second, wider bound.

import type { LaneForwarder } from "./lane-forwarder.ts";

/** Moving or not, no more than this many times the bound is held in memory. */
const HELD_FACTOR = 4;
/** A lane may have this part of the bound. */
const LANE_SHARE = 1 / 4;
/** A lane that has batches with the producer and hears nothing of them for so long does not move. */
const STALLED_MS = 5000;

export class ForwardBudget {
  readonly #bytesMax: number;
  /** Bytes of lanes that move, and of all. */
  #moving = 0;
  #held = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** What one lane may have under way; at least one batch it may always. */
  get laneBytesMax(): number {
    return this.#bytesMax * LANE_SHARE;
  }

  /** Is there room for a batch? For one there always is when nothing else is under way. */
  hasRoom(bytes: number): boolean {
    const fits = this.#moving === 0 || this.#moving + bytes <= this.#bytesMax;
    return fits && (this.#held === 0 || this.#held + bytes <= this.#bytesMax * HELD_FACTOR);
  }

  /** Bytes of no lane's: of dead letters that are being written. Negative: given back. */
  hold(bytes: number): void {
    this.#held += bytes;
  }

  /** Bytes of a lane's batches; negative: given back. */
  add(forwarder: LaneForwarder, bytes: number): void {
    forwarder.bytes += bytes;
    this.#held += bytes;
    if (!forwarder.stalled) this.#moving += bytes;
  }

  /** Something of the lane was sent or landed. */
  moved(forwarder: LaneForwarder, nowMs: number): void {
    forwarder.movedAtMs = nowMs;
    this.setStalled(forwarder, false);
  }

  stallIfStill(forwarder: LaneForwarder, nowMs: number): void {
    if (forwarder.bytes > 0 && nowMs - forwarder.movedAtMs > STALLED_MS) this.setStalled(forwarder, true);
  }

  setStalled(forwarder: LaneForwarder, stalled: boolean): void {
    if (forwarder.stalled === stalled) return;
    forwarder.stalled = stalled;
    this.#moving += stalled ? -forwarder.bytes : forwarder.bytes;
  }
}
