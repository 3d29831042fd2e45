// `sluice incidents fetch`: a bundle with all its files, to look at elsewhere or to send to somebody.

import { INCIDENTS_PATH } from "../../admin/paths.ts";
import { path } from "../../config/kinds.ts";
import { AdminPort } from "../admin-port.ts";
import { ADMIN_NOTE, adminFlags } from "../admin-target.ts";
import { command, printMistakes } from "../command.ts";
import { maybe } from "../flag.ts";
import { Exit, printLines } from "../io.ts";
import { refuseTerminal, STDOUT, writeOutput } from "../output-file.ts";
import { formatSize } from "../table.ts";
import { findIncident, idMistake } from "./find.ts";

export const fetchBundle = command({
  name: "incidents fetch",
  positionals: "ID",
  flags: {
    output: {
      ...maybe(path, "The file to write, - is standard output; without it, ID.tar.gz in this directory."),
      short: "o",
    },
    ...adminFlags,
  },
  notes: [
    "The bundle holds no payloads, keys or secrets, but names of topics, callers' addresses and the code's functions.",
    ADMIN_NOTE,
  ],
  examples: ["sluice incidents fetch latest", "sluice incidents fetch latest -o - | tar tz"],
  run: async (values, ids, io) => {
    const mistake = idMistake(ids);
    if (mistake !== undefined) {
      printMistakes(io, "incidents fetch", [mistake]);
      return Exit.USAGE;
    }
    const port = AdminPort.of("incidents fetch", values, io);
    if (port === undefined) return Exit.USAGE;
    if (values.output !== undefined) refuseTerminal(values.output, "an archive", io);
    const { id, state } = await findIncident(port, ids[0]!);
    const file = values.output ?? `${id}.tar.gz`;
    const bytes = await writeOutput(file, await port.open(`${INCIDENTS_PATH}/${id}.tar.gz`), io);
    if (file !== STDOUT) printLines(io.stderr, [`${file}: ${formatSize(bytes)}; tar xzf ${file}`]);
    if (state === "recording") printLines(io.stderr, ["it is still being recorded: fetch it again in half a minute"]);
    return Exit.OK;
  },
});
