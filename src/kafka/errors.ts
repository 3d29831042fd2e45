// What each error code of a Produce response asks for. The table, not the code around it, is the policy; it is the one that
// the Java client, librdkafka and franz-go agree on, where they are right (docs/adr/0004-direct-producer.md).

import { Code, IngestError, Reason } from "../errors.ts";

/**
 * - acknowledge: it is on the log.
 * - resend: it may be on the log. The same bytes with the same sequence again, after fresh metadata.
 * - move: it is not on the log; the leader is elsewhere. Resend there once nothing is in flight.
 * - backoff: it is not on the log and will be, later.
 * - sequence: the broker disagrees about sequences. Behind another batch: wait for that one. At the head: bump the epoch.
 * - fenced: somebody else uses this producer id. Take a new one.
 * - split: the batch is too large for the topic.
 * - corrupt: the CRC was wrong when it arrived.
 * - reject: the broker will never take (some of) these records.
 * - denied: an operator has to act; the events may be stored afterwards.
 * - renegotiate: the broker changed its mind about versions.
 */
export type Action =
  | "acknowledge"
  | "resend"
  | "move"
  | "backoff"
  | "sequence"
  | "fenced"
  | "split"
  | "corrupt"
  | "reject"
  | "denied"
  | "renegotiate";

export const ErrorCode = {
  NONE: 0,
  CORRUPT_MESSAGE: 2,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  LEADER_NOT_AVAILABLE: 5,
  NOT_LEADER_OR_FOLLOWER: 6,
  REQUEST_TIMED_OUT: 7,
  MESSAGE_TOO_LARGE: 10,
  INVALID_TOPIC_EXCEPTION: 17,
  RECORD_LIST_TOO_LARGE: 18,
  NOT_ENOUGH_REPLICAS: 19,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: 20,
  TOPIC_AUTHORIZATION_FAILED: 29,
  CLUSTER_AUTHORIZATION_FAILED: 31,
  INVALID_TIMESTAMP: 32,
  UNSUPPORTED_SASL_MECHANISM: 33,
  UNSUPPORTED_VERSION: 35,
  TOPIC_ALREADY_EXISTS: 36,
  INVALID_PARTITIONS: 37,
  INVALID_REPLICATION_FACTOR: 38,
  NOT_CONTROLLER: 41,
  INVALID_REQUEST: 42,
  POLICY_VIOLATION: 44,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  DUPLICATE_SEQUENCE_NUMBER: 46,
  INVALID_PRODUCER_EPOCH: 47,
  KAFKA_STORAGE_ERROR: 56,
  SASL_AUTHENTICATION_FAILED: 58,
  UNKNOWN_PRODUCER_ID: 59,
  FENCED_LEADER_EPOCH: 74,
  UNSUPPORTED_COMPRESSION_TYPE: 76,
  INVALID_RECORD: 87,
  PRODUCER_FENCED: 90,
} as const;

const ACTIONS: Partial<Record<number, Action>> = {
  [ErrorCode.NONE]: "acknowledge",
  [ErrorCode.DUPLICATE_SEQUENCE_NUMBER]: "acknowledge",
  [ErrorCode.REQUEST_TIMED_OUT]: "resend",
  [ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND]: "resend",
  [ErrorCode.KAFKA_STORAGE_ERROR]: "resend",
  [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]: "move",
  [ErrorCode.LEADER_NOT_AVAILABLE]: "move",
  [ErrorCode.NOT_LEADER_OR_FOLLOWER]: "move",
  [ErrorCode.FENCED_LEADER_EPOCH]: "move",
  [ErrorCode.NOT_ENOUGH_REPLICAS]: "backoff",
  [ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER]: "sequence",
  [ErrorCode.UNKNOWN_PRODUCER_ID]: "sequence",
  [ErrorCode.INVALID_PRODUCER_EPOCH]: "fenced",
  [ErrorCode.PRODUCER_FENCED]: "fenced",
  [ErrorCode.MESSAGE_TOO_LARGE]: "split",
  [ErrorCode.RECORD_LIST_TOO_LARGE]: "split",
  [ErrorCode.CORRUPT_MESSAGE]: "corrupt",
  [ErrorCode.INVALID_TIMESTAMP]: "reject",
  [ErrorCode.POLICY_VIOLATION]: "reject",
  [ErrorCode.UNSUPPORTED_COMPRESSION_TYPE]: "reject",
  [ErrorCode.INVALID_RECORD]: "reject",
  [ErrorCode.INVALID_TOPIC_EXCEPTION]: "denied",
  [ErrorCode.TOPIC_AUTHORIZATION_FAILED]: "denied",
  [ErrorCode.CLUSTER_AUTHORIZATION_FAILED]: "denied",
  [ErrorCode.UNSUPPORTED_VERSION]: "renegotiate",
};

/** A code that the table does not name leaves open whether the batch is on the log. */
export function actionFor(code: number): Action {
  return ACTIONS[code] ?? "resend";
}

const NAMES = new Map<number, string>(Object.entries(ErrorCode).map(([name, code]) => [code, name]));

/** For example `NOT_LEADER_OR_FOLLOWER`. */
export function errorName(code: number): string {
  return NAMES.get(code) ?? `ERROR_${code}`;
}

/** Why a topic may not be written to. An operator may change that, so what is on disk can wait for it. */
export function deniedError(topic: string, code: number, cause?: unknown): IngestError {
  if (code === ErrorCode.INVALID_TOPIC_EXCEPTION) {
    const message = `Kafka refuses topic ${topic}: it is one of Kafka's own, or its name is not legal; publish to another`;
    return new IngestError(Code.INVALID_ARGUMENT, message, {
      retryable: true,
      reason: Reason.INVALID_TOPIC,
      field: "topic",
      cause,
    });
  }
  const grant =
    code === ErrorCode.CLUSTER_AUTHORIZATION_FAILED
      ? "grant IDEMPOTENT_WRITE on the cluster to this service"
      : "grant WRITE and DESCRIBE on the topic to this service";
  return new IngestError(Code.PERMISSION_DENIED, `Kafka refuses topic ${topic}: ${errorName(code)}; ${grant}`, {
    retryable: true,
    reason: Reason.NOT_AUTHORIZED,
    field: "topic",
    cause,
  });
}

/** Why a topic cannot be looked up, as `Producer.lookup` promises it. */
export function lookupError(topic: string, code: number, cause?: unknown): IngestError {
  switch (code) {
    case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
      return new IngestError(
        Code.NOT_FOUND,
        `topic ${topic} does not exist: create it, or start the service with KAFKA_AUTO_CREATE_TOPICS=true`,
        { reason: Reason.UNKNOWN_TOPIC, field: "topic", cause },
      );
    case ErrorCode.INVALID_TOPIC_EXCEPTION:
    case ErrorCode.TOPIC_AUTHORIZATION_FAILED:
    case ErrorCode.CLUSTER_AUTHORIZATION_FAILED: {
      const { code: grpcCode, message, reason, field } = deniedError(topic, code);
      return new IngestError(grpcCode, message, { reason, field: field ?? "topic", cause });
    }
    default:
      return new IngestError(Code.UNAVAILABLE, `topic ${topic} is not available: ${errorName(code)}`, {
        retryable: true,
        field: "topic",
        cause,
      });
  }
}

/** Why a record can never be stored, in the broker's words where it has any. */
export function rejectedError(code: number, message: string | undefined, cause?: unknown): IngestError {
  const reason = code === ErrorCode.INVALID_TIMESTAMP ? Reason.INVALID_TIMESTAMP : Reason.REJECTED;
  return new IngestError(Code.INVALID_ARGUMENT, `Kafka refused the record: ${message ?? errorName(code)}`, {
    reason,
    cause,
  });
}

/** @param bytes of the record as a batch of its own. */
export function tooLargeError(topic: string, bytes: number): IngestError {
  return new IngestError(
    Code.INVALID_ARGUMENT,
    `the record takes ${bytes} bytes as a batch, more than topic ${topic} takes (max.message.bytes)`,
    { reason: Reason.TOO_LARGE, field: "value" },
  );
}

/** For batches that come when the producer goes, or that it leaves behind. */
export function closingError(): IngestError {
  return new IngestError(Code.UNAVAILABLE, "the service is going away", { retryable: true });
}
