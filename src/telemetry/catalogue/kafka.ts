// The Kafka client, whichever it is: all producers publish these same names.

import { type Define, PER_WORKER } from "./define.ts";

/** What the Kafka client tells of itself and of brokers. */
export function kafkaFamilies(define: Define) {
  return {
    kafkaConnections: define.gauge("sluice_kafka_connections", "Open connections to a broker.", { labels: ["broker"] }),
    kafkaRequests: define.counter("sluice_kafka_requests_total", "Requests sent to a broker, by API.", {
      labels: ["broker", "api"],
    }),
    kafkaRequestTime: define.time("sluice_kafka_request_seconds", "Time from a Produce request to its response.", {
      labels: ["broker"],
    }),
    kafkaInFlight: define.gauge("sluice_kafka_requests_in_flight", "Produce requests without a response yet.", {
      labels: ["broker"],
    }),
    kafkaQueuedEvents: define.gauge(
      "sluice_kafka_queued_events",
      "Events of record batches handed to the Kafka client and not settled.",
      PER_WORKER,
    ),
    kafkaQueuedBytes: define.gauge(
      "sluice_kafka_queued_bytes",
      "Bytes of record batches handed to the Kafka client and not settled.",
      PER_WORKER,
    ),
    kafkaQueuedOldestAge: define.readGauge(
      "sluice_kafka_queued_oldest_age_seconds",
      "Time since the oldest of these record batches was handed over; 0 if there is none.",
      PER_WORKER,
    ),
    kafkaSentBytes: define.counter("sluice_kafka_sent_bytes_total", "Bytes of requests sent to a broker.", {
      labels: ["broker"],
    }),
    kafkaReceivedBytes: define.counter(
      "sluice_kafka_received_bytes_total",
      "Bytes of responses received from a broker.",
      {
        labels: ["broker"],
      },
    ),
    kafkaRetries: define.counter(
      "sluice_kafka_retries_total",
      "Record batches sent again, by the broker that they were sent to.",
      {
        labels: ["broker"],
      },
    ),
    kafkaErrors: define.counter("sluice_kafka_errors_total", "Error codes in responses of a broker.", {
      labels: ["broker", "error"],
    }),
    kafkaConnectFailures: define.counter(
      "sluice_kafka_connect_failures_total",
      "Attempts to connect to a broker that failed, TLS and authentication included.",
      { labels: ["broker"] },
    ),
    kafkaDisconnects: define.counter("sluice_kafka_disconnects_total", "Connections to a broker that were lost.", {
      labels: ["broker"],
    }),
    kafkaThrottle: define.counter(
      "sluice_kafka_throttle_seconds_total",
      "Time for which a broker asked to stop sending.",
      {
        labels: ["broker"],
      },
    ),
    kafkaLeaderMoves: define.counter("sluice_kafka_leader_moves_total", "Partitions whose leader changed."),
    kafkaPossibleDuplicates: define.counter(
      "sluice_kafka_possible_duplicates_total",
      "Record batches that may be stored twice: sent again under a new producer epoch, or told as failed and retryable, although an earlier send may be stored; or sent again by kafkajs after a lost answer.",
    ),
  };
}
