// `sluice incidents record`: keeps the scene now, because somebody sees what no trigger does.

import { INCIDENTS_PATH } from "../../admin/paths.ts";
import { text } from "../../config/kinds.ts";
import type { Incident } from "../../incidents/incident.ts";
import { AdminPort } from "../admin-port.ts";
import { ADMIN_NOTE, adminFlags } from "../admin-target.ts";
import { command } from "../command.ts";
import { maybe } from "../flag.ts";
import { Exit, printLines } from "../io.ts";

export const record = command({
  name: "incidents record",
  positionals: "",
  flags: { why: maybe(text("TEXT", "a sentence"), "Why; it is kept with the incident."), ...adminFlags },
  notes: ["Prints the id of the incident. It is complete half a minute later.", ADMIN_NOTE],
  examples: ['sluice incidents record --why "clients say it is slow"'],
  run: async (values, _positionals, io) => {
    const port = AdminPort.of("incidents record", values, io);
    if (port === undefined) return Exit.USAGE;
    const query = values.why === undefined ? "" : `?${new URLSearchParams({ why: values.why }).toString()}`;
    const { id } = await port.post<Incident>(`${INCIDENTS_PATH}${query}`);
    printLines(io.stdout, [id]);
    return Exit.OK;
  },
});
