// `sluice profile`: where the CPU went or what the heap holds, from the profiles that a running service takes all the time.
//
// Without anything given it is the last minute as a table, at once: nothing is started, so there is nothing to wait for.

import { integer, oneOf, path, text } from "../config/kinds.ts";
import { AdminPort } from "./admin-port.ts";
import { ADMIN_NOTE, adminFlags } from "./admin-target.ts";
import { command, printMistakes } from "./command.ts";
import { many, maybe, toggle } from "./flag.ts";
import { Exit, printLines } from "./io.ts";
import { refuseTerminal, STDOUT, writeOutput } from "./output-file.ts";
import { formatSize } from "./table.ts";

const FORMATS = ["text", "pprof", "folded", "speedscope"] as const;
type Format = (typeof FORMATS)[number];
const PAST_DEFAULT = 60;

/** By how a file's name ends. */
const FORMAT_BY_ENDING: readonly (readonly [ending: string, format: Format])[] = [
  [".json", "speedscope"],
  [".folded", "folded"],
  [".txt", "text"],
];

function formatFor(file: string | undefined): Format {
  if (file === undefined || file === STDOUT) return "text";
  return FORMAT_BY_ENDING.find(([ending]) => file.endsWith(ending))?.[1] ?? "pprof";
}

export const profile = command({
  name: "profile",
  positionals: "",
  flags: {
    past: maybe(integer(1, 86_400), `The CPU of the last so many seconds; ${PAST_DEFAULT} if nothing is said.`),
    seconds: maybe(integer(1, 300), "The CPU of the next so many seconds; waits for them."),
    heap: toggle("What is alive in the heap, instead of the CPU."),
    worker: maybe(
      text("WORKER", "the number of a worker, or supervisor"),
      "One process alone: a number, or supervisor.",
    ),
    label: many(
      text("NAME:VALUE", "a label, for example topic:clicks"),
      "Only samples with this label: topic:clicks, method:PublishStream; may be given again.",
    ),
    format: maybe(
      { ...oneOf(...FORMATS), placeholder: "FORMAT" },
      `${FORMATS.join(", ")}; without it what the file's name says (.json, .folded, .txt), else pprof, and text where there is no file.`,
    ),
    output: {
      ...maybe(path, "The file to write; - is standard output, which is where text goes without it."),
      short: "o",
    },
    ...adminFlags,
  },
  notes: [
    "Prints where the CPU went, or writes it for `go tool pprof`, speedscope and flamegraph.pl. The service samples itself all the time; asking costs it nothing more.",
    ADMIN_NOTE,
  ],
  examples: [
    "sluice profile",
    "sluice profile --past 300 --worker 0 -o bad-minute.pb.gz",
    "sluice profile --label topic:clicks --format folded | flamegraph.pl > clicks.svg",
    "sluice profile --heap -o heap.pb.gz",
  ],
  run: async (values, _positionals, io) => {
    const mistakes: string[] = [];
    if (values.past !== undefined && values.seconds !== undefined)
      mistakes.push("--past and --seconds: one is what was, the other what comes; give one");
    if (values.heap && values.past !== undefined) mistakes.push("--past: --heap is what is alive now; give one");
    for (const label of values.label)
      if (!/^[^:]+:/.test(label)) mistakes.push(`--label: ${JSON.stringify(label)} is not right; give NAME:VALUE`);
    if (mistakes.length > 0) {
      printMistakes(io, "profile", mistakes);
      return Exit.USAGE;
    }
    const port = AdminPort.of("profile", values, io);
    if (port === undefined) return Exit.USAGE;
    const format = values.format ?? formatFor(values.output);
    const file = values.output ?? STDOUT;
    if (format === "pprof") refuseTerminal(file, "pprof's format", io);

    const query = new URLSearchParams();
    if (values.seconds !== undefined) query.set("seconds", String(values.seconds));
    else if (!values.heap) query.set("past", String(values.past ?? PAST_DEFAULT));
    if (values.worker !== undefined) query.set("worker", values.worker);
    for (const label of values.label) query.append("label", label);
    if (format === "text") query.set("debug", "1");
    else if (format !== "pprof") query.set("format", format);
    const what = values.heap ? "heap" : "profile";
    const parameters = query.toString();
    const taken = await port.get(
      `/debug/pprof/${what}${parameters === "" ? "" : `?${parameters}`}`,
      (values.seconds ?? 0) * 1000,
    );
    await writeOutput(file, taken, io);
    if (file !== STDOUT)
      printLines(io.stderr, [
        `${file}: ${formatSize(taken.length)}${format === "pprof" ? `; go tool pprof -http=: ${file}` : ""}`,
      ]);
    return Exit.OK;
  },
});
