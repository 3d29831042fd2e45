// `sluice incidents show`: an incident in a terminal: why, where the CPU went, the stack of what was stuck, the last log lines.

import { INCIDENTS_PATH } from "../../admin/paths.ts";
import type { Incident } from "../../incidents/incident.ts";
import { AdminPort } from "../admin-port.ts";
import { ADMIN_NOTE, adminFlags } from "../admin-target.ts";
import { command, printMistakes } from "../command.ts";
import { toggle } from "../flag.ts";
import { Exit, printLines } from "../io.ts";
import { formatSize, table } from "../table.ts";
import { findIncident, idMistake } from "./find.ts";

const LOG_LINES = 10;
const FUNCTIONS = 15;
const STACK_LINES = 30;

export const show = command({
  name: "incidents show",
  positionals: "ID",
  flags: { json: toggle("Print incident.json, and nothing else."), ...adminFlags },
  notes: [ADMIN_NOTE],
  examples: ["sluice incidents show latest", "sluice incidents show 20260301T1011"],
  run: async (values, ids, io) => {
    const mistake = idMistake(ids);
    if (mistake !== undefined) {
      printMistakes(io, "incidents show", [mistake]);
      return Exit.USAGE;
    }
    const port = AdminPort.of("incidents show", values, io);
    if (port === undefined) return Exit.USAGE;
    const incident = await findIncident(port, ids[0]!);
    printLines(io.stdout, values.json ? [JSON.stringify(incident)] : facts(incident));
    if (!values.json) for (const part of parts(incident)) printLines(io.stdout, await part(port));
    return Exit.OK;
  },
});

/** Control characters of a log line or a reason would be the terminal's to obey. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (char) =>
    char === "\t" ? " " : `\\x${char.codePointAt(0)!.toString(16).padStart(2, "0")}`,
  );
}

function facts({ id, kind, worker, atMs, why, state, problems, notes, files }: Incident): string[] {
  return [
    ...table([
      ["id", id],
      ["when", new Date(atMs).toISOString()],
      ["kind", kind],
      ["process", worker],
      ["why", printable(why)],
      ["state", state === "recording" ? "recording: more files come" : state],
      ...notes.map((note) => [
        "also",
        printable(`${new Date(note.atMs).toISOString()} ${note.kind} ${note.worker}: ${note.why}`),
      ]),
      ...problems.map((problem) => ["missing", printable(problem)]),
    ]),
    "",
    ...table(
      files.map(({ name, bytes }) => [name, formatSize(bytes)]),
      "  ",
      1,
    ),
  ];
}

type Part = (port: AdminPort) => Promise<string[]>;

/** What is worth a look at once, of what the bundle has. */
function parts(incident: Incident): Part[] {
  const { id, worker, files, profile = "profile-before.pb.gz" } = incident;
  const has = (name: string) => files.some((file) => file.name === name);
  const text = async (port: AdminPort, name: string, query = "") =>
    (await port.get(`${INCIDENTS_PATH}/${id}/files/${name}${query}`)).toString().trimEnd().split("\n").map(printable);
  const found: Part[] = [];
  if (has("stack.txt"))
    found.push(async (port) => ["", "JavaScript stack:", ...(await text(port, "stack.txt")).slice(0, STACK_LINES)]);
  for (const name of new Set([profile, "profile-after.pb.gz"])) {
    if (!has(name)) continue;
    const query = worker === "all" || !name.startsWith("profile-") ? "?format=text" : `?format=text&worker=${worker}`;
    found.push(async (port) => [
      "",
      `${name}${worker === "all" ? "" : `, process ${worker}`}:`,
      ...heaviest(await text(port, name, query)),
    ]);
  }
  if (has("log.ndjson"))
    found.push(async (port) => ["", "Last log lines:", ...(await text(port, "log.ndjson")).slice(-LOG_LINES)]);
  return found;
}

/** The table of functions, of the text of a profile, which goes on with stacks. */
function heaviest(lines: readonly string[]): string[] {
  const head = lines.findIndex((line) => line.trimStart().startsWith("flat "));
  if (head === -1) return lines.slice(0, 1);
  const end = lines.indexOf("", head);
  return [lines[0]!, ...lines.slice(head, end === -1 ? undefined : end).slice(0, FUNCTIONS + 1)];
}
