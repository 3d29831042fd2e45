// `sluice dead-letters list`: one line a letter, the oldest first.

import { integer } from "../../config/kinds.ts";
import { reasonLabel } from "../../errors.ts";
import { command } from "../command.ts";
import { toggle, withDefault } from "../flag.ts";
import { Exit, printLines } from "../io.ts";
import { formatCount, formatSize, plural, printable, table } from "../table.ts";
import {
  filterFlags,
  filterLetters,
  findLetters,
  type FoundLetter,
  placeOf,
  readConfig,
  totalEvents,
} from "./letters.ts";

const MESSAGE_LENGTH_MAX = 100;

export const list = command({
  name: "dead-letters list",
  positionals: "",
  flags: {
    ...filterFlags,
    limit: withDefault(integer(1, 1_000_000_000), "100", "The most letters that are listed; the totals count all."),
    json: toggle("Print one JSON object a letter, without totals."),
  },
  notes: [
    "Reads the dead-letter logs in DATA_DIR, beside a running service or without one. The environment variables are those of `sluice serve`.",
  ],
  examples: ["sluice dead-letters list", "sluice dead-letters list --topic clicks --json"],
  run: async (values, _positionals, io) => {
    const config = readConfig("list", io);
    if (config === undefined) return Exit.USAGE;
    const letters = filterLetters(await findLetters(config.dataDir), values);
    const listed = letters.slice(0, values.limit);
    if (values.json)
      printLines(
        io.stdout,
        listed.map((letter) => JSON.stringify(letterFacts(letter))),
      );
    else printLines(io.stdout, letters.length === 0 ? ["no dead letters"] : report(letters, listed));
    return Exit.OK;
  },
});

/** A letter as JSON shows it; its record batch is left out. */
export function letterFacts(letter: FoundLetter): Readonly<Record<string, unknown>> {
  return {
    id: letter.id,
    refusedAt: new Date(letter.atMs).toISOString(),
    persistedAt: new Date(letter.persistedAtMs).toISOString(),
    topic: letter.topic,
    partition: letter.partition < 0 ? null : letter.partition,
    events: letter.events,
    reason: reasonLabel(letter.reason),
    message: letter.message,
    spool: letter.spoolId.toString("hex"),
    batch: letter.batch,
    ranges: letter.ranges,
    batchEvents: letter.count,
    batchBytes: letter.size,
  };
}

function report(letters: readonly FoundLetter[], listed: readonly FoundLetter[]): string[] {
  const rows = listed.map((letter) => [
    letter.id,
    new Date(letter.atMs).toISOString().slice(0, 19).replace("T", " "),
    placeOf(letter),
    formatCount(letter.events),
    reasonLabel(letter.reason),
    shortened(printable(letter.message)),
  ]);
  const byTopic = Map.groupBy(letters, ({ topic }) => topic);
  const bytes = letters.reduce((sum, { size }) => sum + size, 0);
  const rest = letters.length - listed.length;
  return [
    ...table([["ID", "REFUSED AT (UTC)", "TOPIC/PARTITION", "EVENTS", "REASON", "MESSAGE"], ...rows]),
    ...(rest > 0 ? [`... and ${plural(rest, "more letter")}; --limit shows more`] : []),
    "",
    `${plural(letters.length, "letter")}, ${plural(totalEvents(letters), "event")}, ${formatSize(bytes)}`,
    ...(byTopic.size > 1
      ? table(
          [...byTopic].map(([topic, those]) => [printable(topic), plural(totalEvents(those), "event")]),
          "  ",
        )
      : []),
  ];
}

function shortened(message: string): string {
  return message.length <= MESSAGE_LENGTH_MAX ? message : `${message.slice(0, MESSAGE_LENGTH_MAX - 1)}…`;
}
