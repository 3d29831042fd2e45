// Why single events fail before they enter a record batch: what is said to people, in one place.

import { Code, IngestError, Reason } from "../errors.ts";
import type { Topic } from "./topics.ts";

/** The timestamp is none that Kafka and its tools can hold. */
export const TIMESTAMP_ERROR = new IngestError(
  Code.INVALID_ARGUMENT,
  "timestamp is out of range: seconds must lie between 0 (1970) and 253402300799 (9999), nanos between 0 and 999999999",
  { reason: Reason.INVALID_TIMESTAMP, field: "timestamp" },
);

export function timestampOutside(topic: Topic, timestamp: number, nowMs: number): IngestError {
  const { timestampBeforeMaxMs, timestampAfterMaxMs } = topic.info;
  const [limit, side, setting] =
    timestamp < nowMs
      ? [timestampBeforeMaxMs, "before", "message.timestamp.before.max.ms"]
      : [timestampAfterMaxMs, "after", "message.timestamp.after.max.ms"];
  return new IngestError(
    Code.INVALID_ARGUMENT,
    `timestamp ${new Date(timestamp).toISOString()} lies more than ${limit} ms ${side} now (${setting} of topic ${topic.name})`,
    { reason: Reason.INVALID_TIMESTAMP, field: "timestamp" },
  );
}

export function keyMissing(topic: Topic): IngestError {
  return new IngestError(Code.INVALID_ARGUMENT, `topic ${topic.name} is compacted: its events need a key`, {
    reason: Reason.MISSING_KEY,
    field: "key",
  });
}

/** What goes beyond a limit that is only assumed, because no broker answers. */
export function limitNotKnown({ message, field }: IngestError): IngestError {
  const options = { retryable: true, ...(field === undefined ? {} : { field }) };
  return new IngestError(
    Code.UNAVAILABLE,
    `${message}; no broker answers that could tell the topic's own limit`,
    options,
  );
}

/** @param bytes what the event takes as a record batch of its own. */
export function tooLarge(topic: Topic, bytes: number): IngestError {
  return new IngestError(
    Code.INVALID_ARGUMENT,
    `the event takes ${bytes} bytes as a record batch, topic ${topic.name} takes ${topic.info.maxBatchBytes} (max.message.bytes)`,
    { reason: Reason.TOO_LARGE, field: "value" },
  );
}
