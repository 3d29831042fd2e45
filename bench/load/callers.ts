// The two ways in which a client of EventIngest behaves: callers with one unary call each, and streams with a window.

import { emptyAnswer, readPublishResponse, readStreamResponse, type Answer } from "./answers.ts";
import type { Call, CallEvents } from "./call.ts";
import type { Connection } from "./connection.ts";
import type { Meter } from "./meter.ts";
import type { Pacer, Sender } from "./pacer.ts";
import { nextSequence, SEQUENCE_FIRST } from "./requests.ts";

export const PUBLISH = "/sluice.v1.EventIngest/Publish";
export const PUBLISH_STREAM = "/sluice.v1.EventIngest/PublishStream";

/** What all callers of a load share. */
export interface Work {
  readonly pool: readonly Buffer[];
  /** Events of a request: an answer has to account for each. */
  readonly batch: number;
  readonly pacer: Pacer;
  readonly meter: Meter;
}

/** A failed caller waits this long, so that a server that refuses everything is not called in a busy loop. */
const RETRY_MS = 20;
const answer = emptyAnswer();

/** Checks an answer that stores and counts it. */
function count(work: Work, answer: Answer, dueMs: number): void {
  if (answer.stored + answer.failed !== work.batch) {
    work.meter.error(`an answer accounts for ${answer.stored} + ${answer.failed} of ${work.batch} events`);
  } else work.meter.answered(performance.now() - dueMs, answer.stored, answer.failed);
}

/** What both kinds of callers show of themselves. */
export interface Caller {
  /** Answers so far. */
  readonly answers: number;
  /** True: something is on its way. */
  readonly busy: boolean;
  /** What can have one request on its way each. */
  senders(window: number): Sender[];
  /** Ends what can be ended when nothing is on its way. */
  end(): void;
}

/** A caller of Publish: one call at a time. */
export class UnaryCaller implements Caller, Sender, CallEvents {
  readonly #connection: Connection;
  readonly #work: Work;
  #next: number;
  #sequence = SEQUENCE_FIRST;
  #dueMs = 0;
  #answered = false;
  #answers = 0;

  /** @param index tells callers apart: each begins at another request of the pool. */
  constructor(connection: Connection, work: Work, index: number) {
    this.#connection = connection;
    this.#work = work;
    this.#next = index;
  }

  get answers(): number {
    return this.#answers;
  }

  get busy(): boolean {
    return this.#dueMs > 0;
  }

  senders(): Sender[] {
    return [this];
  }

  end(): void {
    // Each call ends by itself.
  }

  send(dueMs: number): void {
    const { pool } = this.#work;
    this.#dueMs = dueMs;
    this.#answered = false;
    this.#sequence = nextSequence(this.#sequence);
    const call = this.#connection.call(this);
    this.#connection.send(call, pool[this.#next++ % pool.length]!, this.#sequence, true);
  }

  onMessage(bytes: Buffer, start: number, end: number): void {
    readPublishResponse(bytes, start, end, answer);
    this.#answered = true;
    this.#answers++;
    if (answer.sequence === this.#sequence) count(this.#work, answer, this.#dueMs);
    else this.#work.meter.error(`the answer to batch ${this.#sequence} has the sequence ${answer.sequence}`);
  }

  onEnd(status: number, message: string): void {
    this.#dueMs = 0;
    const { pacer, meter } = this.#work;
    if (status === 0 && this.#answered) pacer.free(this);
    else {
      meter.error(status === 0 ? "a call ended OK without an answer" : `status ${status}: ${message}`);
      setTimeout(() => pacer.free(this), RETRY_MS);
    }
  }
}

/** A stream of PublishStream: as many senders as its window has places. */
export class StreamCaller implements Caller, CallEvents {
  readonly #connection: Connection;
  readonly #work: Work;
  readonly #call: Call;
  /** What has no answer yet, by sequence: the sender of a place in the window and when it was due. */
  readonly #unanswered = new Map<number, { readonly sender: Sender; readonly dueMs: number }>();
  #next: number;
  #sequence = SEQUENCE_FIRST;
  #state: "open" | "ending" | "ended" = "open";
  #answers = 0;

  constructor(connection: Connection, work: Work, index: number) {
    this.#connection = connection;
    this.#work = work;
    this.#next = index;
    this.#call = connection.call(this);
  }

  get answers(): number {
    return this.#answers;
  }

  get busy(): boolean {
    return this.#unanswered.size > 0 && this.#state !== "ended";
  }

  senders(window: number): Sender[] {
    return Array.from({ length: window }, () => {
      const sender: Sender = { send: (dueMs) => this.#send(sender, dueMs) };
      return sender;
    });
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    this.#connection.end(this.#call);
  }

  onMessage(bytes: Buffer, start: number, end: number): void {
    readStreamResponse(bytes, start, end, answer);
    if (answer.drain) return;
    const sent = this.#unanswered.get(answer.sequence);
    if (sent === undefined) {
      this.#work.meter.error(`an answer has the sequence ${answer.sequence}, which nothing waits for`);
      return;
    }
    this.#unanswered.delete(answer.sequence);
    this.#answers++;
    if (answer.refusal === "") {
      count(this.#work, answer, sent.dueMs);
      this.#work.pacer.free(sent.sender);
    } else {
      this.#work.meter.error(answer.refusal);
      setTimeout(() => this.#work.pacer.free(sent.sender), RETRY_MS);
    }
  }

  onEnd(status: number, message: string): void {
    if (this.#state === "open" || status !== 0)
      this.#work.meter.error(`a stream ended with status ${status}: ${message}`);
    this.#state = "ended";
  }

  #send(sender: Sender, dueMs: number): void {
    if (this.#state !== "open") return;
    const { pool } = this.#work;
    this.#sequence = nextSequence(this.#sequence);
    this.#unanswered.set(this.#sequence, { sender, dueMs });
    this.#connection.send(this.#call, pool[this.#next++ % pool.length]!, this.#sequence, false);
  }
}
