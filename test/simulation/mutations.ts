// Faults of our own making, to see that the checker bites: each is a change to the text of the product, and a run over a few
// seeds has to find it.
//
// Nothing of it is in the product: its files are changed while they are loaded (mutate.ts). A text that is not there exactly
// once fails, so that a mutation cannot die silently when the product moves on.

export interface Edit {
  readonly file: string;
  readonly old: string;
  readonly new: string;
}

export interface Mutation {
  /** What is wrong then. */
  readonly what: string;
  /** From which seed on it is soon found; 1 if there is nothing to wait for. */
  readonly from?: number;
  readonly edits: readonly Edit[];
}

const PARTITION = "src/kafka/direct/partition.ts";
const SETTLEMENT = "src/ingest/settlement.ts";
const WRITER = "src/spool/segment-writer.ts";

export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  "acknowledge-early": {
    what: "a batch is acknowledged when it is sent, not when the broker has answered",
    edits: [
      {
        file: PARTITION,
        old: "    entry.sentTo = this.#leader;\n",
        new: `    entry.sentTo = this.#leader;
    if (entry.sends === 1) queueMicrotask(() => entry.settler.stored(entry.batch, entry.first, entry.count, -1));
`,
      },
      {
        file: PARTITION,
        old: "        entry.settler.stored(entry.batch, entry.first, entry.count, errorCode === 0 ? result.baseOffset : -1);\n",
        new: "",
      },
    ],
  },
  "reuse-a-sequence": {
    what: "now and then the next batch gets a sequence that another one has",
    edits: [
      {
        file: "src/kafka/direct/identity.ts",
        old: "this.#nextSequence = (first + count) % SEQUENCES;",
        new: "this.#nextSequence = (first + (first > 0 && first % 5 === 0 ? 0 : count)) % SEQUENCES;",
      },
    ],
  },
  "skip-an-fsync": {
    what: "a group is acknowledged without a sync",
    edits: [{ file: WRITER, old: "      await file.sync();\n      this.#attribution", new: "      this.#attribution" }],
  },
  "skip-a-directory-sync": {
    what: "the name of a new segment is not synced",
    edits: [
      {
        file: WRITER,
        old: "      if (created) {\n        await this.#fs.syncDirectory(this.#options.dir);\n",
        new: "      if (created) {\n",
      },
    ],
  },
  "sync-again": {
    what: "a sync that failed is tried again, and its second answer is believed",
    edits: [
      {
        file: WRITER,
        old: "      await file.sync();\n      this.#attribution",
        new: "      await file.sync().catch(() => file.sync());\n      this.#attribution",
      },
    ],
  },
  "drop-the-last-batch": {
    what: "what is open in an accumulator when the drain begins is forgotten",
    edits: [
      {
        file: "src/ingest/accumulators.ts",
        old: `    for (const accumulator of this.#touched) this.#seal(accumulator, "flush");
    for (const batch of this.#lingering.toArray()) this.#seal(batch.accumulator, "flush");
`,
        new: "    for (const batch of this.#lingering.toArray()) batch.accumulator.seal();\n",
      },
    ],
  },
  "settle-twice": {
    what: "a batch in which an event failed is answered twice",
    edits: [
      {
        file: SETTLEMENT,
        old: "    batch.responder.answered(batch);\n",
        new: "    batch.responder.answered(batch);\n    if (batch.failures.length > 0) batch.responder.answered(batch);\n",
      },
    ],
  },
  "release-twice": {
    what: "the byte budget is given back twice",
    edits: [
      {
        file: SETTLEMENT,
        old: "    this.#admission.release(batch.admittedBytes, nowMs);\n",
        new: "    this.#admission.release(batch.admittedBytes, nowMs);\n    if (batch.failures.length > 0) this.#admission.release(batch.admittedBytes, nowMs);\n",
      },
    ],
  },
  "resend-at-once": {
    what: "a batch is sent again while others are in flight",
    edits: [
      {
        file: PARTITION,
        old: "    this.#queue.splice(at, 0, entry);\n    this.#comeHome = true;\n    this.#window = 1;\n",
        new: "    this.#queue.splice(at, 0, entry);\n",
      },
    ],
  },
  "bump-at-once": {
    what: "an epoch is bumped while batches of the old one are in flight",
    edits: [
      {
        file: PARTITION,
        old: "(this.#comeHome || this.#numbering.isOver ||",
        new: "((this.#comeHome && !this.#numbering.isOver) ||",
      },
      {
        file: PARTITION,
        old: "    if (this.#inFlight.length === 0) this.#allHome(entry);\n",
        new: "    if (this.#inFlight.length === 0 || this.#numbering.isOver) this.#allHome(entry);\n",
      },
    ],
  },
  "forget-the-window": {
    what: "five batches are in flight before the first is acknowledged",
    edits: [
      { file: PARTITION, old: "  #window = 1;\n  #acknowledgedAtMs", new: "  #window = 5;\n  #acknowledgedAtMs" },
      {
        file: PARTITION,
        old: 'under batches in flight");\n      this.#window = 1;\n',
        new: 'under batches in flight");\n',
      },
      {
        file: PARTITION,
        old: "      this.#window = 1;\n      this.#comeHome = this.#inFlight.length > 0;\n",
        new: "      this.#comeHome = this.#inFlight.length > 0;\n",
      },
      {
        file: PARTITION,
        old: "    if (this.#dependencies.clock.monotonic() - this.#acknowledgedAtMs > STATE_TRUSTED_MS) this.#window = 1;\n",
        new: "",
      },
    ],
  },
  "forwarded-before-stored": {
    what: "a spooled batch that has to be sent again counts as forwarded",
    edits: [
      {
        file: "src/spool/flight.ts",
        old: "      this.#callbacks.bounced(error);\n    } else if",
        new: "      this.#set(first, count, STORED);\n    } else if",
      },
    ],
  },
  "overtake-the-spool": {
    what: "a REPLICATED batch does not wait for what is spooled for its partition",
    edits: [
      {
        file: "src/spool/behind-spool.ts",
        old: "line === undefined && this.#spool.backlog(topic, partition) === 0",
        new: "line === undefined",
      },
    ],
  },
  "cut-too-much": {
    what: "with a torn tail a part of what is in front of it is cut",
    edits: [
      {
        file: "src/spool/recovery.ts",
        old: "      if (tail > 0) await file.truncate(end);\n",
        new: "      if (tail > 0) await file.truncate(end - 1);\n",
      },
    ],
  },
  "keep-a-message": {
    what: "a message that waits is kept as the view that was lent",
    edits: [
      {
        file: "src/ingest/session.ts",
        old: "  return Buffer.from(buffer.subarray(start, end));",
        new: "  return buffer.subarray(start, end);",
      },
    ],
  },
  "delete-before-the-checkpoint": {
    what: "a segment is deleted although the checkpoint that repeats its markers could not be written",
    edits: [
      {
        file: "src/spool/segments.ts",
        old: "        this.#unfinished = true;\n        return;\n      }\n      // On a full disk",
        new: "      }\n      // On a full disk",
      },
    ],
  },
  "forget-the-stamps": {
    what: "a spooled batch goes again after a crash without the numbers that it had",
    edits: [
      {
        file: "src/spool/spool.ts",
        old: "return this.#logs.get(entry.segment.dir)?.stamps.get(entry.sequence) ?? [];",
        new: "return this.#logs.get(entry.segment.dir) === undefined || entry.sequence > 0 ? [] : [];",
      },
    ],
  },
  "send-before-the-stamp": {
    what: "a spooled batch is sent before its numbers are on the disk",
    from: 200,
    edits: [{ file: PARTITION, old: 'if (entry.stampKept !== "yes") {', new: 'if (entry.stampKept === "no") {' }],
  },
  "one-id-for-both-ways": {
    what: "live batches push spooled ones out of the memory of the brokers",
    from: 350,
    edits: [
      {
        file: "src/kafka/direct/numbering.ts",
        old: "    return batch.stamps === undefined ? this.#live : this.#spooled;",
        new: "    return batch.stamps === undefined ? this.#live : this.#live;",
      },
    ],
  },
  "persisted-overtakes": {
    what: "a PERSISTED batch does not wait for a REPLICATED one of its call",
    edits: [
      {
        file: "src/spool/behind-spool.ts",
        old: "if (line?.shares(batch) === true)",
        new: "if (line !== undefined && line.waiting.length < 0)",
      },
    ],
  },
};
