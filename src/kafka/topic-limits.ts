// What a topic's settings say about the events it takes.

import type { TopicInfo } from "../ingest/producer.ts";

export type TopicLimits = Pick<
  TopicInfo,
  "maxBatchBytes" | "timestampBeforeMaxMs" | "timestampAfterMaxMs" | "keyRequired"
>;

const MAX_BYTES = "max.message.bytes";
const BEFORE_MAX = "message.timestamp.before.max.ms";
const AFTER_MAX = "message.timestamp.after.max.ms";
/** What stood for both before Kafka 3.6. */
const DIFFERENCE_MAX = "message.timestamp.difference.max.ms";
const TIMESTAMP_TYPE = "message.timestamp.type";
const CLEANUP_POLICY = "cleanup.policy";

/** The settings to ask for. */
export const LIMIT_CONFIGS: readonly string[] = [
  MAX_BYTES,
  BEFORE_MAX,
  AFTER_MAX,
  DIFFERENCE_MAX,
  TIMESTAMP_TYPE,
  CLEANUP_POLICY,
];

/** Kafka's default, for topics whose settings this client may not see. */
const DEFAULT_MAX_MESSAGE_BYTES = 1_048_588;

/** @param configs by name, as far as they may be seen. */
export function limitsOf(configs: ReadonlyMap<string, string>): TopicLimits {
  const number = (name: string, otherwise: number): number => {
    const value = Number.parseInt(configs.get(name) ?? "", 10);
    return Number.isNaN(value) ? otherwise : value;
  };
  // With LogAppendTime the broker overwrites the timestamp, so none is refused.
  const free = configs.get(TIMESTAMP_TYPE) === "LogAppendTime";
  const difference = number(DIFFERENCE_MAX, Number.POSITIVE_INFINITY);
  return {
    maxBatchBytes: number(MAX_BYTES, DEFAULT_MAX_MESSAGE_BYTES),
    timestampBeforeMaxMs: free ? Number.POSITIVE_INFINITY : number(BEFORE_MAX, difference),
    timestampAfterMaxMs: free ? Number.POSITIVE_INFINITY : number(AFTER_MAX, difference),
    keyRequired: configs.get(CLEANUP_POLICY)?.includes("compact") ?? false,
  };
}

/** The topic with these limits: the very object that was known if nothing changed, as the port promises. */
export function topicInfo(
  known: TopicInfo | undefined,
  name: string,
  partitions: number,
  limits: TopicLimits,
): TopicInfo {
  const { maxBatchBytes, timestampBeforeMaxMs, timestampAfterMaxMs, keyRequired } = limits;
  const same =
    known !== undefined &&
    known.partitions === partitions &&
    known.maxBatchBytes === maxBatchBytes &&
    known.timestampBeforeMaxMs === timestampBeforeMaxMs &&
    known.timestampAfterMaxMs === timestampAfterMaxMs &&
    known.keyRequired === keyRequired;
  return same ? known : { name, partitions, maxBatchBytes, timestampBeforeMaxMs, timestampAfterMaxMs, keyRequired };
}
