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
    what: "after a failure the next batch gets a sequence that another one has",
    edits: [
      {
        file: PARTITION,
        old: "this.#nextSequence = (entry.sequence + entry.count) % SEQUENCES;",
        new: "this.#nextSequence = (entry.sequence + (this.#failuresInRow > 0 ? 0 : entry.count)) % SEQUENCES;",
      },
    ],
  },
  "skip-an-fsync": {
    what: "a group is acknowledged without a sync",
    edits: [{ file: WRITER, old: "      await file.sync();\n      this.#syncTime", new: "      this.#syncTime" }],
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
        old: "      await file.sync();\n      this.#syncTime",
        new: "      await file.sync().catch(() => file.sync());\n      this.#syncTime",
      },
    ],
  },
  "drop-the-last-batch": {
    what: "what is open in an accumulator when the drain begins is forgotten",
    edits: [
      {
        file: "src/ingest/accumulators.ts",
        old: `    for (const accumulator of this.#touched) this.#seal(accumulator, "flush");
    for (const batch of this.#lingering) this.#seal(batch.accumulator, "flush");
`,
        new: "    for (const batch of this.#lingering) batch.accumulator.seal();\n",
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
        old: "    this.#admission.release(batch.admittedBytes);\n",
        new: "    this.#admission.release(batch.admittedBytes);\n    if (batch.failures.length > 0) this.#admission.release(batch.admittedBytes);\n",
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
        old: "(this.#comeHome || this.#fenced || this.#hole !== undefined)",
        new: "(this.#comeHome || this.#fenced)",
      },
      {
        file: PARTITION,
        old: "    if (this.#inFlight.length === 0) this.#allHome(entry);\n",
        new: "    if (this.#inFlight.length === 0 || this.#hole !== undefined) this.#allHome(entry);\n",
      },
    ],
  },
  "forget-the-window": {
    what: "five batches are in flight before the first is acknowledged",
    edits: [
      { file: PARTITION, old: "  #window = 1;\n  #acknowledgedAtMs", new: "  #window = 5;\n  #acknowledgedAtMs" },
      {
        file: PARTITION,
        old: "    this.#nextSequence = 0;\n    this.#window = 1;\n    this.#dependencies.host.ready(this);\n",
        new: "    this.#nextSequence = 0;\n    this.#dependencies.host.ready(this);\n",
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
        old: "      this.#bounced(error);\n    } else if",
        new: "      this.#set(first, count, STORED);\n    } else if",
      },
    ],
  },
  "overtake-the-spool": {
    what: "a REPLICATED batch does not wait for what is spooled for its partition",
    edits: [
      {
        file: "src/spool/behind-spool.ts",
        old: "    if (this.#spool.backlog(batch.topic, batch.partition) > 0) return false;\n",
        new: "",
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
        old: "    this.#flow.pause();\n    this.#line.push({ bytes: Buffer.from(bytes), receivedAtMs });",
        new: "    this.#flow.pause();\n    this.#line.push({ bytes, receivedAtMs });",
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
};
