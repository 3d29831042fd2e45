// One lane's way to Kafka: what of it is under way, and when the next batch may go.
//
//   flowing ── a batch has to be sent again ──> landing ── nothing is with the producer ──> waiting ── a pause ──> flowing
//
// - Flowing, batches go in order: one until the first is stored, then twice as many with each that is.
// - After a failure nothing goes until everything of the lane that is with the producer has landed. Then, after a pause that
//   doubles each time, what is not done goes again in the old order, before anything new. So no batch overtakes one that has
//   to be sent again.

import type { Clock, Timer } from "../clock.ts";
import type { IngestError } from "../errors.ts";
import { UNASSIGNED_PARTITION } from "../ingest/producer.ts";
import type { Labels } from "../telemetry/attribution.ts";
import type { TopicBacklog } from "./backlog.ts";
import type { Flight } from "./flight.ts";
import type { Lane } from "./lane.ts";

const WINDOW_MAX = 256;
/** Of a lane without a partition: its batches are not done before all of their parts are, and brokers remember five. */
const WINDOW_UNASSIGNED_MAX = 5;
const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 30_000;

/** The pause after one of so many milliseconds. */
export function nextBackoffMs(backoffMs: number): number {
  return backoffMs === 0 ? BACKOFF_MIN_MS : Math.min(backoffMs * 2, BACKOFF_MAX_MS);
}

export class LaneForwarder {
  readonly topic: TopicBacklog;
  readonly lane: Lane;
  /** Of samples. */
  readonly labels: Labels;
  /** Is it in the queue of lanes that are looked at next? */
  queued = false;
  /** Are its bytes left out of what is under way, because nothing of it moves? */
  stalled = false;
  /** Bytes of batches that were read and are not complete; kept by the budget. */
  bytes = 0;
  /** When something of it was sent or landed last; milliseconds of the monotonic clock. */
  movedAtMs = 0;
  /** How often the next batch could not be read, in a row. */
  readFailures = 0;
  readonly #clock: Clock;
  readonly #ready: (forwarder: LaneForwarder) => void;
  #phase: "flowing" | "landing" | "waiting" = "flowing";
  /** Read and not complete, in order. */
  readonly #flights: Flight[] = [];
  readonly #windowMax: number;
  #airborne = 0;
  #window = 1;
  #error: IngestError | undefined;
  #backoffMs = 0;
  #timer: Timer | undefined;

  /** @param ready called when a pause is over. */
  constructor(
    topic: TopicBacklog,
    lane: Lane,
    labels: Labels,
    clock: Clock,
    ready: (forwarder: LaneForwarder) => void,
  ) {
    this.topic = topic;
    this.lane = lane;
    this.labels = labels;
    this.#clock = clock;
    this.#ready = ready;
    this.#windowMax = lane.partition === UNASSIGNED_PARTITION ? WINDOW_UNASSIGNED_MAX : WINDOW_MAX;
  }

  /** Batches that are with the producer. */
  get airborne(): number {
    return this.#airborne;
  }

  /** Why it does not flow; undefined while it does. */
  get error(): IngestError | undefined {
    return this.#error;
  }

  /**
   * What goes next, if anything may: a batch that has to be sent again, or "new" for the lane's next one.
   *
   * @param bytesMax of the lane's batches that are read and not done; one may always be.
   */
  next(bytesMax: number): Flight | "new" | undefined {
    if (this.#phase !== "flowing" || this.#airborne >= this.#window) return undefined;
    if (this.#airborne < this.#flights.length) return this.#flights.find((flight) => !flight.airborne);
    if (this.lane.waiting === 0 || (this.bytes > 0 && this.bytes >= bytesMax)) return undefined;
    return this.topic.mayGo(this.lane) ? "new" : undefined;
  }

  /** Takes up a batch that was read. */
  add(flight: Flight): void {
    this.#flights.push(flight);
  }

  /** One of its batches goes to the producer. */
  sent(): void {
    this.#airborne++;
  }

  /** Everything of a batch has an outcome for good. */
  completed(flight: Flight): void {
    this.#airborne--;
    this.#flights.splice(this.#flights.indexOf(flight), 1);
    this.#window = Math.min(this.#window * 2, this.#windowMax);
    if (this.#phase === "flowing") {
      this.#error = undefined;
      this.#backoffMs = 0;
    }
    this.#waitIfLanded();
  }

  /** A batch landed, and has to be sent again. */
  bounced(error: IngestError): void {
    this.#airborne--;
    this.pause(error);
  }

  /** Lets what is with the producer land, and then nothing go for a while. */
  pause(error: IngestError): void {
    this.#error = error;
    if (this.#phase === "flowing") this.#phase = "landing";
    this.#waitIfLanded();
  }

  dispose(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
  }

  #waitIfLanded(): void {
    if (this.#phase !== "landing" || this.#airborne > 0) return;
    this.#phase = "waiting";
    this.#window = 1;
    this.#backoffMs = nextBackoffMs(this.#backoffMs);
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      this.#phase = "flowing";
      this.#ready(this);
    }, this.#backoffMs);
    this.#timer.unref?.();
  }
}
