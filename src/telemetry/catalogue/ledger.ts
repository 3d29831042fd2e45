// The ledger (telemetry/ledger.ts has its equations), and the dead letters.

import { type Define, PER_TOPIC_AND_WORKER, PER_WORKER } from "./define.ts";

/** What became of every event, by topic. */
export function ledgerFamilies(define: Define) {
  return {
    // The ledger: received = stored + failed + in_flight; persisted + recovered = forwarded + dead_lettered + spooled.
    eventsReceived: define.counter(
      "sluice_events_received_total",
      "Events of batches that were admitted.",
      PER_TOPIC_AND_WORKER,
    ),
    eventsStored: define.counter(
      "sluice_events_stored_total",
      "Events acknowledged as stored, by the durability given.",
      {
        labels: ["topic", "durability"],
        perWorker: true,
      },
    ),
    eventsFailed: define.counter("sluice_events_failed_total", "Events answered as not stored.", {
      labels: ["topic", "reason"],
      perWorker: true,
    }),
    eventsInFlight: define.gauge(
      "sluice_events_in_flight",
      "Events received and not settled yet.",
      PER_TOPIC_AND_WORKER,
    ),
    eventsRecovered: define.gauge(
      "sluice_events_recovered",
      "Persisted events that an earlier run left in the spool: the ledger's opening balance.",
      PER_TOPIC_AND_WORKER,
    ),
    eventsForwarded: define.counter(
      "sluice_events_forwarded_total",
      "Persisted events that Kafka has acknowledged since.",
      PER_TOPIC_AND_WORKER,
    ),
    eventsDeadLettered: define.counter(
      "sluice_events_dead_lettered_total",
      "Persisted events that Kafka refused for good: they went to the dead-letter log or to DEAD_LETTER_TOPIC.",
      PER_TOPIC_AND_WORKER,
    ),
    eventsSpooled: define.gauge(
      "sluice_events_spooled",
      "Persisted events that are not in Kafka yet.",
      PER_TOPIC_AND_WORKER,
    ),
    // Dead letters: what lies in the log now, and what operators did with it.
    deadLetters: define.gauge("sluice_dead_letters", "Events that lie in the dead-letter log.", PER_TOPIC_AND_WORKER),
    deadLetterBytes: define.gauge(
      "sluice_dead_letters_bytes",
      "Bytes of the letters that lie in the dead-letter log.",
      PER_TOPIC_AND_WORKER,
    ),
    deadLetterOldest: define.gauge(
      "sluice_dead_letters_oldest_age_seconds",
      "Age of the oldest letter in the dead-letter log.",
      PER_WORKER,
    ),
    deadLettersDropped: define.counter(
      "sluice_dead_letters_dropped_total",
      "Events of letters that an operator dropped.",
      PER_TOPIC_AND_WORKER,
    ),
    deadLettersRetried: define.counter(
      "sluice_dead_letters_retried_total",
      "Events of letters that an operator published again, and that were stored.",
      PER_TOPIC_AND_WORKER,
    ),
    deadLettersProduced: define.counter(
      "sluice_dead_letters_produced_total",
      "Events that Kafka acknowledged in DEAD_LETTER_TOPIC.",
      PER_TOPIC_AND_WORKER,
    ),
  };
}

/** What a process says of the ledger after each look at it; the supervisor has these too. */
export function ledgerCheckFamilies(define: Define) {
  return {
    ledgerMismatches: define.gauge(
      "sluice_ledger_mismatches",
      "Equations of the ledger that do not hold now: a worker's own, by topic; the supervisor's are those of each worker over all its processes and of the sum. 0 unless there is a bug.",
      PER_WORKER,
    ),
    ledgerChecks: define.counter("sluice_ledger_checks_total", "Times the ledger was checked.", PER_WORKER),
  };
}
