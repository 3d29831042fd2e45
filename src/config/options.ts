// The option table: every setting of the service, its default and its meaning.
//
// It is data alone. config.ts reads the environment and the flags by it and renders it as --help and as documentation.

import { availableParallelism } from "node:os";
import {
  type Address,
  boolean,
  brokerList,
  bytes,
  duration,
  httpUrl,
  integer,
  type Kind,
  listenAddress,
  oneOf,
  path,
  ratio,
  text,
  token,
  topicName,
} from "./kinds.ts";
import { triggers } from "./triggers.ts";

export interface Option<T> {
  /** The environment variable. */
  readonly name: string;
  readonly kind: Kind<unknown>;
  readonly byDefault: () => T;
  /** The default as people read it. */
  readonly defaultText: string;
  /** One sentence. */
  readonly meaning: string;
  /** Never printed. */
  readonly secret: boolean;
}

/** What `--help` says of an option that nothing is given for. */
export const NONE = "none";
export const CORES = "the cores available";

/** An option whose default is written as its users would write it. */
function option<T>(name: string, kind: Kind<T>, defaultText: string, meaning: string): Option<T> {
  const byDefault = () => {
    const read = kind.parse(defaultText);
    if (!("value" in read)) throw new Error(`the default of ${name} is not ${read.right}`);
    return read.value;
  };
  return { name, kind, byDefault, defaultText, meaning, secret: false };
}

/** An option that may be absent. */
function optional<T>(name: string, kind: Kind<T>, meaning: string, secret = false): Option<T | undefined> {
  return { name, kind, byDefault: () => undefined, defaultText: NONE, meaning, secret };
}

const KIB = 1024;
const MIB = KIB ** 2;
const GIB = KIB ** 3;
const HOUR = 3_600_000;

export const OPTIONS = {
  grpcListen: option(
    "GRPC_LISTEN",
    listenAddress,
    "127.0.0.1:50051",
    "Where events are taken; port 0 is any free one.",
  ),
  adminListen: option(
    "ADMIN_LISTEN",
    listenAddress,
    "127.0.0.1:9464",
    "Where /metrics, /healthz and /readyz are served, and the page and /debug/, which are for this host alone unless there is ADMIN_TOKEN or ADMIN_TLS_CLIENT_CA_FILE.",
  ),
  workers: { ...option("WORKERS", integer(1, 512), CORES, "Worker processes."), byDefault: availableParallelism },
  kafkaBrokers: {
    ...option(
      "KAFKA_BROKERS",
      brokerList,
      NONE,
      "Kafka's bootstrap brokers; with none, events are kept in the spool and acknowledged as PERSISTED.",
    ),
    byDefault: (): readonly Address[] => [],
  },
  kafkaClient: option("KAFKA_CLIENT", oneOf("direct", "kafkajs"), "direct", "The Kafka client that produces."),
  grpcServer: option(
    "GRPC_SERVER",
    oneOf("native", "grpc-js"),
    "native",
    "The gRPC server: this service's own, or @grpc/grpc-js, which knows none of the limits below but GRPC_MESSAGE_BYTES_MAX.",
  ),
  dataDir: option(
    "DATA_DIR",
    path,
    "./data",
    "The directory of the spool; it has to be on a disk that keeps its data.",
  ),
  logLevel: option(
    "LOG_LEVEL",
    oneOf("trace", "debug", "info", "warn", "error", "fatal", "silent"),
    "info",
    "The least level that is logged, as JSON lines on standard error.",
  ),

  adminToken: optional(
    "ADMIN_TOKEN",
    token,
    "The token that opens the page and /debug/ to other hosts, as Authorization: Bearer or as the password of Basic; set it in the environment, since flags show up in process lists, and give ADMIN_TLS_CERT_FILE, since it can be read on the way otherwise.",
    true,
  ),
  adminTlsCertFile: optional(
    "ADMIN_TLS_CERT_FILE",
    path,
    "The PEM file of the certificate, with its chain, that the admin port shows; without it, the port speaks plaintext.",
  ),
  adminTlsKeyFile: optional("ADMIN_TLS_KEY_FILE", path, "The PEM file of the certificate's key."),
  adminTlsClientCaFile: optional(
    "ADMIN_TLS_CLIENT_CA_FILE",
    path,
    "The PEM file of the authorities that sign clients' certificates; with such a certificate, other hosts get the page and /debug/ (mTLS).",
  ),
  adminTail: option(
    "ADMIN_TAIL",
    boolean,
    "false",
    "Lets the page show the events of a topic as they come in, a few a second, to whoever may see the page: it is the only place where payloads are shown.",
  ),
  incidentTriggers: option(
    "INCIDENT_TRIGGERS",
    triggers,
    "default",
    "Which values make an incident by themselves; docs/operations.md has their names and defaults.",
  ),

  kafkaClientId: option("KAFKA_CLIENT_ID", text("NAME"), "sluice", "The client id that brokers log and set quotas by."),
  kafkaAutoCreateTopics: option(
    "KAFKA_AUTO_CREATE_TOPICS",
    boolean,
    "false",
    "Creates a topic that does not exist, with the cluster's defaults; otherwise its events fail.",
  ),
  kafkaConnectTimeoutMs: option(
    "KAFKA_CONNECT_TIMEOUT",
    duration(10, HOUR),
    "5s",
    "How long a connection to a broker may take, TLS and SASL included.",
  ),
  kafkaRequestTimeoutMs: option(
    "KAFKA_REQUEST_TIMEOUT",
    duration(10, HOUR),
    "30s",
    "How long a broker may take to answer a request.",
  ),
  kafkaMetadataMaxAgeMs: option(
    "KAFKA_METADATA_MAX_AGE",
    duration(100, 24 * HOUR),
    "60s",
    "How old the knowledge of topics and leaders may get before it is fetched again.",
  ),
  kafkaTls: option("KAFKA_TLS", boolean, "false", "Speaks TLS to brokers."),
  kafkaTlsCaFile: optional(
    "KAFKA_TLS_CA_FILE",
    path,
    "The PEM file of the authorities that may sign brokers' certificates, instead of the system's.",
  ),
  kafkaSaslMechanism: optional(
    "KAFKA_SASL_MECHANISM",
    oneOf("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    "How to authenticate to brokers.",
  ),
  kafkaSaslUsername: optional("KAFKA_SASL_USERNAME", text("NAME"), "The user that authenticates to brokers."),
  kafkaSaslPassword: optional(
    "KAFKA_SASL_PASSWORD",
    text("SECRET"),
    "That user's password; set it in the environment, since flags show up in process lists.",
    true,
  ),

  deadLetterTopic: optional(
    "DEAD_LETTER_TOPIC",
    topicName,
    "The topic that takes what Kafka refuses for good of what was PERSISTED, instead of the dead-letter log.",
  ),

  lingerMs: option(
    "LINGER",
    duration(0, 60_000),
    "20ms",
    "How long a record batch waits to be filled while another of its partition is in flight; a small one, while any is to its broker.",
  ),
  recordBatchBytesMax: option(
    "RECORD_BATCH_BYTES_MAX",
    bytes(KIB, 64 * MIB),
    "512KiB",
    "The size at which a record batch is sealed; topics that take less are given less.",
  ),
  admittedBytesMax: option(
    "ADMITTED_BYTES_MAX",
    bytes(64 * KIB, 64 * GIB),
    "64MiB",
    "The bytes of batches that a worker holds without an answer; beyond it streams are not read.",
  ),
  admissionTimeoutMs: option(
    "ADMISSION_TIMEOUT",
    duration(0, HOUR),
    "5s",
    "How long a batch waits for room before it is refused with RESOURCE_EXHAUSTED.",
  ),
  grpcMessageBytesMax: option("GRPC_MESSAGE_BYTES_MAX", bytes(KIB, GIB), "4MiB", "The largest request message."),
  grpcReceiveBytesMax: option(
    "GRPC_RECEIVE_BYTES_MAX",
    bytes(64 * KIB, 64 * GIB),
    "64MiB",
    "The bytes of messages that a worker holds because they are not complete or their stream is not read; beyond it calls end with RESOURCE_EXHAUSTED.",
  ),
  grpcConnectionsMax: option(
    "GRPC_CONNECTIONS_MAX",
    integer(1, 1_000_000),
    "10000",
    "The connections of a worker, never more than its file descriptors allow; one more is told so with GOAWAY and closed.",
  ),
  grpcStreamsMax: option(
    "GRPC_STREAMS_MAX",
    integer(1, 100_000),
    "1000",
    "The calls that a client may have open on one connection.",
  ),
  grpcStreamWindowBytes: option(
    "GRPC_STREAM_WINDOW_BYTES",
    bytes(KIB, GIB),
    "256KiB",
    "The bytes that a client may send on a call ahead of what the service has taken.",
  ),
  grpcConnectionWindowBytes: option(
    "GRPC_CONNECTION_WINDOW_BYTES",
    bytes(64 * KIB, GIB),
    "2MiB",
    "The same over all calls of a connection.",
  ),
  grpcHeaderListBytesMax: option(
    "GRPC_HEADER_LIST_BYTES_MAX",
    bytes(KIB, MIB),
    "16KiB",
    "The largest list of request headers; a larger one is answered with status 431.",
  ),
  grpcUnsentBytesMax: option(
    "GRPC_UNSENT_BYTES_MAX",
    bytes(64 * KIB, GIB),
    "4MiB",
    "The bytes of answers that a connection holds for a client which does not take them; beyond it new calls are refused, and at four times that it is closed.",
  ),
  grpcHandshakeTimeoutMs: option(
    "GRPC_HANDSHAKE_TIMEOUT",
    duration(100, HOUR),
    "10s",
    "How long a new connection may take for TLS and for the beginning of HTTP/2, each.",
  ),
  grpcHeadersTimeoutMs: option(
    "GRPC_HEADERS_TIMEOUT",
    duration(100, HOUR),
    "10s",
    "How long the headers of a request may take, from their first byte to their last.",
  ),
  grpcMessageTimeoutMs: option(
    "GRPC_MESSAGE_TIMEOUT",
    duration(100, HOUR),
    "30s",
    "How long a message may take, from its first byte to its last.",
  ),
  grpcStallTimeoutMs: option(
    "GRPC_STALL_TIMEOUT",
    duration(100, HOUR),
    "30s",
    "How long a client with answers to take may take none before its connection is closed.",
  ),
  grpcKeepaliveTimeMs: option(
    "GRPC_KEEPALIVE_TIME",
    duration(1_000, 24 * HOUR),
    "60s",
    "A connection on which nothing came for this long is sent a PING.",
  ),
  grpcKeepaliveTimeoutMs: option(
    "GRPC_KEEPALIVE_TIMEOUT",
    duration(100, HOUR),
    "20s",
    "How long a client may take to answer it before its connection is closed.",
  ),
  grpcConnectionIdleMaxMs: option(
    "GRPC_CONNECTION_IDLE_MAX",
    duration(1_000, 365 * 24 * HOUR),
    "15m",
    "How long a connection may be without calls before it is closed.",
  ),
  grpcConnectionAgeMaxMs: option(
    "GRPC_CONNECTION_AGE_MAX",
    duration(1_000, 365 * 24 * HOUR),
    "30m",
    "How old a connection may get, give or take a tenth, before its client is asked to open another: so load finds its way to new workers and pods.",
  ),
  grpcConnectionAgeGraceMs: option(
    "GRPC_CONNECTION_AGE_GRACE",
    duration(100, HOUR),
    "30s",
    "How long its calls may take to end then; streams are told with Drain.",
  ),
  grpcTlsCertFile: optional(
    "GRPC_TLS_CERT_FILE",
    path,
    "The PEM file of the certificate, with its chain, that the gRPC port shows; without it, the port speaks plaintext.",
  ),
  grpcTlsKeyFile: optional("GRPC_TLS_KEY_FILE", path, "The PEM file of the certificate's key."),
  grpcTlsClientCaFile: optional(
    "GRPC_TLS_CLIENT_CA_FILE",
    path,
    "The PEM file of the authorities that sign clients' certificates; with it, clients without one are refused (mTLS).",
  ),
  publishEventsMax: option("PUBLISH_EVENTS_MAX", integer(1, 1_000_000), "65536", "The most events in one batch."),
  drainTimeoutMs: option(
    "DRAIN_TIMEOUT",
    duration(0, HOUR),
    "20s",
    "How long a worker that ends may take to settle what it has taken; keep it below the grace period of what stops it.",
  ),
  spoolBytesMax: option(
    "SPOOL_BYTES_MAX",
    bytes(MIB, 64 * 1024 * GIB),
    "10GiB",
    "The spool's cap over all workers; beyond it PERSISTED batches are refused with RESOURCE_EXHAUSTED.",
  ),
  spoolSegmentBytes: option(
    "SPOOL_SEGMENT_BYTES",
    bytes(64 * KIB, 4 * GIB),
    "64MiB",
    "The size of one of the spool's files; disk is given back a file at a time.",
  ),

  incidentsMax: option(
    "INCIDENTS_MAX",
    integer(1, 10_000),
    "20",
    "The incidents that are kept in DATA_DIR/incidents; one more puts one out, repeats of a kind and worker first.",
  ),
  incidentsBytesMax: option(
    "INCIDENTS_BYTES_MAX",
    bytes(MIB, 64 * GIB),
    "256MiB",
    "The bytes that they may take on disk.",
  ),
  watchdogTimeoutMs: option(
    "WATCHDOG_TIMEOUT",
    duration(1_000, HOUR),
    "5s",
    "How long a worker's main thread may be stuck before its stack is taken and an incident recorded.",
  ),
  metricsTopicsMax: option(
    "METRICS_TOPICS_MAX",
    integer(1, 100_000),
    "500",
    "Topics that metrics tell by name; those that come after so many are told together, as other.",
  ),
  metricsCallersMax: option(
    "METRICS_CALLERS_MAX",
    integer(1, 100_000),
    "100",
    "Callers that metrics tell by name at a time.",
  ),
  profiling: option(
    "PROFILING",
    boolean,
    "true",
    "Samples CPU and heap of every process from its start and keeps the last while below DATA_DIR.",
  ),
  profileAgeMaxMs: option("PROFILE_AGE_MAX", duration(60_000, 24 * HOUR), "15m", "How long profiles are kept."),
  profileBytesMax: option(
    "PROFILE_BYTES_MAX",
    bytes(MIB, 64 * GIB),
    "64MiB",
    "What profiles may take on disk, of all processes; the oldest go first.",
  ),

  tracing: option(
    "TRACING",
    oneOf("none", "otlp"),
    "none",
    "Where traces of requests go: nowhere, or to an OpenTelemetry collector by OTLP over HTTP; docs/tracing.md has the rest.",
  ),
  traceSampleRatio: option(
    "TRACE_SAMPLE_RATIO",
    ratio,
    "0.01",
    "Which part of the requests that come without a trace context is recorded; one that comes with it is recorded if its client's span is.",
  ),
  traceSampleRateMax: option(
    "TRACE_SAMPLE_RATE_MAX",
    integer(1, 1_000_000),
    "50",
    "How many of them a worker records a second at most, so that what traces cost has a bound under any load.",
  ),
  otelExporterOtlpEndpoint: option(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    httpUrl,
    "http://localhost:4318",
    "The collector; /v1/traces is added.",
  ),
  otelExporterOtlpTracesEndpoint: optional(
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    httpUrl,
    "Where the collector takes traces, with the whole path; it wins over OTEL_EXPORTER_OTLP_ENDPOINT.",
  ),
  otelExporterOtlpHeaders: optional(
    "OTEL_EXPORTER_OTLP_HEADERS",
    text("NAME=VALUE,..."),
    "Headers of each export, name=value, percent-encoded, separated by commas.",
    true,
  ),
  otelServiceName: optional(
    "OTEL_SERVICE_NAME",
    text("NAME"),
    "The service's name in traces; without it, that of OTEL_RESOURCE_ATTRIBUTES, or sluice.",
  ),
  otelResourceAttributes: optional(
    "OTEL_RESOURCE_ATTRIBUTES",
    text("NAME=VALUE,..."),
    "What else traces say of the service, name=value, percent-encoded, separated by commas.",
  ),
} as const;

type Options = typeof OPTIONS;
export type Key = keyof Options;
type Value<K extends Key> = Options[K] extends Option<infer T> ? T : never;

/** The service's configuration: plain data, deeply frozen. Bytes are bytes, keys that end in `Ms` are milliseconds. */
export type Config = { readonly [K in Key]: Value<K> };
