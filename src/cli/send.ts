// `sluice send`: the records of files or of standard input, as events, to a service.

import { bytes, integer, oneOf, text } from "../config/kinds.ts";
import { loadConfig } from "../config.ts";
import { Durability } from "../client/index.ts";
import { command, printMistakes } from "./command.ts";
import { maybe, required, toggle, withDefault } from "./flag.ts";
import { CliError, type CliIo, Exit, messageOf, printLines } from "./io.ts";
import { type EventFields, eventOf } from "./send/event.ts";
import { openSources, readRecords, type Source } from "./send/input.ts";
import { type Progress, startProgress } from "./send/progress.ts";
import { Sender } from "./send/sender.ts";
import { connectService, serviceFlags, serviceMistakes } from "./service-client.ts";
import { reportLines, Tally } from "./send/tally.ts";
import { TIMESTAMP_FORMATS } from "./send/timestamp.ts";

/** Lines about records that could not be read; the rest is counted. */
const PROBLEMS_PRINTED_MAX = 20;

const DURABILITIES = { replicated: Durability.REPLICATED, persisted: Durability.PERSISTED };

export const send = command({
  name: "send",
  positionals: "[FILE...]",
  flags: {
    topic: required(text("TOPIC", "the name of a topic"), "The topic of every event."),
    key: maybe(text("FIELD", "the name of a field"), "The field that is the key; a.b is the field b of the object a."),
    timestamp: maybe(text("FIELD", "the name of a field"), `The field that is the timestamp: ${TIMESTAMP_FORMATS}.`),
    format: withDefault(
      oneOf("auto", "ndjson", "json", "csv"),
      "auto",
      "What the input is; auto looks at its first bytes.",
    ),
    batch: withDefault(integer(1, 65_536), "500", "The most events in a batch."),
    rate: maybe(integer(1, 100_000_000), "Events a second; without it, as fast as the service takes them."),
    durability: maybe(
      oneOf("replicated", "persisted"),
      "What an acknowledgement has to mean: the event is in Kafka, or on the service's disk; without it, the service's default.",
    ),
    ...serviceFlags,
    streams: withDefault(integer(1, 64), "1", "Streams to send over; events with the same key stay on one."),
    messageBytesMax: withDefault(
      bytes(1024, 1024 ** 3),
      "4MiB",
      "The largest message the service takes, its GRPC_MESSAGE_BYTES_MAX; a larger record fails.",
    ),
    json: toggle("Print the report as one JSON object."),
  },
  notes: [
    "Reads NDJSON, one JSON array, or CSV with a header, each also gzipped; - or no FILE is standard input. The event's value is the record: the bytes of a line or of an array's element as they are, or a CSV row as a JSON object.",
    "Without --address, the environment variables are those of `sluice serve`: GRPC_LISTEN, and GRPC_TLS_CERT_FILE, with which TLS is spoken and that certificate trusted.",
    "A record that cannot be read is told with its line; the others are sent. The exit code is 1 if any event is not stored.",
  ],
  examples: [
    "sluice send --topic clicks --key user events.ndjson",
    "sluice send --topic clicks --address events.example.com:50051 --tls events.ndjson",
    "sluice send --topic orders --timestamp created_at --rate 1000 orders.csv.gz",
    "tail -F access.ndjson | sluice send --topic access",
  ],
  run: async (values, paths, io) => {
    const mistakes = serviceMistakes(values);
    const loaded = loadConfig(values.address === undefined ? io.env : {});
    if (!loaded.ok) mistakes.push(...loaded.errors);
    if (!loaded.ok || mistakes.length > 0) {
      printMistakes(io, "send", mistakes);
      return Exit.USAGE;
    }
    const sources = openSources(paths, io.stdin);
    await using client = await connectService(values, loaded.config);
    const tally = new Tally(values.topic);
    const sender = new Sender(
      client,
      {
        topic: values.topic,
        durability:
          values.durability === undefined ? Durability.DURABILITY_UNSPECIFIED : DURABILITIES[values.durability],
        batchEventsMax: values.batch,
        streams: values.streams,
        messageBytesMax: values.messageBytesMax,
        rate: values.rate,
      },
      tally,
    );
    const fields: EventFields = {
      ...(values.key === undefined ? {} : { key: values.key }),
      ...(values.timestamp === undefined ? {} : { timestamp: values.timestamp }),
    };
    const progress = startProgress(io.stderr, totalBytes(sources));
    try {
      await pump(
        sources,
        { format: values.format === "auto" ? undefined : values.format, fields },
        sender,
        tally,
        progress,
        io,
      );
      await sender.end();
    } finally {
      progress.stop();
    }
    if (tally.unreadable > PROBLEMS_PRINTED_MAX)
      printLines(io.stderr, [`... and ${tally.unreadable - PROBLEMS_PRINTED_MAX} more records that could not be read`]);
    const report = tally.report();
    printLines(io.stdout, values.json ? [JSON.stringify(report)] : reportLines(report));
    if (sender.hopeless !== undefined)
      throw new CliError(`stopped, because every batch would fail like this one: ${messageOf(sender.hopeless)}`);
    if (io.shutdown.aborted) throw new CliError("stopped before the end of the input");
    return tally.failed + tally.unreadable === 0 ? Exit.OK : Exit.FAILED;
  },
});

/** Undefined if one of them is a pipe. */
function totalBytes(sources: readonly Source[]): number | undefined {
  return sources.reduce<number | undefined>(
    (sum, { bytes }) => (sum === undefined || bytes === undefined ? undefined : sum + bytes),
    0,
  );
}

/** Sends every record of every source, until the user or the service ends it. */
async function pump(
  sources: readonly Source[],
  input: { readonly format: "ndjson" | "json" | "csv" | undefined; readonly fields: EventFields },
  sender: Sender,
  tally: Tally,
  progress: Progress,
  io: CliIo,
): Promise<void> {
  let bytesRead = 0;
  for (const source of sources) {
    const bad = (line: number, problem: string) => {
      tally.recordUnreadable();
      if (tally.unreadable <= PROBLEMS_PRINTED_MAX)
        progress.print([`${source.name}${line === 0 ? "" : `:${line}`}: ${problem}`]);
    };
    const onBytes = (read: number) => {
      bytesRead += read;
    };
    const bunches = readRecords(source, input.format, onBytes, io.shutdown);
    for await (const bunch of bunches) {
      for (const record of bunch) {
        if ("problem" in record) {
          bad(record.line, record.problem);
          continue;
        }
        const event = eventOf(record, input.fields);
        if (typeof event === "string") bad(record.line, event);
        else await sender.add(event, record.value.length);
        if (sender.hopeless !== undefined || io.shutdown.aborted) return;
      }
      progress.update(bytesRead, tally.sent, tally.rate);
    }
  }
}
