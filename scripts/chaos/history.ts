// What the load client did, from its record: for every event whether it is acknowledged, and how often it may be stored.
//
// One object a batch and a few bytes an event, because a run has millions of events.

import type { Line, Sent, Stored } from "./record.ts";

export interface Attempt {
  readonly sentAtMs: number;
  readonly durability: number;
  /** undefined: all of the batch. */
  readonly indices: readonly number[] | undefined;
  settled: boolean;
}

export class SentBatch {
  readonly sender: number;
  readonly number: number;
  readonly topic: string;
  /** The stream of the first attempt; -1: a unary call. */
  readonly stream: number;
  readonly count: number;
  readonly attempts: Attempt[] = [];
  /** By event: 1 + the attempt that was acknowledged; 0: none was. */
  readonly acknowledgedBy: Uint8Array;
  /** By event: the attempts that may have stored it without an acknowledgement. */
  readonly maybe: Uint8Array;
  /** By event: how often it was sent. */
  readonly tries: Uint8Array;
  /** Where stored events lie, of answers that told. */
  readonly placed: (readonly [partition: number, offset: number, count: number])[] = [];

  constructor({ sender, batch, topic, stream, count }: Sent) {
    this.sender = sender;
    this.number = batch;
    this.topic = topic;
    this.stream = stream;
    this.count = count;
    this.acknowledgedBy = new Uint8Array(count);
    this.maybe = new Uint8Array(count);
    this.tries = new Uint8Array(count);
  }

  /** The attempt that acknowledged the event. */
  acknowledgement(index: number): Attempt | undefined {
    const by = this.acknowledgedBy[index]!;
    return by === 0 ? undefined : this.attempts[by - 1];
  }

  indicesOf(attempt: Attempt): readonly number[] {
    return attempt.indices ?? Array.from({ length: this.count }, (_, index) => index);
  }
}

/** REASON_UNAVAILABLE: "may in rare cases be stored all the same" (docs/clients.md). */
const REASON_UNAVAILABLE = 9;

export class History {
  readonly #batches = new Map<number, SentBatch[]>();
  readonly #codes = new Map<string, number>();

  /** How often each outcome but "stored" was met. */
  get outcomes(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#codes].sort(([a], [b]) => a.localeCompare(b)));
  }

  *batches(): Generator<SentBatch> {
    for (const batches of this.#batches.values()) yield* batches;
  }

  batch(sender: number, number: number): SentBatch | undefined {
    return this.#batches.get(sender)?.[number];
  }

  /** Takes the lines of a record in their order; then `end`. */
  add(line: Line): void {
    if (line.kind === "sent") {
      this.#sent(line);
      return;
    }
    const batch = this.batch(line.sender, line.batch);
    const attempt = batch?.attempts[line.attempt];
    if (batch === undefined || attempt === undefined) throw new Error(`nothing was sent for ${JSON.stringify(line)}`);
    attempt.settled = true;
    if (line.kind === "stored") this.#stored(batch, attempt, line);
    else {
      if (line.kind === "unknown") this.#unknown(batch, attempt);
      this.#count(`${line.kind} ${line.code}`);
    }
  }

  /** Nobody knows what became of the attempts that have no outcome by now. */
  end(): void {
    for (const batch of this.batches()) {
      for (const attempt of batch.attempts) {
        if (attempt.settled) continue;
        attempt.settled = true;
        this.#unknown(batch, attempt);
        this.#count("without an end");
      }
    }
  }

  #sent(line: Sent): void {
    const batches = this.#batches.get(line.sender) ?? [];
    this.#batches.set(line.sender, batches);
    const batch = (batches[line.batch] ??= new SentBatch(line));
    const attempt = {
      sentAtMs: line.at,
      durability: line.durability,
      indices: line.indices,
      settled: false,
    };
    batch.attempts[line.attempt] = attempt;
    for (const index of batch.indicesOf(attempt)) batch.tries[index]!++;
  }

  #stored(batch: SentBatch, attempt: Attempt, line: Stored): void {
    const failed = new Map(line.failed);
    for (const index of batch.indicesOf(attempt)) {
      const reason = failed.get(index);
      if (reason === undefined) batch.acknowledgedBy[index] = line.attempt + 1;
      else if (reason === REASON_UNAVAILABLE) batch.maybe[index]!++;
    }
    for (const reason of failed.values()) this.#count(`event failed with reason ${reason}`);
    batch.placed.push(...line.placed);
  }

  #unknown(batch: SentBatch, attempt: Attempt): void {
    for (const index of batch.indicesOf(attempt)) batch.maybe[index]!++;
  }

  #count(code: string): void {
    this.#codes.set(code, (this.#codes.get(code) ?? 0) + 1);
  }
}
