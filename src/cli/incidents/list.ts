// `sluice incidents list`: one line an incident, the newest first.

import { integer } from "../../config/kinds.ts";
import type { Incident } from "../../incidents/incident.ts";
import { AdminPort } from "../admin-port.ts";
import { ADMIN_NOTE, adminFlags } from "../admin-target.ts";
import { command } from "../command.ts";
import { toggle, withDefault } from "../flag.ts";
import { Exit, printLines } from "../io.ts";
import { formatSize, plural, table } from "../table.ts";
import { readIncidents } from "./find.ts";

export const list = command({
  name: "incidents list",
  positionals: "",
  flags: {
    limit: withDefault(integer(1, 1_000_000), "20", "The most that are listed."),
    json: toggle("Print one JSON object an incident."),
    ...adminFlags,
  },
  notes: [ADMIN_NOTE],
  examples: ["sluice incidents list", "sluice incidents list --json | jq -r .why"],
  run: async (values, _positionals, io) => {
    const port = AdminPort.of("incidents list", values, io);
    if (port === undefined) return Exit.USAGE;
    const all = await readIncidents(port);
    const listed = all.slice(0, values.limit);
    if (values.json)
      printLines(
        io.stdout,
        listed.map((incident) => JSON.stringify(incident)),
      );
    else if (all.length === 0) printLines(io.stdout, ["no incidents"]);
    else printLines(io.stdout, report(listed, all.length - listed.length));
    return Exit.OK;
  },
});

function report(listed: readonly Incident[], rest: number): string[] {
  const rows = listed.map((incident) => {
    const { id, atMs, kind, worker, why, state, files } = incident;
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const size = state === "recording" ? "recording" : formatSize(bytes);
    return [id, new Date(atMs).toISOString().slice(0, 19).replace("T", " "), kind, worker, size, why];
  });
  return [
    ...table([["ID", "WHEN (UTC)", "KIND", "PROCESS", "SIZE", "WHY"], ...rows]),
    ...(rest > 0 ? [`... and ${plural(rest, "more incident")}; --limit shows more`] : []),
  ];
}
