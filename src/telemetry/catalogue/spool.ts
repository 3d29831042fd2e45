// The spool.

import { type Define, PER_WORKER } from "./define.ts";

/** What is on disk. */
export function spoolFamilies(define: Define) {
  return {
    spoolBytes: define.gauge("sluice_spool_bytes", "Bytes of the spool's segments on disk.", PER_WORKER),
    spoolBytesLimit: define.gauge(
      "sluice_spool_bytes_limit",
      "The spool's cap (SPOOL_BYTES_MAX over the workers).",
      PER_WORKER,
    ),
    spoolOldest: define.gauge(
      "sluice_spool_oldest_age_seconds",
      "Age of the oldest batch in the spool that is not in Kafka.",
      PER_WORKER,
    ),
    spoolSyncTime: define.time("sluice_spool_sync_seconds", "Time of one fdatasync of the spool."),
    spoolErrors: define.counter("sluice_spool_errors_total", "Faults of the spool, by kind.", { labels: ["kind"] }),
  };
}
