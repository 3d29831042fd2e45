// The events of a topic in Kafka, from all its partitions.
//
// Rejected: a consumer group. Joining one takes seconds, leaves a group behind that nobody wants, and may need a right that
// a reader has not got. Fetching from each leader needs neither; @platformatic/kafka's consumer offers it without a group.

import { setTimeout as pause } from "node:timers/promises";
import { Consumer } from "@platformatic/kafka";
import type { Config } from "../../config.ts";
import { CliError } from "../io.ts";
import { isUnknownTopic, kafkaOptions, kafkaReason } from "../kafka.ts";
import type { TailEvent } from "./event.ts";

export interface TailOptions {
  readonly topic: string;
  readonly from: "beginning" | "end";
  /** Wait for more at the end. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
  /** Asked before each fetch: true to pass over what has come meanwhile, and go on at the end. */
  readonly skip?: () => boolean;
}

type FetchResponse = Awaited<ReturnType<Consumer["fetch"]>>;
type RecordsBatch = NonNullable<FetchResponse["responses"][number]["partitions"][number]["records"]>[number];

interface Cursor {
  readonly partition: number;
  position: bigint;
  /** Where it stops; undefined: nowhere. */
  readonly end: bigint | undefined;
}

const EARLIEST = -2n;
const LATEST = -1n;
const UNKNOWN_EPOCH = -1;
const IS_CONTROL = 0x20;
const LOG_APPEND_TIME = 0x08;
const PARTITION_BYTES_MAX = 1024 * 1024;
const FETCH_BYTES_MAX = 16 * 1024 * 1024;
const FETCH_WAIT_MS = 500;
/** Leaders move; a few attempts with fresh metadata find them again. */
const ATTEMPTS_MAX = 5;

/** In bunches, each from one partition in order. Throws a CliError. */
export async function* tailKafka(config: Config, options: TailOptions): AsyncGenerator<TailEvent[]> {
  const { topic, signal } = options;
  // The group is never joined; the library wants a name for it.
  const consumer = new Consumer({
    ...kafkaOptions(config),
    groupId: `${config.kafkaClientId}-tail`,
    autocommit: false,
  });
  consumer.topics.track(topic);
  try {
    let cursors = await startingPoints(consumer, options);
    for (let failures = 0; !signal.aborted;) {
      if (options.skip?.() === true) cursors = await startingPoints(consumer, { ...options, from: "end" });
      const open = cursors.filter(({ position, end }) => end === undefined || position < end);
      if (open.length === 0) return;
      const { bunches, error } = await fetchOnce(consumer, topic, open);
      yield* bunches;
      if (error === undefined) {
        failures = 0;
        continue;
      }
      failures += 1;
      if (failures >= ATTEMPTS_MAX || isUnknownTopic(error)) throw error;
      consumer.clearMetadata();
      await pause(250 * failures);
    }
  } catch (error) {
    if (isUnknownTopic(error))
      throw new CliError(`topic ${JSON.stringify(topic)} does not exist in Kafka; create it, or name another one`, {
        cause: error,
      });
    throw new CliError(`cannot read topic ${JSON.stringify(topic)} from Kafka: ${kafkaReason(error)}`, {
      cause: error,
    });
  } finally {
    await consumer.close(true).catch(() => {});
  }
}

async function startingPoints(consumer: Consumer, { topic, from, follow }: TailOptions): Promise<Cursor[]> {
  const offsets = async (timestamp: bigint) =>
    (await consumer.listOffsets({ topics: [topic], timestamp })).get(topic) ?? [];
  const ends = await offsets(LATEST);
  const starts = from === "beginning" ? await offsets(EARLIEST) : ends;
  return starts.map((position, partition) => ({ partition, position, end: follow ? undefined : ends[partition]! }));
}

interface Fetched {
  readonly bunches: TailEvent[][];
  /** Why one of the leaders gave nothing; what the others gave counts all the same. */
  readonly error: unknown;
}

/** Asks every leader once, for all its partitions, and moves their cursors on. */
async function fetchOnce(consumer: Consumer, topic: string, cursors: readonly Cursor[]): Promise<Fetched> {
  try {
    const { topics } = await consumer.metadata({ topics: [topic] });
    const { id, partitions } = topics.get(topic)!;
    const byLeader = Map.groupBy(cursors, ({ partition }) => partitions[partition]?.leader ?? -1);
    const results = await Promise.allSettled([...byLeader].map(([node, led]) => fetchFrom(consumer, node, id, led)));
    return {
      bunches: results
        .flatMap((result) => (result.status === "fulfilled" ? result.value : []))
        .map(({ cursor, batches }) => batches.flatMap((batch) => eventsOf(topic, cursor, batch)))
        .filter((bunch) => bunch.length > 0),
      error: results.find((result) => result.status === "rejected")?.reason as unknown,
    };
  } catch (error) {
    return { bunches: [], error };
  }
}

async function fetchFrom(
  consumer: Consumer,
  node: number,
  topicId: string,
  cursors: readonly Cursor[],
): Promise<{ readonly cursor: Cursor; readonly batches: readonly RecordsBatch[] }[]> {
  const { responses } = await consumer.fetch({
    node,
    minBytes: 1,
    maxBytes: FETCH_BYTES_MAX,
    maxWaitTime: FETCH_WAIT_MS,
    topics: [
      {
        topicId,
        partitions: cursors.map(({ partition, position }) => ({
          partition,
          fetchOffset: position,
          currentLeaderEpoch: UNKNOWN_EPOCH,
          lastFetchedEpoch: UNKNOWN_EPOCH,
          partitionMaxBytes: PARTITION_BYTES_MAX,
        })),
      },
    ],
  });
  return responses.flatMap(({ partitions }) =>
    partitions.flatMap(({ partitionIndex, records }) => {
      const cursor = cursors.find(({ partition }) => partition === partitionIndex);
      return cursor === undefined ? [] : [{ cursor, batches: records ?? [] }];
    }),
  );
}

/** The events of a record batch that the cursor has not passed; moves it behind them. */
function eventsOf(topic: string, cursor: Cursor, batch: RecordsBatch): TailEvent[] {
  const events: TailEvent[] = [];
  for (const { offsetDelta, timestampDelta, key, value, headers } of batch.records) {
    const offset = batch.firstOffset + BigInt(offsetDelta);
    if (offset < cursor.position || (cursor.end !== undefined && offset >= cursor.end)) continue;
    if ((batch.attributes & IS_CONTROL) !== 0) continue;
    const appended = (batch.attributes & LOG_APPEND_TIME) !== 0;
    events.push({
      topic,
      partition: cursor.partition,
      offset,
      timestamp: Number(appended ? batch.maxTimestamp : batch.firstTimestamp + timestampDelta),
      key,
      value,
      headers: headers.map(([name, content]) => ({ key: name?.toString("utf8") ?? "", value: content })),
    });
  }
  // By the batch's own last offset: compaction may have taken its last records.
  const next = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n;
  if (next > cursor.position) cursor.position = next;
  return events;
}
