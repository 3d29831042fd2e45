// One stream of batches, or one unary call: keeps its batches in order through whatever makes one of them wait.
//
// A batch may have to wait for room in the byte budget or for a topic to be looked up. Those behind it on the same stream
// must not overtake it, or events of one key would change places, so the stream is paused and what still arrives is kept in
// line. Nearly always nothing waits, and a message goes straight through without a copy and without a promise.

import type { Clock } from "../clock.ts";
import { IngestError } from "../errors.ts";
import type { Counter } from "../telemetry/instruments.ts";
import { Batch, Durability, type Responder } from "./batch.ts";
import type { Pipeline } from "./pipeline.ts";

/** Holds a stream's messages back. */
export interface Flow {
  pause(): void;
  resume(): void;
}

/** Most calls have nothing in line; what stands for an empty list until there is one. */
const NONE: never[] = [];

function copyOf(buffer: Buffer, start: number, end: number): Buffer {
  return Buffer.from(buffer.subarray(start, end));
}

export class Session {
  readonly #pipeline: Pipeline;
  readonly #responder: Responder;
  readonly #flow: Flow;
  readonly #clock: Clock;
  readonly #receivedBytes: Counter;
  /** Messages in line, the first of them waiting; copies, because a message's bytes are only lent. */
  #line: { readonly bytes: Buffer; readonly receivedAtMs: number }[] = NONE;
  /** Batches in the order in which they came, from the first that is not settled on; each knows the next one. */
  #first: Batch | undefined;
  #last: Batch | undefined;
  #batches = 0;
  #lastDurability: Durability = Durability.UNSPECIFIED;
  #closed = false;
  /** The highest sequence up to which every batch is settled, in the order in which they came. */
  lastSettledSequence: number | bigint = 0;

  /** @param receivedBytes counts the bytes of messages. */
  constructor(pipeline: Pipeline, responder: Responder, flow: Flow, clock: Clock, receivedBytes: Counter) {
    this.#pipeline = pipeline;
    this.#responder = responder;
    this.#flow = flow;
    this.#clock = clock;
    this.#receivedBytes = receivedBytes;
  }

  /** Batches from the first that has no answer on, those in line included; 0 if every one has its answer. */
  get outstanding(): number {
    this.#forgetSettled();
    return this.#batches + this.#line.length;
  }

  /** A PublishRequest, `buffer[start, end)`, lent for the call. */
  publish(buffer: Buffer, start = 0, end: number = buffer.length): void {
    this.#receivedBytes.inc(end - start);
    const receivedAtMs = this.#clock.recentMonotonic();
    if (this.#line.length > 0) {
      this.#line.push({ bytes: copyOf(buffer, start, end), receivedAtMs });
      return;
    }
    const cost = this.#pipeline.admission.cost(end - start);
    if (!this.#pipeline.admission.tryAdmit(cost)) {
      this.#hold(copyOf(buffer, start, end), receivedAtMs, undefined, undefined);
      return;
    }
    const batch = new Batch(this.#responder, receivedAtMs, cost);
    const missing = this.#take(buffer, start, end, batch);
    if (missing !== undefined) this.#hold(copyOf(buffer, start, end), receivedAtMs, batch, missing);
  }

  /** The stream is over: nothing that still waits in line is taken. What was taken goes on to be stored. */
  close(): void {
    this.#closed = true;
  }

  #append(batch: Batch): void {
    if (this.#last === undefined) this.#first = batch;
    else this.#last.next = batch;
    this.#last = batch;
    this.#batches++;
  }

  /** Moves `lastSettledSequence` on. */
  #forgetSettled(): void {
    for (let first = this.#first; first?.settled === true; first = this.#first) {
      this.lastSettledSequence = first.sequence;
      this.#batches--;
      this.#first = first.next;
      // What is old already must not keep what comes later.
      first.next = undefined;
    }
    if (this.#first === undefined) this.#last = undefined;
  }

  #take(buffer: Buffer, start: number, end: number, batch: Batch): Promise<unknown> | undefined {
    const missing = this.#pipeline.publish(buffer, start, end, batch, this.#lastDurability);
    if (missing !== undefined) return missing;
    if (batch.durability !== Durability.UNSPECIFIED) this.#lastDurability = batch.durability;
    if (this.#first?.settled === true) this.#forgetSettled();
    this.#append(batch);
    return undefined;
  }

  #hold(bytes: Buffer, receivedAtMs: number, batch: Batch | undefined, missing: Promise<unknown> | undefined): void {
    this.#flow.pause();
    if (this.#line === NONE) this.#line = [];
    this.#line.push({ bytes, receivedAtMs });
    void this.#workOff(batch, missing);
  }

  /** Takes the line in order. Never rejects: a batch that cannot be taken is refused. */
  async #workOff(admitted: Batch | undefined, missing: Promise<unknown> | undefined): Promise<void> {
    let batch = admitted;
    // Without a turn in between: whoever asks for room after this one has to find it in line.
    if (missing !== undefined) await missing;
    while (this.#line.length > 0 && !this.#closed) {
      const { bytes, receivedAtMs } = this.#line[0]!;
      const cost = this.#pipeline.admission.cost(bytes.length);
      if (batch === undefined) {
        try {
          await this.#pipeline.admission.admit(cost);
        } catch (thrown) {
          if (this.#closed) break;
          this.#refuseUnadmitted(bytes, receivedAtMs, IngestError.from(thrown));
          this.#line.shift();
          continue;
        }
        batch = new Batch(this.#responder, receivedAtMs, cost);
        if (this.#closed) break;
      }
      batch.waited = true;
      const wait = this.#take(bytes, 0, bytes.length, batch);
      if (wait === undefined) {
        this.#line.shift();
        batch = undefined;
      } else {
        await wait;
      }
    }
    if (batch !== undefined) this.#pipeline.admission.release(batch.admittedBytes);
    this.#line = NONE;
    if (!this.#closed) this.#flow.resume();
  }

  #refuseUnadmitted(bytes: Buffer, receivedAtMs: number, error: IngestError): void {
    const batch = new Batch(this.#responder, receivedAtMs, 0);
    batch.sequence = this.#pipeline.sequenceOf(bytes);
    batch.settled = true;
    this.#append(batch);
    this.#responder.refused(batch, error);
  }
}
