import assert from "node:assert/strict";
import { resolve } from "node:path";
import test from "node:test";
import fc from "fast-check";
import { type Config, configMarkdown, loadConfig, optionRows, redacted, redactedArguments } from "../src/config.ts";
import { bytes, duration, formatBytes, formatDuration } from "../src/config/kinds.ts";
import { DEFAULT_TRIGGERS } from "../src/config/triggers.ts";

function config(env: Record<string, string>, flags: string[] = []): Config {
  const loaded = loadConfig(env, flags);
  assert.ok(loaded.ok, loaded.ok ? "" : loaded.errors.join("\n"));
  return loaded.config;
}

function mistakes(env: Record<string, string>, flags: string[] = []): readonly string[] {
  const loaded = loadConfig(env, flags);
  assert.ok(!loaded.ok, "it was taken for right");
  return loaded.errors;
}

test("without anything set, the service listens on loopback and keeps events in the spool", () => {
  const { workers, ...rest } = config({});
  assert.ok(workers >= 1);
  assert.deepEqual(rest, {
    grpcListen: { host: "127.0.0.1", port: 50051 },
    adminListen: { host: "127.0.0.1", port: 9464 },
    kafkaBrokers: [],
    kafkaClient: "direct",
    grpcServer: "native",
    grpcReceiveBytesMax: 64 * 1024 ** 2,
    grpcConnectionsMax: 10_000,
    grpcStreamsMax: 1_000,
    grpcStreamWindowBytes: 256 * 1024,
    grpcConnectionWindowBytes: 2 * 1024 ** 2,
    grpcHeaderListBytesMax: 16 * 1024,
    grpcUnsentBytesMax: 4 * 1024 ** 2,
    grpcHandshakeTimeoutMs: 10_000,
    grpcHeadersTimeoutMs: 10_000,
    grpcMessageTimeoutMs: 30_000,
    grpcStallTimeoutMs: 30_000,
    grpcKeepaliveTimeMs: 60_000,
    grpcKeepaliveTimeoutMs: 20_000,
    grpcConnectionIdleMaxMs: 900_000,
    grpcConnectionAgeMaxMs: 1_800_000,
    grpcConnectionAgeGraceMs: 30_000,
    adminTail: false,
    adminToken: undefined,
    adminTlsCertFile: undefined,
    adminTlsKeyFile: undefined,
    adminTlsClientCaFile: undefined,
    grpcTlsCertFile: undefined,
    grpcTlsKeyFile: undefined,
    grpcTlsClientCaFile: undefined,
    dataDir: resolve("data"),
    incidentTriggers: DEFAULT_TRIGGERS,
    logLevel: "info",
    kafkaClientId: "sluice",
    kafkaAutoCreateTopics: false,
    kafkaConnectTimeoutMs: 5_000,
    kafkaRequestTimeoutMs: 30_000,
    kafkaMetadataMaxAgeMs: 60_000,
    kafkaTls: false,
    kafkaTlsCaFile: undefined,
    kafkaSaslMechanism: undefined,
    kafkaSaslUsername: undefined,
    kafkaSaslPassword: undefined,
    lingerMs: 20,
    recordBatchBytesMax: 512 * 1024,
    admittedBytesMax: 64 * 1024 ** 2,
    admissionTimeoutMs: 5_000,
    grpcMessageBytesMax: 4 * 1024 ** 2,
    publishEventsMax: 65_536,
    deadLetterTopic: undefined,
    drainTimeoutMs: 20_000,
    spoolBytesMax: 10 * 1024 ** 3,
    spoolSegmentBytes: 64 * 1024 ** 2,
    incidentsMax: 20,
    incidentsBytesMax: 256 * 1024 ** 2,
    watchdogTimeoutMs: 5_000,
    metricsTopicsMax: 500,
    metricsCallersMax: 100,
    profiling: true,
    profileAgeMaxMs: 900_000,
    profileBytesMax: 64 * 1024 ** 2,
    tracing: "none",
    traceSampleRatio: 0.01,
    traceSampleRateMax: 50,
    otelExporterOtlpEndpoint: "http://localhost:4318",
    otelExporterOtlpTracesEndpoint: undefined,
    otelExporterOtlpHeaders: undefined,
    otelServiceName: undefined,
    otelResourceAttributes: undefined,
  });
});

test("every option is an environment variable and a flag, and the flag wins", () => {
  const env = { LINGER: "7ms", WORKERS: "3", KAFKA_TLS: "false" };
  const both = config(env, ["--linger", "9ms", "--kafka-tls"]);
  assert.deepEqual([both.lingerMs, both.workers, both.kafkaTls], [9, 3, true]);
  for (const { name, flag } of optionRows()) assert.equal(flag, `--${name.toLowerCase().replaceAll("_", "-")}`);
});

test("the keys are the options' names in camel case, and durations end in Ms", () => {
  const keys = Object.keys(config({}));
  const names = optionRows().map(({ name, placeholder }) => {
    const camel = name.toLowerCase().replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    return placeholder === "DURATION" ? `${camel}Ms` : camel;
  });
  assert.deepEqual(keys, names);
});

test("every default is right for its own option", () => {
  for (const { name, defaultText } of optionRows().filter(
    ({ defaultText }) => !/^(?:none|the cores)/.test(defaultText),
  ))
    assert.deepEqual(config({ [name]: defaultText }), config({}), name);
});

test("an empty variable is one that is not set, and an empty flag takes a variable back", () => {
  assert.equal(config({ LINGER: "", KAFKA_BROKERS: "" }).lingerMs, 20);
  assert.deepEqual(config({ KAFKA_BROKERS: "a:1" }, ["--kafka-brokers", ""]).kafkaBrokers, []);
});

test("addresses are host and port, IPv6 in brackets, port 0 where one listens", () => {
  const { grpcListen, adminListen } = config({ GRPC_LISTEN: "[::1]:0", ADMIN_LISTEN: "my-host.example:9000" });
  assert.deepEqual(grpcListen, { host: "::1", port: 0 });
  assert.deepEqual(adminListen, { host: "my-host.example", port: 9000 });
  assert.deepEqual(config({ KAFKA_BROKERS: " a:9092, [::1]:9093 ," }).kafkaBrokers, [
    { host: "a", port: 9092 },
    { host: "::1", port: 9093 },
  ]);
});

test("bytes have units", () => {
  for (const [given, expected] of [
    ["65536", 65_536],
    ["65536B", 65_536],
    ["64KiB", 65_536],
    ["1mib", 1024 ** 2],
    ["1 GiB", 1024 ** 3],
  ] as const)
    assert.equal(
      config({ RECORD_BATCH_BYTES_MAX: "1KiB", ADMITTED_BYTES_MAX: given, GRPC_MESSAGE_BYTES_MAX: "1KiB" })
        .admittedBytesMax,
      expected,
    );
});

test("a ratio is a part of one, and a URL is one of HTTP", () => {
  const ratios = ["0", "1", "0.5", "1.0"].map((given) => config({ TRACE_SAMPLE_RATIO: given }).traceSampleRatio);
  assert.deepEqual(ratios, [0, 1, 0.5, 1]);
  for (const given of ["1.1", "-1", "1%", "0,1", "x", "1e-2"]) {
    assert.deepEqual(mistakes({ TRACE_SAMPLE_RATIO: given }), [
      `TRACE_SAMPLE_RATIO: "${given}" is not right; give a number from 0 to 1, for example 0.01`,
    ]);
  }
  for (const given of ["collector:4318", "grpc://collector:4317", "http://"]) {
    assert.deepEqual(mistakes({ OTEL_EXPORTER_OTLP_ENDPOINT: given }), [
      `OTEL_EXPORTER_OTLP_ENDPOINT: "${given}" is not right; give a URL without user and password, for example http://127.0.0.1:4318`,
    ]);
  }
  for (const user of ["name:canary", "canary", ":canary", "name:can@ary"]) {
    const [line = "", ...more] = mistakes({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `http://${user}@collector:4318/a` });
    assert.match(line, /^OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http:\/\/\[redacted\]@collector:4318\/a" is not right;/);
    assert.deepEqual(more, []);
  }
});

test("durations have units", () => {
  for (const [given, expected] of [
    ["0", 0],
    ["250ms", 250],
    ["1.5s", 1500],
    ["20 s", 20_000],
    ["2m", 120_000],
    ["1h", 3_600_000],
  ] as const)
    assert.equal(config({ DRAIN_TIMEOUT: given }).drainTimeoutMs, expected);
});

test("what is printed reads back as the same number", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 46 }), (value) => {
      assert.deepEqual(bytes(0, 2 ** 46).parse(formatBytes(value)), { value });
    }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e9 }), (value) => {
      assert.deepEqual(duration(0, 1e9).parse(formatDuration(value)), { value });
    }),
  );
});

test("booleans are true, false, 1 or 0", () => {
  for (const [given, expected] of Object.entries({ true: true, false: false, 1: true, 0: false }))
    assert.equal(config({ KAFKA_AUTO_CREATE_TOPICS: given }).kafkaAutoCreateTopics, expected);
});

test("each mistake is one line that names the option, what was given and what is right", () => {
  const one = (env: Record<string, string>, flags: string[] = []) => {
    const errors = mistakes(env, flags);
    assert.equal(errors.length, 1, errors.join("\n"));
    return errors[0];
  };
  const address = "give host:port, for example 127.0.0.1:50051 or [::1]:50051";
  for (const given of [
    "50051",
    "host",
    "host:",
    ":1",
    "host:65536",
    "::1:50051",
    "[zz]:1",
    "[:::]:1",
    "a b:1",
    "http://a:1",
  ])
    assert.equal(one({ GRPC_LISTEN: given }), `GRPC_LISTEN: "${given}" is not right; ${address}`);
  for (const given of ["0", "-1", "1.5", "513", "many", " 1"])
    assert.equal(one({ WORKERS: given }), `WORKERS: "${given}" is not right; give a whole number from 1 to 512`);
  for (const given of ["5", "5 seconds", "-5ms", "61s", "ms"])
    assert.equal(
      one({ LINGER: given }),
      `LINGER: "${given}" is not right; give a duration from 0ms to 60s with its unit (ms, s, m or h)`,
    );
  for (const given of ["1", "1MB", "5GiB", "-1", "KiB"])
    assert.equal(
      one({ SPOOL_SEGMENT_BYTES: given }),
      `SPOOL_SEGMENT_BYTES: "${given}" is not right; give bytes from 64KiB to 4GiB with their unit (KiB, MiB or GiB)`,
    );
  for (const given of ["yes", "TRUE", "2"])
    assert.equal(one({ KAFKA_TLS: given }), `KAFKA_TLS: "${given}" is not right; give true or false`);
  assert.equal(one({ KAFKA_CLIENT: "librdkafka" }), 'KAFKA_CLIENT: "librdkafka" is not right; give direct or kafkajs');
  assert.equal(one({ GRPC_SERVER: "http2" }), 'GRPC_SERVER: "http2" is not right; give native or grpc-js');
  for (const given of ["kafka", "a:1,b", "a:0", "a:1 b:2"])
    assert.equal(
      one({ KAFKA_BROKERS: given }),
      `KAFKA_BROKERS: "${given}" is not right; give host:port, separated by commas, for example kafka-1:9092,kafka-2:9092`,
    );
  assert.equal(
    one({ LOG_LEVEL: "verbose" }),
    'LOG_LEVEL: "verbose" is not right; give trace, debug, info, warn, error, fatal or silent',
  );
});

test("mistakes on the command line name the flag", () => {
  assert.deepEqual(mistakes({}, ["--linger", "5", "--no-such", "3", "stray", "--data-dir"]), [
    "--no-such: no such option; `sluice serve --help` lists them",
    "--data-dir: a value is missing; give a path",
    'unexpected argument "stray"; options start with --',
    '--linger: "5" is not right; give a duration from 0ms to 60s with its unit (ms, s, m or h)',
  ]);
  assert.deepEqual(mistakes({}, ["--data-dir", "--linger", "5ms"]), [
    "--data-dir: a value is missing; give a path",
    'unexpected argument "5ms"; options start with --',
  ]);
});

test("all mistakes are told at once", () => {
  assert.equal(mistakes({ WORKERS: "0", LINGER: "x", GRPC_LISTEN: "x", KAFKA_BROKERS: "x" }).length, 4);
});

test("options that contradict each other are told", () => {
  const sasl = { KAFKA_SASL_USERNAME: "u", KAFKA_SASL_PASSWORD: "hush" };
  assert.deepEqual(mistakes(sasl), [
    "KAFKA_SASL_MECHANISM: missing, but a user or password is given; give PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
  ]);
  assert.deepEqual(mistakes({ KAFKA_SASL_MECHANISM: "PLAIN" }), [
    "KAFKA_SASL_USERNAME: missing; KAFKA_SASL_MECHANISM=PLAIN needs it",
    "KAFKA_SASL_PASSWORD: missing; KAFKA_SASL_MECHANISM=PLAIN needs it",
  ]);
  assert.ok(loadConfig({ ...sasl, KAFKA_SASL_MECHANISM: "SCRAM-SHA-512" }).ok);
  assert.deepEqual(mistakes({ KAFKA_TLS_CA_FILE: "ca.pem" }), [
    'KAFKA_TLS_CA_FILE: "ca.pem" has no use without TLS; give KAFKA_TLS=true',
  ]);
  assert.deepEqual(mistakes({ ADMITTED_BYTES_MAX: "1MiB" }), [
    "ADMITTED_BYTES_MAX: 1MiB is less than one message may have; give at least GRPC_MESSAGE_BYTES_MAX (4MiB)",
  ]);
  assert.deepEqual(mistakes({ SPOOL_BYTES_MAX: "1MiB" }), [
    "SPOOL_BYTES_MAX: 1MiB is less than one segment; give at least SPOOL_SEGMENT_BYTES (64MiB)",
  ]);
  assert.deepEqual(mistakes({ ADMIN_LISTEN: "127.0.0.1:50051" }), [
    "ADMIN_LISTEN: 127.0.0.1:50051 is GRPC_LISTEN's; give another port",
  ]);
});

test("a configuration is plain data that nobody can change", () => {
  const loaded = config({ KAFKA_BROKERS: "a:1" });
  assert.deepEqual(structuredClone(loaded), loaded);
  assert.throws(() => {
    (loaded.kafkaBrokers[0] as { port: number }).port = 2;
  }, TypeError);
  assert.throws(() => {
    (loaded as { workers: number }).workers = 2;
  }, TypeError);
});

test("a secret is not printed", () => {
  const env = { KAFKA_SASL_MECHANISM: "PLAIN", KAFKA_SASL_USERNAME: "u", KAFKA_SASL_PASSWORD: "hush" };
  const printed = JSON.stringify(redacted(config(env)));
  assert.ok(!printed.includes("hush"));
  assert.match(printed, /"kafkaSaslPassword":"\[redacted\]"/);
  assert.match(JSON.stringify(redacted(config({}))), /"kafkaSaslPassword":null/);
});

test("a command line is shown without its secrets", () => {
  const args = ["node", "serve", "--kafka-sasl-password", "hush", "--admin-token=hush", "--workers=2", "--admin-token"];
  assert.deepEqual(redactedArguments(args), [
    "node",
    "serve",
    "--kafka-sasl-password",
    "[redacted]",
    "--admin-token=[redacted]",
    "--workers=2",
    "--admin-token",
  ]);
});

test("a token that is too short or cannot be sent is refused, and not printed", () => {
  for (const given of ["hush-hush", "hush hush hush hush", "hush:hush:hush:hush", `${"ä".repeat(20)}hush`]) {
    const [line, ...more] = mistakes({ ADMIN_TOKEN: given });
    assert.deepEqual(more, []);
    assert.match(line ?? "", /^ADMIN_TOKEN: what was given is not right; give at least 16 of /);
    assert.ok(!line?.includes("hush"));
  }
  const token = "Zm9v/YmFy+YmF6-_.~0=";
  assert.equal(config({ ADMIN_TOKEN: token }).adminToken, token);
  assert.ok(!JSON.stringify(redacted(config({ ADMIN_TOKEN: token }))).includes(token));
});

test("a certificate has a key, and what a certificate is needed for has one", () => {
  for (const prefix of ["GRPC_TLS", "ADMIN_TLS"]) {
    const names = { cert: `${prefix}_CERT_FILE`, key: `${prefix}_KEY_FILE`, clientCa: `${prefix}_CLIENT_CA_FILE` };
    assert.deepEqual(mistakes({ [names.cert]: "c" }), [
      `${names.key}: missing, but ${names.cert} is given; give the certificate's key, too`,
    ]);
    for (const given of [names.key, names.clientCa])
      assert.deepEqual(mistakes({ [given]: "x" }), [
        `${names.cert}: missing, but ${given} is given; give a certificate, too`,
      ]);
    assert.ok(loadConfig({ [names.cert]: "c", [names.key]: "k", [names.clientCa]: "a" }).ok);
  }
});

test("the table for the docs has a row for every option", () => {
  const lines = configMarkdown().trimEnd().split("\n");
  assert.deepEqual(lines.slice(0, 3), [
    "| name | default | values | meaning |",
    "|---|---|---|---|",
    "| `GRPC_LISTEN` | `127.0.0.1:50051` | host:port | Where events are taken; port 0 is any free one. |",
  ]);
  assert.equal(lines.length, 2 + optionRows().length);
});

test("a dead-letter topic has a name that Kafka takes", () => {
  for (const name of ["dead", "Dead.letters_of-2", "x".repeat(249)])
    assert.equal(config({ DEAD_LETTER_TOPIC: name }).deadLetterTopic, name);
  assert.equal(config({ DEAD_LETTER_TOPIC: "" }).deadLetterTopic, undefined);
  for (const name of [".", "..", "a b", "a/b", "é", "x".repeat(250)])
    assert.deepEqual(mistakes({ DEAD_LETTER_TOPIC: name }), [
      `DEAD_LETTER_TOPIC: ${JSON.stringify(name)} is not right; give the name of a topic: 1 to 249 of a-z, A-Z, 0-9, ".", "_" and "-"`,
    ]);
});
