// The catalogue: every metric of the service's own is declared here, and nowhere else.
//
// Names follow Prometheus: base units (_seconds, _bytes), _total for counters, labels of low cardinality only. Metrics of
// the process and of Node.js itself (process_*, nodejs_*) are process.ts's.

import {
  Counter,
  Family,
  Gauge,
  ReadGauge,
  TimeHistogram,
  type MetricDefinition,
  type MetricSnapshot,
} from "./instruments.ts";

type Options = { readonly labels?: readonly string[]; readonly perWorker?: boolean };

function define(type: MetricDefinition["type"], name: string, help: string, options: Options): MetricDefinition {
  return { name, help, type, labels: options.labels ?? [], perWorker: options.perWorker ?? false };
}

const counter = (name: string, help: string, options: Options = {}): Family<Counter> =>
  new Family(define("counter", name, help, options), () => new Counter());
const gauge = (name: string, help: string, options: Options = {}): Family<Gauge> =>
  new Family(define("gauge", name, help, options), () => new Gauge());
const readGauge = (name: string, help: string, options: Options = {}): Family<ReadGauge> =>
  new Family(define("gauge", name, help, options), () => new ReadGauge());
const time = (name: string, help: string, options: Options = {}): Family<TimeHistogram> =>
  new Family(define("histogram", name, help, options), () => new TimeHistogram());

const TOPIC = { labels: ["topic"], perWorker: true } as const;

/** What a process says of the ledger after each look at it; the supervisor has these too. */
export function createLedgerMetrics() {
  return {
    ledgerMismatches: gauge(
      "sluice_ledger_mismatches",
      "Equations of the ledger that do not hold now: a worker's own, by topic; the supervisor's are those of each worker over all its processes and of the sum. 0 unless there is a bug.",
      { perWorker: true },
    ),
    ledgerChecks: counter("sluice_ledger_checks_total", "Times the ledger was checked.", { perWorker: true }),
  };
}

/** One worker's instruments. */
export function createMetrics() {
  return {
    // The ledger: received = stored + failed + in_flight; persisted + recovered = forwarded + dead_lettered + spooled.
    eventsReceived: counter("sluice_events_received_total", "Events of batches that were admitted.", TOPIC),
    eventsStored: counter("sluice_events_stored_total", "Events acknowledged as stored, by the durability given.", {
      labels: ["topic", "durability"],
      perWorker: true,
    }),
    eventsFailed: counter("sluice_events_failed_total", "Events answered as not stored.", {
      labels: ["topic", "reason"],
      perWorker: true,
    }),
    eventsInFlight: gauge("sluice_events_in_flight", "Events received and not settled yet.", TOPIC),
    eventsRecovered: gauge(
      "sluice_events_recovered",
      "Persisted events that an earlier run left in the spool: the ledger's opening balance.",
      TOPIC,
    ),
    eventsForwarded: counter(
      "sluice_events_forwarded_total",
      "Persisted events that Kafka has acknowledged since.",
      TOPIC,
    ),
    eventsDeadLettered: counter(
      "sluice_events_dead_lettered_total",
      "Persisted events that Kafka refused for good: they went to the dead-letter log or to DEAD_LETTER_TOPIC.",
      TOPIC,
    ),
    eventsSpooled: gauge("sluice_events_spooled", "Persisted events that are not in Kafka yet.", TOPIC),
    ...createLedgerMetrics(),

    // Dead letters: what lies in the log now, and what operators did with it.
    deadLetters: gauge("sluice_dead_letters", "Events that lie in the dead-letter log.", TOPIC),
    deadLetterBytes: gauge("sluice_dead_letters_bytes", "Bytes of the letters that lie in the dead-letter log.", TOPIC),
    deadLetterOldest: gauge(
      "sluice_dead_letters_oldest_age_seconds",
      "Age of the oldest letter in the dead-letter log.",
      {
        perWorker: true,
      },
    ),
    deadLettersDropped: counter(
      "sluice_dead_letters_dropped_total",
      "Events of letters that an operator dropped.",
      TOPIC,
    ),
    deadLettersRetried: counter(
      "sluice_dead_letters_retried_total",
      "Events of letters that an operator published again, and that were stored.",
      TOPIC,
    ),
    deadLettersProduced: counter(
      "sluice_dead_letters_produced_total",
      "Events that Kafka acknowledged in DEAD_LETTER_TOPIC.",
      TOPIC,
    ),

    // Batches.
    batches: counter("sluice_batches_total", "Batches answered, by the gRPC code of the answer.", { labels: ["code"] }),
    publishBytes: counter("sluice_publish_bytes_total", "Bytes of PublishRequest messages received."),
    stage: time(
      "sluice_stage_seconds",
      "Time an event's batch spent in a stage: admitted (received to admitted), queued (in an accumulator until its record batch is sent), produced (sent to acknowledged by Kafka or the disk), acknowledged (received to answered).",
      { labels: ["stage"] },
    ),
    admittedBytes: gauge("sluice_admitted_bytes", "Bytes of batches that are admitted and not answered yet.", {
      perWorker: true,
    }),
    admittedBytesLimit: gauge("sluice_admitted_bytes_limit", "The byte budget of a worker (ADMITTED_BYTES_MAX).", {
      perWorker: true,
    }),
    admissionWaiting: gauge("sluice_admission_waiting_batches", "Batches that wait for room in the byte budget.", {
      perWorker: true,
    }),
    recordBatches: counter("sluice_record_batches_total", "Record batches sealed, by what sealed them.", {
      labels: ["cause"],
    }),
    recordBatchBytes: counter("sluice_record_batch_bytes_total", "Bytes of record batches sealed."),

    // gRPC.
    grpcStreams: gauge("sluice_grpc_streams", "Open PublishStream calls.", { perWorker: true }),
    grpcCalls: counter(
      "sluice_grpc_calls_total",
      "gRPC calls ended, by method (those of methods that are not served are unknown) and code.",
      {
        labels: ["method", "code"],
      },
    ),
    grpcConnections: gauge("sluice_grpc_connections", "Open gRPC connections.", { perWorker: true }),
    grpcConnectionsLimit: gauge(
      "sluice_grpc_connections_limit",
      "Connections a worker takes at a time (GRPC_CONNECTIONS_MAX).",
      { perWorker: true },
    ),
    grpcConnectionsOpened: counter("sluice_grpc_connections_opened_total", "gRPC connections accepted."),
    grpcConnectionsClosed: counter("sluice_grpc_connections_closed_total", "gRPC connections ended, by why.", {
      labels: ["reason"],
    }),
    grpcConnectionAge: time("sluice_grpc_connection_age_seconds", "Age of gRPC connections when they ended."),
    grpcHttp2Streams: gauge("sluice_grpc_http2_streams", "Open HTTP/2 streams: one for each gRPC call.", {
      perWorker: true,
    }),
    grpcConnectionStreamsMax: readGauge(
      "sluice_grpc_connection_streams_max",
      "Open HTTP/2 streams of the connection that has the most.",
      { perWorker: true },
    ),
    grpcConnectionStreamsLimit: gauge(
      "sluice_grpc_connection_streams_limit",
      "The most that a connection may have (GRPC_STREAMS_MAX).",
      { perWorker: true },
    ),
    grpcStreamAge: time("sluice_grpc_stream_age_seconds", "Age of HTTP/2 streams when they ended."),
    grpcReceivedBytes: counter("sluice_grpc_received_bytes_total", "Bytes received on gRPC connections."),
    grpcSentBytes: counter("sluice_grpc_sent_bytes_total", "Bytes sent on gRPC connections."),
    grpcWindowStalls: counter(
      "sluice_grpc_window_stalls_total",
      "Times an answer had to wait because its client's flow-control window was used up.",
    ),
    grpcResets: counter("sluice_grpc_resets_total", "RST_STREAM frames, by direction and error code.", {
      labels: ["direction", "code"],
    }),
    grpcGoaways: counter("sluice_grpc_goaways_total", "GOAWAY frames, by direction and error code.", {
      labels: ["direction", "code"],
    }),
    grpcAttacks: counter("sluice_grpc_attacks_total", "Times a client went over a limit of the transport, by which.", {
      labels: ["attack"],
    }),
    grpcHandshakeFailures: counter("sluice_grpc_handshake_failures_total", "TLS handshakes that failed, by why.", {
      labels: ["reason"],
    }),
    grpcCertificateExpiry: gauge(
      "sluice_grpc_certificate_expiry_timestamp_seconds",
      "When the certificate in use, or the first of its chain, expires, in seconds since the epoch; only with GRPC_TLS_CERT_FILE.",
      { perWorker: true },
    ),
    grpcReceiveBufferBytes: gauge(
      "sluice_grpc_receive_buffer_bytes",
      "Memory taken by request messages that are incomplete, or that wait because their call is paused.",
      { perWorker: true },
    ),
    grpcReceiveBufferBytesLimit: gauge(
      "sluice_grpc_receive_buffer_bytes_limit",
      "The most that may be taken so (GRPC_RECEIVE_BYTES_MAX).",
      { perWorker: true },
    ),

    // Kafka client.
    kafkaConnections: gauge("sluice_kafka_connections", "Open connections to a broker.", { labels: ["broker"] }),
    kafkaRequests: counter("sluice_kafka_requests_total", "Requests sent to a broker, by API.", {
      labels: ["broker", "api"],
    }),
    kafkaRequestTime: time("sluice_kafka_request_seconds", "Time from a Produce request to its response.", {
      labels: ["broker"],
    }),
    kafkaInFlight: gauge("sluice_kafka_requests_in_flight", "Produce requests without a response yet.", {
      labels: ["broker"],
    }),
    kafkaQueuedBytes: gauge(
      "sluice_kafka_queued_bytes",
      "Bytes of record batches handed to the Kafka client and not settled.",
      {
        perWorker: true,
      },
    ),
    kafkaBytes: counter("sluice_kafka_sent_bytes_total", "Bytes sent to a broker.", { labels: ["broker"] }),
    kafkaRetries: counter("sluice_kafka_retries_total", "Record batches sent again."),
    kafkaErrors: counter("sluice_kafka_errors_total", "Error codes in responses of a broker.", {
      labels: ["broker", "error"],
    }),
    kafkaDisconnects: counter("sluice_kafka_disconnects_total", "Connections to a broker that were lost.", {
      labels: ["broker"],
    }),
    kafkaThrottle: counter("sluice_kafka_throttle_seconds_total", "Time for which a broker asked to stop sending.", {
      labels: ["broker"],
    }),
    kafkaLeaderMoves: counter("sluice_kafka_leader_moves_total", "Partitions whose leader changed."),
    kafkaPossibleDuplicates: counter(
      "sluice_kafka_possible_duplicates_total",
      "Record batches that may be stored twice: sent again under a new producer epoch, or told as failed and retryable, although an earlier send may be stored; or sent again by kafkajs after a lost answer.",
    ),

    // Spool.
    spoolBytes: gauge("sluice_spool_bytes", "Bytes of the spool's segments on disk.", { perWorker: true }),
    spoolBytesLimit: gauge("sluice_spool_bytes_limit", "The spool's cap (SPOOL_BYTES_MAX over the workers).", {
      perWorker: true,
    }),
    spoolOldest: gauge(
      "sluice_spool_oldest_age_seconds",
      "Age of the oldest batch in the spool that is not in Kafka.",
      {
        perWorker: true,
      },
    ),
    spoolSyncTime: time("sluice_spool_sync_seconds", "Time of one fdatasync of the spool."),
    spoolErrors: counter("sluice_spool_errors_total", "Faults of the spool, by kind.", { labels: ["kind"] }),

    // Traces.
    traceSpans: counter(
      "sluice_trace_spans_total",
      "Spans of requests that were recorded, by outcome: exported, dropped (no room, because the collector is too slow or away) or failed (the collector did not take them).",
      { labels: ["outcome"] },
    ),
  };
}

export type Metrics = ReturnType<typeof createMetrics>;

export function definitions(metrics: Metrics): MetricDefinition[] {
  return Object.values(metrics).map((family) => family.definition);
}

export function snapshot(metrics: Metrics): MetricSnapshot[] {
  return Object.values(metrics).map((family) => family.snapshot());
}
