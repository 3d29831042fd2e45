// `sluice tail`: the events of a topic as JSON lines, from Kafka if brokers are set, else from the spool.

import { once } from "node:events";
import { integer, oneOf, text } from "../config/kinds.ts";
import { loadConfig } from "../config.ts";
import { command, printMistakes } from "./command.ts";
import { maybe, required, toggle, withDefault } from "./flag.ts";
import { type CliIo, Exit, printLines } from "./io.ts";
import { eventLine, type TailEvent } from "./tail/event.ts";

export const tail = command({
  name: "tail",
  positionals: "",
  flags: {
    topic: required(text("TOPIC", "the name of a topic"), "The topic."),
    limit: maybe(integer(1, 1_000_000_000), "Stop after so many events."),
    follow: toggle("Wait for more events at the end.", "f"),
    from: withDefault(oneOf("beginning", "end"), "beginning", "Where to start; end is of use with --follow."),
    jsonValues: toggle("Embed values that are JSON, instead of printing them as strings."),
  },
  notes: [
    'Reads from Kafka if KAFKA_BROKERS is set, else from the spool in DATA_DIR, and prints one JSON object a line. Bytes that are not UTF-8 are printed as {"base64": ...}.',
    "The environment variables are those of `sluice serve`.",
  ],
  examples: [
    "sluice tail --topic flights --limit 3",
    "KAFKA_BROKERS=127.0.0.1:9092 sluice tail --topic clicks --follow --from end --json-values",
  ],
  run: async (values, _positionals, io) => {
    const loaded = loadConfig(io.env);
    if (!loaded.ok) {
      printMistakes(io, "tail", loaded.errors);
      return Exit.USAGE;
    }
    const { config } = loaded;
    const ended = new AbortController();
    const signal = AbortSignal.any([io.shutdown, ended.signal]);
    const fromKafka = config.kafkaBrokers.length > 0;
    const options = { topic: values.topic, from: values.from, follow: values.follow, signal };
    const events = fromKafka
      ? (await import("./tail/kafka-source.ts")).tailKafka(config, options)
      : (await import("./tail/spool-source.ts")).tailSpool(config.dataDir, options);
    // Whoever reads may be gone while we wait for the next event.
    const gone = () => {
      ended.abort();
    };
    io.stdout.once("error", gone).once("close", gone);
    try {
      const printed = await print(events, values.limit ?? Infinity, values.jsonValues, io, signal);
      // Whoever expected events most likely meant Kafka, or another directory.
      if (printed === 0 && !fromKafka && !signal.aborted)
        printLines(io.stderr, [
          `sluice tail: no event of topic ${values.topic} was read from the spool in ${config.dataDir} (DATA_DIR); set KAFKA_BROKERS to read from Kafka`,
        ]);
    } finally {
      io.stdout.off("error", gone).off("close", gone);
    }
    return Exit.OK;
  },
});

/** Resolves with how many events it printed. */
async function print(
  bunches: AsyncIterable<TailEvent[]>,
  limit: number,
  jsonValues: boolean,
  io: CliIo,
  signal: AbortSignal,
): Promise<number> {
  let printed = 0;
  for await (const bunch of bunches) {
    if (signal.aborted) break;
    const lines = bunch.slice(0, limit - printed).map((event) => `${eventLine(event, jsonValues)}\n`);
    printed += lines.length;
    if (!io.stdout.write(lines.join("")))
      // An abort here is the reader's leaving, which is what ends us.
      await once(io.stdout, "drain", { signal }).catch(() => {});
    if (printed === limit) break;
  }
  return printed;
}
