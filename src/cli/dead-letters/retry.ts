// `sluice dead-letters retry`: publishes the events of letters again, and drops the letters whose events are all stored.
//
//   letter ── its events, in messages of at most 1 MiB ── Publish ── all stored? ── drop, some letters at a time
//
// Invariants: a letter is dropped after every one of its events was acknowledged, never before. So what is interrupted between
// the two (a crash, a lost answer) is stored, and still lies in the log: the next retry sends it twice. Letters are dropped in
// small groups to keep that little. Letters go one after the other, so events of one partition keep their order.

import { oneOf, topicName } from "../../config/kinds.ts";
import { Durability, type EventInit, Reason, type SluiceClient, SluiceError } from "../../client/index.ts";
import type { DeadLetter } from "../../spool/letter.ts";
import { ADMIN_NOTE, adminFlagsBesideGrpc, adminMistakes, valuesBesideGrpc } from "../admin-target.ts";
import { command, printMistakes } from "../command.ts";
import { maybe } from "../flag.ts";
import { CliError, type CliIo, Exit, messageOf, printLines } from "../io.ts";
import { connectService, serviceFlags, serviceMistakes } from "../service-client.ts";
import { plural, printable, table } from "../table.ts";
import { Dropper } from "./dropper.ts";
import { eventBytes, eventOf, refusedRecords } from "./events.ts";
import {
  findLetters,
  type FoundLetter,
  placeOf,
  readConfig,
  selectionFlags,
  selectionMistakes,
  selectLetters,
  withBatches,
} from "./letters.ts";

const DURABILITIES = { replicated: Durability.REPLICATED, persisted: Durability.PERSISTED };
const MESSAGE_BYTES_MAX = 1024 * 1024;
const MESSAGE_EVENTS_MAX = 5_000;
/** Stored letters that are dropped together: what an interruption may send twice. */
const UNDROPPED_MAX = 20;
/** What every letter after it would meet, too: nothing more is tried. */
const HOPELESS = new Set([
  "FAILED_PRECONDITION",
  "UNIMPLEMENTED",
  "UNAUTHENTICATED",
  "PERMISSION_DENIED",
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
]);

/** What became of a letter. */
interface Fate {
  readonly letter: FoundLetter;
  readonly text: string;
  readonly ok: boolean;
}

export const retry = command({
  name: "dead-letters retry",
  positionals: "ID...",
  flags: {
    ...selectionFlags,
    toTopic: maybe(topicName, "Publish to this topic; partitions are then chosen anew, by key."),
    durability: maybe(
      oneOf("replicated", "persisted"),
      "What an acknowledgement has to mean; without it, the service's default. Kafka may refuse what is only persisted once more, later.",
    ),
    ...serviceFlags,
    ...adminFlagsBesideGrpc,
  },
  notes: [
    "Key, value, headers, timestamp and, where it is known, the partition stay as they were. A letter is dropped when all its events are stored; one that fails stays, as a whole. If the command is interrupted in between, events may be stored and still lie in the log, and the next retry stores them twice.",
    ADMIN_NOTE,
    "The exit code is 1 if a letter is left.",
  ],
  examples: [
    "sluice dead-letters retry 0-17",
    "sluice dead-letters retry --all --topic clicks --to-topic clicks-large",
  ],
  run: async (values, ids, io) => {
    const admin = valuesBesideGrpc(values);
    const mistakes = [...selectionMistakes(ids, values), ...serviceMistakes(values), ...adminMistakes(admin)];
    if (mistakes.length > 0) {
      printMistakes(io, "dead-letters retry", mistakes);
      return Exit.USAGE;
    }
    const config = readConfig("retry", io);
    if (config === undefined) return Exit.USAGE;
    const letters = selectLetters(await findLetters(config.dataDir), ids, values);
    if (letters.length === 0) {
      printLines(io.stdout, ["no dead letters"]);
      return Exit.OK;
    }
    const dropper = new Dropper(config, admin, "retried");
    await dropper.check(letters);
    await using client = await connectService(values, config);
    const durability =
      values.durability === undefined ? Durability.DURABILITY_UNSPECIFIED : DURABILITIES[values.durability];
    const run = new Retry(client, dropper, { toTopic: values.toTopic, durability });
    const fates = await run.all(letters, io);
    printLines(io.stdout, report(fates));
    return fates.every(({ ok }) => ok) ? Exit.OK : Exit.FAILED;
  },
});

interface RetryOptions {
  /** Undefined: each letter's own. */
  readonly toTopic: string | undefined;
  readonly durability: Durability;
}

class Retry {
  readonly #client: SluiceClient;
  readonly #dropper: Dropper;
  readonly #options: RetryOptions;
  readonly #fates: Fate[] = [];
  #stored: FoundLetter[] = [];
  /** Why nothing more is tried. */
  #hopeless: string | undefined;

  constructor(client: SluiceClient, dropper: Dropper, options: RetryOptions) {
    this.#client = client;
    this.#dropper = dropper;
    this.#options = options;
  }

  async all(letters: readonly FoundLetter[], io: CliIo): Promise<readonly Fate[]> {
    const left = new Set(letters);
    for await (const { found, letter } of withBatches(letters)) {
      if (io.shutdown.aborted) this.#hopeless = "the command was interrupted";
      if (this.#hopeless !== undefined) break;
      left.delete(found);
      const failure = await this.#publish(letter);
      if (failure === undefined) this.#stored.push(found);
      else this.#fates.push({ letter: found, text: failure, ok: false });
      if (this.#stored.length >= UNDROPPED_MAX) await this.#drop();
    }
    await this.#drop();
    const why = this.#hopeless === undefined ? "it was dropped meanwhile" : `not tried: ${this.#hopeless}`;
    for (const letter of left) this.#fates.push({ letter, text: why, ok: this.#hopeless === undefined });
    return this.#fates;
  }

  /** Resolves with why the letter stays, in a sentence; undefined if every event is stored. */
  async #publish(letter: DeadLetter): Promise<string | undefined> {
    const { toTopic, durability } = this.#options;
    const records = refusedRecords(letter);
    if (typeof records === "string") return `failed: ${records}`;
    let stored = 0;
    const failures: string[] = [];
    for (const events of messages(records, toTopic === undefined ? letter.partition : undefined)) {
      try {
        const response = await this.#client.publish({ topic: toTopic ?? letter.topic, durability, events });
        stored += response.stored;
        for (const { reason, message } of response.failures)
          failures.push(`${Reason[reason].toLowerCase()}: ${message}`);
      } catch (error) {
        if (!(error instanceof SluiceError)) throw error;
        if (HOPELESS.has(error.codeName)) this.#hopeless = "every letter would fail like the one before";
        const what = error.outcome === "unknown" ? "unknown, may be stored" : "failed";
        return withStored(`${what}: ${error.codeName}: ${error.message}`, stored, records.length);
      }
      if (failures.length > 0) return withStored(`failed: ${failures[0]}`, stored, records.length);
    }
    return undefined;
  }

  async #drop(): Promise<void> {
    const stored = this.#stored;
    if (stored.length === 0) return;
    this.#stored = [];
    let problem: string;
    try {
      const { dropped, missing, problems } = await this.#dropper.drop(stored);
      const gone = new Set([...dropped, ...missing]);
      for (const letter of stored.filter(({ id }) => gone.has(id)))
        this.#fates.push({ letter, text: "stored, and dropped here", ok: true });
      this.#stored = stored.filter(({ id }) => !gone.has(id));
      problem = problems.join("; ");
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      this.#stored = stored;
      problem = messageOf(error);
    }
    for (const letter of this.#stored)
      this.#fates.push({
        letter,
        text: `stored, but still here: ${problem}; drop it, a retry stores it twice`,
        ok: false,
      });
    if (this.#stored.length > 0) this.#hopeless = "letters cannot be dropped";
    this.#stored = [];
  }
}

/** The events in messages that a service takes; one that is larger goes alone. */
function* messages(records: Parameters<typeof eventOf>[0][], partition: number | undefined): Generator<EventInit[]> {
  let events: EventInit[] = [];
  let bytes = 0;
  for (const record of records) {
    const size = eventBytes(record);
    if (events.length > 0 && (bytes + size > MESSAGE_BYTES_MAX || events.length >= MESSAGE_EVENTS_MAX)) {
      yield events;
      events = [];
      bytes = 0;
    }
    events.push(eventOf(record, partition));
    bytes += size;
  }
  yield events;
}

function withStored(failure: string, stored: number, events: number): string {
  return stored === 0 ? failure : `${failure} (${stored} of ${events} events are stored; a retry stores them twice)`;
}

function report(fates: readonly Fate[]): string[] {
  const rows = fates.map(({ letter, text }) => [letter.id, placeOf(letter), String(letter.events), printable(text)]);
  const done = fates.filter(({ ok }) => ok);
  const left = fates.length - done.length;
  const events = done.reduce((sum, { letter }) => sum + letter.events, 0);
  return [
    ...table([["ID", "TOPIC/PARTITION", "EVENTS", "WHAT BECAME OF IT"], ...rows]),
    "",
    `${plural(done.length, "letter")} stored (${plural(events, "event")}), ${left} left`,
  ];
}
