// `sluice dead-letters show`: everything about a letter, and its events as `sluice tail` prints them.

import { writeFileSync } from "node:fs";
import { path } from "../../config/kinds.ts";
import { reasonLabel } from "../../errors.ts";
import type { DeadLetter } from "../../spool/letter.ts";
import { command, printMistakes } from "../command.ts";
import { maybe, toggle } from "../flag.ts";
import { CliError, Exit, messageOf, printLines } from "../io.ts";
import { formatSize, printable, table } from "../table.ts";
import { eventLine } from "../tail/event.ts";
import { refusedRecords } from "./events.ts";
import {
  findLetters,
  type FoundLetter,
  placeOf,
  readConfig,
  selectionMistakes,
  selectLetters,
  withBatches,
} from "./letters.ts";
import { letterFacts } from "./list.ts";

export const show = command({
  name: "dead-letters show",
  positionals: "ID",
  flags: {
    json: toggle("Print JSON lines alone: the letter, then each of its events."),
    jsonValues: toggle("Embed values that are JSON, instead of printing them as strings."),
    raw: maybe(
      path,
      "Write the untouched record batch, as it was persisted, to this file and print no events; - is standard output.",
    ),
  },
  notes: [
    "The record batch is Kafka's RecordBatch v2 with all its events; the letter is about some or all of them.",
    "The environment variables are those of `sluice serve`.",
  ],
  examples: ["sluice dead-letters show 0-17", "sluice dead-letters show 0-17 --raw batch.bin"],
  run: async (values, ids, io) => {
    const mistakes =
      ids.length === 1
        ? selectionMistakes(ids, { all: false, topic: undefined, reason: undefined })
        : ["give the id of one letter"];
    if (mistakes.length > 0) {
      printMistakes(io, "dead-letters show", mistakes);
      return Exit.USAGE;
    }
    const config = readConfig("show", io);
    if (config === undefined) return Exit.USAGE;
    const letters = await findLetters(config.dataDir);
    const selected = selectLetters(letters, ids, { all: false, topic: undefined, reason: undefined });
    for await (const { found, letter } of withBatches(selected)) {
      if (values.raw === "-") {
        io.stdout.write(letter.bytes);
        return Exit.OK;
      }
      printLines(io.stdout, values.json ? [JSON.stringify(letterFacts(found))] : facts(found));
      if (values.raw !== undefined) {
        writeRaw(values.raw, letter.bytes);
        return Exit.OK;
      }
      if (!values.json) printLines(io.stdout, [""]);
      printLines(io.stdout, eventLines(letter, values.jsonValues));
      return Exit.OK;
    }
    throw new CliError(`dead letter ${ids[0]} was dropped meanwhile`);
  },
});

function writeRaw(file: string, bytes: Buffer): void {
  try {
    writeFileSync(file, bytes);
  } catch (cause) {
    throw new CliError(`the record batch cannot be written: ${messageOf(cause)}`, { cause });
  }
}

function facts(letter: FoundLetter): string[] {
  const { ranges, events, count, size } = letter;
  const records = ranges.map((range) =>
    range.count === 1 ? `${range.first}` : `${range.first}-${range.first + range.count - 1}`,
  );
  const which = events === count ? `all its ${count} events` : `events ${records.join(", ")} (from 0) of its ${count}`;
  return table([
    ["id", letter.id],
    ["topic/partition", placeOf(letter)],
    ["refused at", new Date(letter.atMs).toISOString()],
    ["persisted at", new Date(letter.persistedAtMs).toISOString()],
    ["reason", reasonLabel(letter.reason)],
    ["message", printable(letter.message)],
    ["events", String(events)],
    ["origin", `batch ${letter.batch} of spool ${letter.spoolId.toString("hex")}`],
    ["record batch", `${formatSize(size)}, ${which}`],
    ["log", letter.dir],
  ]);
}

function eventLines(letter: DeadLetter, jsonValues: boolean): string[] {
  const { topic, partition } = letter;
  const place = { topic, partition: partition < 0 ? undefined : partition, offset: undefined };
  const records = refusedRecords(letter);
  if (typeof records === "string")
    throw new CliError(`${records}; --raw FILE writes what there is, for whoever can mend it`);
  return records.map((record) => eventLine({ ...record, ...place }, jsonValues));
}
