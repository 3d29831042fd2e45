// What each error code of a Produce response asks for. The table, not the code around it, is the policy; it is the one that
// the Java client, librdkafka and franz-go agree on, where they are right (docs/adr/0004-direct-producer.md).

import { protocolErrorsCodesById } from "@platformatic/kafka";

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

const ACTIONS: Partial<Record<number, Action>> = {
  0: "acknowledge",
  46: "acknowledge", // DUPLICATE_SEQUENCE_NUMBER
  7: "resend", // REQUEST_TIMED_OUT
  20: "resend", // NOT_ENOUGH_REPLICAS_AFTER_APPEND
  56: "resend", // KAFKA_STORAGE_ERROR
  3: "move", // UNKNOWN_TOPIC_OR_PARTITION
  5: "move", // LEADER_NOT_AVAILABLE
  6: "move", // NOT_LEADER_OR_FOLLOWER
  74: "move", // FENCED_LEADER_EPOCH
  19: "backoff", // NOT_ENOUGH_REPLICAS
  45: "sequence", // OUT_OF_ORDER_SEQUENCE_NUMBER
  59: "sequence", // UNKNOWN_PRODUCER_ID
  47: "fenced", // INVALID_PRODUCER_EPOCH
  90: "fenced", // PRODUCER_FENCED
  10: "split", // MESSAGE_TOO_LARGE
  18: "split", // RECORD_LIST_TOO_LARGE
  2: "corrupt", // CORRUPT_MESSAGE
  32: "reject", // INVALID_TIMESTAMP
  44: "reject", // POLICY_VIOLATION
  76: "reject", // UNSUPPORTED_COMPRESSION_TYPE
  87: "reject", // INVALID_RECORD
  17: "denied", // INVALID_TOPIC_EXCEPTION
  29: "denied", // TOPIC_AUTHORIZATION_FAILED
  31: "denied", // CLUSTER_AUTHORIZATION_FAILED
  35: "renegotiate", // UNSUPPORTED_VERSION
};

/** A code that the table does not name leaves open whether the batch is on the log. */
export function actionFor(code: number): Action {
  return ACTIONS[code] ?? "resend";
}

/** For example `NOT_LEADER_OR_FOLLOWER`. */
export function errorName(code: number): string {
  return protocolErrorsCodesById[code] ?? `ERROR_${code}`;
}
