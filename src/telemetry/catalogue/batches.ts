// Batches, admission, stages, accumulators.

import { powersOfTwo } from "../histograms.ts";
import { type Define, PER_WORKER } from "./define.ts";

/** The way of a batch through a worker. */
export function batchFamilies(define: Define) {
  return {
    batches: define.counter("sluice_batches_total", "Batches answered, by the gRPC code of the answer.", {
      labels: ["code"],
    }),
    publishBytes: define.counter("sluice_publish_bytes_total", "Bytes of PublishRequest messages received."),
    stage: define.time(
      "sluice_stage_seconds",
      "Time in a stage, by topic: admit (a batch received to admitted), queue (a record batch opened to sent: in its accumulator and in the Kafka client), produce (a record batch sent to Kafka or handed to the spool, to acknowledged by Kafka or the disk), acknowledge (a batch received to answered). A batch of several topics counts under its first.",
      { labels: ["topic", "stage"] },
    ),
    admittedBytes: define.gauge(
      "sluice_admitted_bytes",
      "Bytes of batches that are admitted and not answered yet.",
      PER_WORKER,
    ),
    admittedBytesLimit: define.gauge(
      "sluice_admitted_bytes_limit",
      "The byte budget of a worker (ADMITTED_BYTES_MAX).",
      PER_WORKER,
    ),
    admissionWaiting: define.gauge(
      "sluice_admission_waiting_batches",
      "Batches that wait for room in the byte budget.",
      PER_WORKER,
    ),
    accumulatorEvents: define.readGauge("sluice_accumulator_events", "Events in open record batches.", PER_WORKER),
    accumulatorBytes: define.readGauge("sluice_accumulator_bytes", "Bytes of open record batches.", PER_WORKER),
    accumulatorOldestAge: define.readGauge(
      "sluice_accumulator_oldest_age_seconds",
      "Age of the oldest open record batch; 0 if none is open.",
      PER_WORKER,
    ),
    recordBatches: define.counter(
      "sluice_record_batches_total",
      "Record batches sealed, by topic and by what sealed them.",
      {
        labels: ["topic", "cause"],
      },
    ),
    recordBatchBytes: define.size(
      "sluice_record_batch_bytes",
      "Bytes of record batches sealed. The service does not compress them.",
      powersOfTwo(8, 22),
      { labels: ["topic"] },
    ),
    recordBatchRecords: define.size(
      "sluice_record_batch_records",
      "Records of record batches sealed.",
      powersOfTwo(0, 14),
      {
        labels: ["topic"],
      },
    ),
  };
}
