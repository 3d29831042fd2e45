// `sluice dead-letters drop`: letters and their events, gone for good.
//
// It asks for the number of events, because "y" is typed before it is read. Without a terminal nobody can be asked, and --yes
// has to say that somebody thought about it.

import { ADMIN_NOTE, adminFlags, adminMistakes } from "../admin-target.ts";
import { command, printMistakes } from "../command.ts";
import { confirm } from "../confirm.ts";
import { toggle } from "../flag.ts";
import { CliError, type CliIo, Exit, printLines } from "../io.ts";
import { plural, printable, table } from "../table.ts";
import { Dropper } from "./dropper.ts";
import {
  findLetters,
  type FoundLetter,
  readConfig,
  selectionFlags,
  selectionMistakes,
  selectLetters,
  totalEvents,
} from "./letters.ts";

export const drop = command({
  name: "dead-letters drop",
  positionals: "ID...",
  flags: {
    ...selectionFlags,
    yes: toggle("Do not ask."),
    ...adminFlags,
  },
  notes: [
    "Dropped events are lost, so it asks first; without a terminal it wants --yes. If a service runs, it drops them and logs who asked; else this command does, and writes the same line to standard error.",
    ADMIN_NOTE,
    "The exit code is 1 if a letter was not dropped.",
  ],
  examples: ["sluice dead-letters drop 0-17 0-18", "sluice dead-letters drop --all --topic clicks --yes"],
  run: async (values, ids, io) => {
    const mistakes = [...selectionMistakes(ids, values), ...adminMistakes(values)];
    if (io.stdin.isTTY !== true && !values.yes)
      mistakes.push("--yes: missing; there is no terminal to ask on, and dropped events are lost");
    if (mistakes.length > 0) {
      printMistakes(io, "dead-letters drop", mistakes);
      return Exit.USAGE;
    }
    const config = readConfig("drop", io);
    if (config === undefined) return Exit.USAGE;
    const letters = selectLetters(await findLetters(config.dataDir), ids, values);
    if (letters.length === 0) {
      printLines(io.stdout, ["no dead letters"]);
      return Exit.OK;
    }
    if (!values.yes && !(await agrees(letters, io))) throw new CliError("nothing was dropped");
    const outcome = await new Dropper(config, values, "dropped").drop(letters);
    const { dropped, missing, events, problems } = outcome;
    printLines(io.stdout, [`dropped ${plural(dropped.length, "letter")}, ${plural(events, "event")}`]);
    if (missing.length > 0) printLines(io.stderr, [`${plural(missing.length, "letter")} had been dropped already`]);
    if (problems.length > 0) throw new CliError(`not everything was dropped: ${problems.join("; ")}`);
    return Exit.OK;
  },
});

async function agrees(letters: readonly FoundLetter[], io: CliIo): Promise<boolean> {
  const events = totalEvents(letters);
  const byTopic = [...Map.groupBy(letters, ({ topic }) => topic)];
  printLines(io.stderr, [
    `This drops ${plural(letters.length, "letter")} with ${plural(events, "event")} for good:`,
    ...table(
      byTopic.map(([topic, those]) => [printable(topic), plural(totalEvents(those), "event")]),
      "  ",
    ),
  ]);
  return confirm(io, `Type ${events}, the number of events, to drop them: `, String(events));
}
