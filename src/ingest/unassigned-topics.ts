// The topics of a service without brokers, or whose brokers are away: every legal name is one, and its events stay unassigned
// to partitions.
//
// Their number is bounded, because each has its metrics and its accumulators, and clients choose the names.

import { Code, IngestError, Reason } from "../errors.ts";
import type { TopicInfo, TopicSource } from "./producer.ts";
import { isLegalTopicName } from "./topic-name.ts";

const TOPICS_MAX = 10_000;

/** Kafka's default of max.message.bytes: what is taken now has a chance to fit later. */
const MAX_BATCH_BYTES = 1_048_588;

export class UnassignedTopics implements TopicSource {
  readonly #topics = new Map<string, TopicInfo>();

  topic(name: string): TopicInfo | undefined {
    const known = this.#topics.get(name);
    if (known !== undefined || this.#topics.size >= TOPICS_MAX || !isLegalTopicName(name)) return known;
    const info: TopicInfo = {
      name,
      partitions: 0,
      maxBatchBytes: MAX_BATCH_BYTES,
      timestampBeforeMaxMs: Number.POSITIVE_INFINITY,
      timestampAfterMaxMs: Number.POSITIVE_INFINITY,
      keyRequired: false,
    };
    this.#topics.set(name, info);
    return info;
  }

  /** Only reached beyond the bound: every other name is known at once. */
  lookup(name: string): Promise<TopicInfo> {
    return Promise.reject(
      new IngestError(
        Code.RESOURCE_EXHAUSTED,
        `topic ${name} would be one more than the ${TOPICS_MAX} that a service without brokers takes: set KAFKA_BROKERS`,
        { reason: Reason.UNKNOWN_TOPIC, field: "topic" },
      ),
    );
  }
}
