// The dashboard that answers "where does the time go?": stages, queues, brokers, workers, callers, spool, ledger, runtime.

import type { Dashboard } from "./dashboard.ts";
import type { Panel, Row, Unit } from "./panel.ts";
import { mean, metric, quantile, type Query, rate, rateOf, recorded, series, value } from "./query.ts";

type Lines = Panel & { readonly kind: "lines" };
type Options = Partial<Pick<Lines, "width" | "stacked" | "bars" | "limit">>;

/** @param queries of metrics of the catalogue, by whose help the panel is described if nothing else is said. */
function lines(
  title: string,
  unit: Unit,
  description: string,
  queries: readonly Query[],
  options: Options = {},
): Panel {
  return { kind: "lines", title, unit, description, queries, width: 8, ...options };
}

function number(
  title: string,
  unit: Unit,
  description: string,
  query: Query,
  judged: { readonly bad?: readonly [number, number]; readonly badBelow?: number } = {},
): Panel {
  return { kind: "number", title, unit, description, query, width: 3, height: 4, ...judged };
}

const help = (name: string): string => metric(name).help;

const NOW: Row = {
  title: "Now",
  panels: [
    number(
      "Workers ready",
      "percentunit",
      "The share of workers that take events.",
      { expr: `avg (${series("sluice_worker_up")})`, legend: "" },
      { badBelow: 1 },
    ),
    number(
      "Events received",
      "cps",
      help("sluice_events_received_total"),
      rate("sluice_events_received_total", { by: [] }),
    ),
    number("Events stored", "cps", help("sluice_events_stored_total"), rate("sluice_events_stored_total", { by: [] })),
    number(
      "Events failed",
      "percentunit",
      "The share of events that are answered as not stored.",
      {
        expr: `sum (${rateOf("sluice_events_failed_total")}) / sum (${rateOf("sluice_events_received_total")})`,
        legend: "",
      },
      { bad: [0.001, 0.01] },
    ),
    number(
      "Acknowledged, p99",
      "s",
      "99 of 100 batches are answered within this time.",
      quantile(0.99, "sluice_stage_seconds", { by: [], where: 'stage="acknowledge"' }),
      { bad: [0.5, 1] },
    ),
    number("Spooled events", "short", help("sluice_events_spooled"), value("sluice_events_spooled", { by: [] })),
    number(
      "Dead letters",
      "short",
      help("sluice_dead_letters"),
      { expr: `sum (${series("sluice_dead_letters")}) or vector(0)`, legend: "" },
      { bad: [1, 1] },
    ),
    number(
      "Ledger mismatches",
      "short",
      help("sluice_ledger_mismatches"),
      value("sluice_ledger_mismatches", { by: [] }),
      { bad: [1, 1] },
    ),
    {
      kind: "table",
      title: "Instances",
      description: "What runs; each leads to its own page, for those who may see it.",
      width: 12,
      height: 6,
      query: { expr: series("sluice_build_info"), legend: "" },
      hide: ["job"],
      link: { column: "instance", title: "its page", url: "http://${__value.raw}/" },
    },
    {
      kind: "table",
      title: "Alerts",
      description: "What fires now. docs/runbook.md has a section for each.",
      width: 12,
      height: 6,
      query: { expr: 'ALERTS{alertname=~"Sluice.+", alertstate="firing"}', legend: "" },
      hide: ["alertstate"],
    },
  ],
};

const STAGES: Row = {
  title: "Where the time goes",
  panels: [
    lines(
      "Stages, p99",
      "s",
      "How long one in a hundred takes at least in each stage. acknowledge is all of it.",
      [quantile(0.99, "sluice_stage_seconds", { by: ["stage"] })],
      { limit: 1 },
    ),
    lines(
      "Stages, mean",
      "s",
      "Means of the stages one on the other, without acknowledge, which is all of them.",
      [mean("sluice_stage_seconds", { by: ["stage"], where: 'stage!="acknowledge"' })],
      { stacked: true },
    ),
    lines(
      "Bottleneck",
      "s",
      "The stage that the others wait for, with its p99: the last one on the way that takes a third of the time from received to answered, or more than a second.",
      [{ expr: recorded("bottleneck:sluice_stage_seconds:p99_5m", []), legend: "{{stage}} {{instance}}" }],
      { bars: true },
    ),
    {
      kind: "heatmap",
      title: "Received to answered",
      description: "How many batches are answered after how long.",
      width: 8,
      unit: "s",
      query: {
        expr: `sum by (le) (${rateOf("sluice_stage_seconds", 'stage="acknowledge"', "_bucket")})`,
        legend: "",
        exemplars: true,
      },
    },
    lines("Received to answered by topic, p99", "s", "The slowest topics.", [
      quantile(0.99, "sluice_stage_seconds", { by: ["topic"], where: 'stage="acknowledge"' }),
    ]),
    lines("Produced by topic, p99", "s", "Sent to acknowledged by Kafka or the disk: the slowest topics.", [
      quantile(0.99, "sluice_stage_seconds", { by: ["topic"], where: 'stage="produce"' }),
    ]),
  ],
};

const QUEUES: Row = {
  title: "Queues",
  panels: [
    lines(
      "Byte budget",
      "percentunit",
      "What is admitted and not answered, as a share of ADMITTED_BYTES_MAX.",
      [{ expr: recorded("worker:sluice_admitted_bytes:ratio", ["worker"]), legend: "{{instance}} {{worker}}" }],
      { limit: 0.8 },
    ),
    lines("Waiting for room", "short", help("sluice_admission_waiting_batches"), [
      value("sluice_admission_waiting_batches"),
    ]),
    lines("Events in flight by topic", "short", help("sluice_events_in_flight"), [
      value("sluice_events_in_flight", { by: ["topic"] }),
    ]),
    lines(
      "Age of the oldest",
      "s",
      "Of open record batches, and of those with the Kafka client, in the worst worker.",
      [
        value("sluice_accumulator_oldest_age_seconds", { by: [], legend: "open" }),
        value("sluice_kafka_queued_oldest_age_seconds", { by: [], legend: "with the Kafka client" }),
      ],
      { limit: 30 },
    ),
    lines(
      "Events waiting",
      "short",
      "In open record batches, and with the Kafka client.",
      [
        value("sluice_accumulator_events", { by: [], legend: "open" }),
        value("sluice_kafka_queued_events", { by: [], legend: "with the Kafka client" }),
      ],
      { stacked: true },
    ),
    lines(
      "Bytes waiting",
      "bytes",
      "In open record batches, and with the Kafka client.",
      [
        value("sluice_accumulator_bytes", { by: [], legend: "open" }),
        value("sluice_kafka_queued_bytes", { by: [], legend: "with the Kafka client" }),
      ],
      { stacked: true },
    ),
  ],
};

const BROKERS: Row = {
  title: "Brokers",
  panels: [
    lines(
      "Produce requests, p99",
      "s",
      help("sluice_kafka_request_seconds"),
      [quantile(0.99, "sluice_kafka_request_seconds", { by: ["broker"] })],
      { limit: 0.5 },
    ),
    lines("In flight", "short", help("sluice_kafka_requests_in_flight"), [value("sluice_kafka_requests_in_flight")]),
    lines("Connections", "short", help("sluice_kafka_connections"), [value("sluice_kafka_connections")]),
    lines("Sent and received", "Bps", "Bytes to and from each broker.", [
      rate("sluice_kafka_sent_bytes_total", { legend: "to {{broker}}" }),
      rate("sluice_kafka_received_bytes_total", { legend: "from {{broker}}" }),
    ]),
    lines("Error codes", "cps", help("sluice_kafka_errors_total"), [rate("sluice_kafka_errors_total")]),
    lines(
      "Trouble",
      "cps",
      "Record batches sent again, attempts to connect that failed, connections lost, leaders that moved.",
      [
        rate("sluice_kafka_retries_total", { by: ["broker"], legend: "sent again {{broker}}" }),
        rate("sluice_kafka_connect_failures_total", { legend: "no connection {{broker}}" }),
        rate("sluice_kafka_disconnects_total", { legend: "lost connection {{broker}}" }),
        rate("sluice_kafka_leader_moves_total", { by: [], legend: "leaders moved" }),
      ],
    ),
    lines("Throttled", "percentunit", "The share of the time for which quotas made the service wait.", [
      rate("sluice_kafka_throttle_seconds_total"),
    ]),
    lines(
      "Record batches by what sealed them",
      "cps",
      help("sluice_record_batches_total"),
      [rate("sluice_record_batches_total", { by: ["cause"] })],
      { stacked: true },
    ),
    lines("Records in a record batch, mean", "short", help("sluice_record_batch_records"), [
      mean("sluice_record_batch_records", { by: ["topic"] }),
    ]),
  ],
};

const WORKERS: Row = {
  title: "Workers",
  panels: [
    lines("Events received by worker", "cps", help("sluice_events_received_total"), [
      rate("sluice_events_received_total", { by: ["instance", "worker"] }),
    ]),
    lines("Share of the load", "none", help("sluice_worker_load_ratio"), [
      value("sluice_worker_load_ratio", { by: ["instance", "worker"] }),
    ]),
    lines(
      "Imbalance",
      "none",
      "The largest share of a worker over the mean: 1 is even.",
      [value("sluice_worker_imbalance_ratio", { by: ["instance"] })],
      { limit: 1.5 },
    ),
    lines("CPU by process", "short", "Cores.", [rate("process_cpu_seconds_total", { by: ["instance", "worker"] })]),
    lines("Ready", "none", help("sluice_worker_up"), [
      value("sluice_worker_up", { by: ["instance", "worker"], sum: "min" }),
    ]),
    lines("Restarts", "cps", help("sluice_worker_restarts_total"), [
      rate("sluice_worker_restarts_total", { by: ["instance", "worker"] }),
    ]),
  ],
};

const CALLERS: Row = {
  title: "gRPC and callers",
  panels: [
    lines("Events by caller", "cps", help("sluice_grpc_caller_events_total"), [
      rate("sluice_grpc_caller_events_total"),
    ]),
    lines("Connections by caller", "short", help("sluice_grpc_caller_connections"), [
      value("sluice_grpc_caller_connections"),
    ]),
    lines("Connections by worker", "short", help("sluice_grpc_connections"), [
      value("sluice_grpc_connections", { by: ["instance", "worker"] }),
    ]),
    lines("Batches by code", "cps", help("sluice_batches_total"), [rate("sluice_batches_total")], { stacked: true }),
    lines("Calls by method and code", "cps", help("sluice_grpc_calls_total"), [rate("sluice_grpc_calls_total")]),
    lines("Streams by worker", "short", help("sluice_grpc_streams"), [
      value("sluice_grpc_streams", { by: ["instance", "worker"] }),
    ]),
    lines("Sent and received", "Bps", "Bytes on gRPC connections.", [
      rate("sluice_grpc_received_bytes_total", { by: [], legend: "received" }),
      rate("sluice_grpc_sent_bytes_total", { by: [], legend: "sent" }),
    ]),
    lines("Clients that do not read", "cps", help("sluice_grpc_window_stalls_total"), [
      rate("sluice_grpc_window_stalls_total", { by: ["instance"] }),
    ]),
    lines(
      "Refused and attacked",
      "cps",
      "TLS handshakes that failed, and limits of the transport that a client went over.",
      [
        rate("sluice_grpc_handshake_failures_total", { legend: "TLS: {{reason}}" }),
        rate("sluice_grpc_attacks_total", { legend: "limit: {{attack}}" }),
      ],
    ),
  ],
};

const SPOOL: Row = {
  title: "Spool and dead letters",
  panels: [
    lines(
      "Spool",
      "percentunit",
      "Bytes on disk, as a share of SPOOL_BYTES_MAX.",
      [{ expr: recorded("worker:sluice_spool_bytes:ratio", ["worker"]), legend: "{{instance}} {{worker}}" }],
      { limit: 0.7 },
    ),
    lines(
      "Oldest in the spool",
      "s",
      help("sluice_spool_oldest_age_seconds"),
      [value("sluice_spool_oldest_age_seconds", { by: ["instance", "worker"] })],
      { limit: 300 },
    ),
    lines("Spooled events by topic", "short", help("sluice_events_spooled"), [
      value("sluice_events_spooled", { by: ["topic"] }),
    ]),
    lines("Forwarded by topic", "cps", help("sluice_events_forwarded_total"), [
      rate("sluice_events_forwarded_total", { by: ["topic"] }),
    ]),
    lines(
      "fdatasync",
      "s",
      help("sluice_spool_sync_seconds"),
      [quantile(0.5, "sluice_spool_sync_seconds", { by: [] }), quantile(0.99, "sluice_spool_sync_seconds", { by: [] })],
      { limit: 0.5 },
    ),
    lines("Faults", "cps", help("sluice_spool_errors_total"), [rate("sluice_spool_errors_total")]),
  ],
};

const LEDGER: Row = {
  title: "Ledger",
  panels: [
    lines("Events by outcome", "cps", "Received, and what became of them.", [
      rate("sluice_events_received_total", { by: [], legend: "received" }),
      rate("sluice_events_stored_total", { by: ["durability"], legend: "stored, {{durability}}" }),
      rate("sluice_events_failed_total", { by: [], legend: "failed" }),
      rate("sluice_events_dead_lettered_total", { by: [], legend: "dead-lettered" }),
    ]),
    lines("Failed by topic and reason", "cps", help("sluice_events_failed_total"), [
      rate("sluice_events_failed_total", { by: ["topic", "reason"] }),
    ]),
    lines("Mismatches", "short", help("sluice_ledger_mismatches"), [
      value("sluice_ledger_mismatches", { by: ["instance", "worker"] }),
    ]),
  ],
};

const RUNTIME: Row = {
  title: "Processes",
  panels: [
    lines(
      "Event loop, longest turn",
      "s",
      help("sluice_event_loop_delay_seconds"),
      [value("sluice_event_loop_delay_seconds", { by: ["instance", "worker"], where: 'percentile="100"' })],
      { limit: 0.25 },
    ),
    lines("Garbage collection", "percentunit", "The share of the time that it takes, by kind, over all processes.", [
      {
        expr: `sum by (kind) (${rateOf("nodejs_gc_duration_seconds", "", "_sum")})`,
        legend: "{{kind}}",
      },
    ]),
    lines(
      "Heap",
      "percentunit",
      "In use, as a share of its limit.",
      [
        {
          expr: `max by (instance, worker) (${series("nodejs_heap_size_used_bytes")} / ${series("nodejs_heap_size_limit_bytes")})`,
          legend: "{{instance}} {{worker}}",
        },
      ],
      { limit: 0.85 },
    ),
    lines(
      "Memory",
      "bytes",
      "Without mapped files, by process.",
      [value("sluice_process_own_memory_bytes", { by: ["instance", "worker"] })],
      { stacked: true },
    ),
    lines(
      "File descriptors",
      "percentunit",
      "Open, as a share of their limit.",
      [{ expr: recorded("worker:process_open_fds:ratio", ["worker"]), legend: "{{instance}} {{worker}}" }],
      { limit: 0.8 },
    ),
    lines("Sockets by state", "short", help("sluice_sockets"), [value("sluice_sockets", { by: ["state"] })]),
    lines(
      "Control group: CPU held back",
      "percentunit",
      "The share of periods in which its CPU was used up.",
      [
        {
          expr: recorded("instance:sluice_cgroup_cpu_throttled_periods:ratio_rate5m", []),
          legend: "{{instance}}",
        },
      ],
      { limit: 0.25 },
    ),
    lines(
      "Control group: memory",
      "percentunit",
      "What all processes take, as a share of its limit.",
      [{ expr: recorded("instance:sluice_memory:ratio", []), legend: "{{instance}}" }],
      { limit: 0.9 },
    ),
    lines(
      "Incidents",
      "short",
      help("sluice_incidents_total"),
      [
        {
          expr: `sum by (kind) (increase(${series("sluice_incidents_total")}[$__rate_interval]))`,
          legend: "{{kind}}",
        },
      ],
      { bars: true, stacked: true },
    ),
  ],
};

export function overview(): Dashboard {
  return {
    uid: "sluice-overview",
    title: "sluice: overview",
    description: "Where the time goes, from a client's batch to Kafka and back.",
    rows: [NOW, STAGES, QUEUES, BROKERS, WORKERS, CALLERS, SPOOL, LEDGER, RUNTIME],
  };
}
