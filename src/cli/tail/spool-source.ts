// The events that a service persisted in its spool.

import { statSync } from "node:fs";
import { UNASSIGNED_PARTITION } from "../../ingest/producer.ts";
import { readSpool } from "../../spool/reader.ts";
import { decodeRecords } from "../../wire/record-batch.ts";
import { CliError } from "../io.ts";
import type { TailEvent } from "./event.ts";
import type { TailOptions } from "./kafka-source.ts";

/** In bunches, a record batch each. Throws a CliError if there is no such directory. */
export async function* tailSpool(dataDir: string, options: TailOptions): AsyncGenerator<TailEvent[]> {
  const { topic, from, follow, signal } = options;
  if (statSync(dataDir, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new CliError(
      `DATA_DIR: there is no directory ${dataDir}; give the one of the service, or KAFKA_BROKERS to read from Kafka`,
    );
  const fromLast = from === "end";
  const sinceMs = fromLast ? Date.now() : -Infinity;
  for await (const { partition, persistedAtMs, bytes } of readSpool({ dataDir, topic, follow, fromLast, signal })) {
    if (persistedAtMs < sinceMs) continue;
    yield Array.from(decodeRecords(bytes), (record) => ({
      ...record,
      topic,
      partition: partition === UNASSIGNED_PARTITION ? undefined : partition,
      offset: undefined,
    }));
  }
}
