// The composition root of a worker: builds the parts, starts them from the inside out, drains them from the outside in.
//
//   gRPC server ─ EventIngest ─ Pipeline ─┬─ REPLICATED ─┬─ BehindSpool ─┬─────────────────────── Producer ─ Kafka
//                                         └─ PERSISTED ──┘               └─ Spool ── Forwarder ─── Producer
//                                                                                       └──────── DeadLetters
//
// Without brokers there is no producer and no forwarder: everything is PERSISTED, and waits in the spool for a start with
// KAFKA_BROKERS. The dead-letter log is open all the same, so that operators can deal with what an earlier run left there. Which Kafka client and which gRPC server it is, is one line each here and nowhere else.
//
// Clock, disk, sockets, chance and the gRPC server come as an `Environment`, so that a simulation runs this very composition.

import { readFile } from "node:fs/promises";
import { type Clock, systemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { Code, IngestError } from "./errors.ts";
import { file_google_rpc_error_details } from "./gen/google/rpc/error_details_pb.js";
import { Health as HealthService } from "./gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "./gen/grpc/reflection/v1/reflection_pb.js";
import { EventIngest as EventIngestService } from "./gen/sluice/v1/ingest_pb.js";
import { grpcJsOptions, nativeOptions } from "./grpc-options.ts";
import { Callers } from "./grpc/callers.ts";
import { Health } from "./grpc/health.ts";
import { NativeServer } from "./grpc/native/server.ts";
import { EventIngest } from "./grpc/publish.ts";
import { Reflection } from "./grpc/reflection.ts";
import type { CallersState, GrpcServer, Method } from "./grpc/server.ts";
import { Pipeline } from "./ingest/pipeline.ts";
import type { Producer, ProducerState } from "./ingest/producer.ts";
import { repartition } from "./ingest/repartition.ts";
import { UnassignedTopics } from "./ingest/unassigned-topics.ts";
import type { Dial } from "./kafka/direct/connection.ts";
import { LedgerCheck } from "./ledger-check.ts";
import type { Component } from "./lifecycle.ts";
import { BehindSpool } from "./spool/behind-spool.ts";
import { DeadLetterTopic } from "./spool/dead-letter-topic.ts";
import { DeadLetters, type DropOutcome, type DropRequest } from "./spool/dead-letters.ts";
import { type SpoolDirectories, spoolDirectories } from "./spool/directories.ts";
import { type FileSystem, nodeFileSystem } from "./spool/file-system.ts";
import { Forwarder } from "./spool/forwarder.ts";
import type { SpoolDependencies } from "./spool/segment-log.ts";
import { Spool } from "./spool/spool.ts";
import { type Attribution, noAttribution } from "./telemetry/attribution.ts";
import type { Logger } from "./telemetry/log.ts";
import { createMetrics, type Metrics } from "./telemetry/metrics.ts";
import type { SendSpans } from "./tracing/span-data.ts";
import type { WorkerTracing } from "./tracing/worker-tracing.ts";

export type { DropOutcome, DropRequest } from "./spool/dead-letters.ts";

/** What a worker's parts have to do, for whoever looks for the cause of an incident; plain data. */
export interface ServiceState {
  /** Undefined without brokers. */
  readonly kafka: ProducerState | undefined;
  /** Undefined until it listens. */
  readonly callers: CallersState | undefined;
}

/** A worker's service. */
export interface Service extends Component {
  /** Where gRPC listens, once started. */
  readonly address: { readonly host: string; readonly port: number };
  readonly metrics: Metrics;
  /** Forgets metrics of topics and callers that are gone; to be called before what changed is told. */
  retireMetrics(): void;
  /** `ready` says whether batches have a chance to be stored; `problems` what is wrong, one sentence each. */
  health(): { ready: boolean; problems: string[] };
  inspect(): ServiceState;
  /** Drops letters from the dead-letter logs that this worker holds; see `DeadLetters.drop`. */
  dropDeadLetters(request: DropRequest): Promise<DropOutcome>;
}

/** What a worker's parts meet of the world. */
export interface Environment {
  readonly clock: Clock;
  readonly fs: FileSystem;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** Opens the direct producer's sockets; undefined: real ones. */
  readonly dial: Dial | undefined;
  readonly createServer: (
    methods: readonly Method[],
    log: Logger,
    metrics: Metrics,
    config: Config,
    attribution?: Attribution,
  ) => GrpcServer | Promise<GrpcServer>;
}

export interface ServiceOptions {
  readonly config: Config;
  /** Its slot, from 0 to WORKERS - 1; the slot's spool directory is its own. */
  readonly workerIndex: number;
  readonly log: Logger;
  /** Labels the samples of a profiler, if there is one. */
  readonly attribution?: Attribution;
  /** Takes spans to where they are exported; undefined: nothing is traced, whatever TRACING says. */
  readonly sendSpans?: SendSpans | undefined;
  /** Replaced where faults are simulated. */
  readonly environment?: Environment;
}

export const realEnvironment: Environment = {
  clock: systemClock,
  fs: nodeFileSystem,
  random: Math.random,
  dial: undefined,
  // grpc-js is loaded only where it is asked for, as Kafka's clients are.
  createServer: async (methods, log, metrics, config, attribution) =>
    config.grpcServer === "native"
      ? new NativeServer({ log, metrics, clock: systemClock, attribution }, methods, nativeOptions(config))
      : new (await import("./grpc/grpc-js.ts")).GrpcJsServer(log, metrics, methods, grpcJsOptions(config)),
};

/** What dropping dead letters without a service may take, when the service starts meanwhile. */
const DEAD_LETTERS_WAIT_MS = 10_000;
/**
 * How long before its deadline a draining worker ends the calls that are left, in milliseconds, but never more than a quarter
 * of its time. In the first half of it what was taken of them can settle, in the second what is on its way from the spool can
 * land; and the last statuses are on their way before sockets close.
 */
const CALLS_END_EARLY_MS = 1_000;

export function createService(options: ServiceOptions): Service {
  return new WorkerService(options);
}

class WorkerService implements Service {
  readonly metrics: Metrics;
  readonly #config: Config;
  readonly #workerIndex: number;
  readonly #log: Logger;
  readonly #attribution: Attribution;
  readonly #sendSpans: SendSpans | undefined;
  readonly #environment: Environment;
  /** In the order of their start. */
  readonly #started: Component[] = [];
  readonly #callers: Callers;
  readonly #healthService = new Health([EventIngestService.typeName]);
  readonly #spoolDependencies: SpoolDependencies;
  #tracing: WorkerTracing | undefined;
  #spool: Spool | undefined;
  #deadLetters: DeadLetters | undefined;
  #forwarder: Forwarder | undefined;
  #producer: Producer | undefined;
  #pipeline: Pipeline | undefined;
  #eventIngest: EventIngest | undefined;
  #server: GrpcServer | undefined;
  #ledgerCheck: LedgerCheck | undefined;
  #draining = false;

  constructor({
    config,
    workerIndex,
    log,
    attribution = noAttribution,
    sendSpans,
    environment = realEnvironment,
  }: ServiceOptions) {
    this.#config = config;
    this.#workerIndex = workerIndex;
    this.#log = log;
    this.#attribution = attribution;
    this.#sendSpans = sendSpans;
    this.#environment = environment;
    this.metrics = createMetrics({ topicsMax: config.metricsTopicsMax, callersMax: config.metricsCallersMax });
    this.#callers = new Callers(this.metrics);
    const { clock, fs } = environment;
    this.#spoolDependencies = { log, metrics: this.metrics, clock, fs, attribution };
  }

  get address(): { readonly host: string; readonly port: number } {
    return this.#server?.address ?? this.#config.grpcListen;
  }

  health(): { ready: boolean; problems: string[] } {
    const producer = this.#producer?.health();
    const problems = [
      ...(producer?.problems ?? []),
      ...(this.#spool?.health().problems ?? []),
      ...(this.#forwarder?.health().problems ?? []),
      ...(this.#deadLetters?.health().problems ?? []),
      ...(this.#ledgerCheck?.problems ?? []),
      ...(this.#draining ? ["the worker is draining"] : []),
    ];
    return { ready: this.#server !== undefined && !this.#draining && (producer?.ready ?? true), problems };
  }

  retireMetrics(): void {
    this.#pipeline?.retireTopics();
    this.#callers.retireGone();
  }

  inspect(): ServiceState {
    return { kafka: this.#producer?.inspect(), callers: this.#server?.inspect() };
  }

  async dropDeadLetters(request: DropRequest): Promise<DropOutcome> {
    if (this.#deadLetters !== undefined) return await this.#deadLetters.drop(request);
    throw new IngestError(Code.UNAVAILABLE, "the worker is starting: try again", { retryable: true });
  }

  async start(): Promise<void> {
    const directories = await this.#directories();
    await this.#startTracing();
    const spool = await this.#startSpool(directories);
    const deadLetters = await this.#startDeadLetters(directories);
    this.#producer = await this.#startProducer();
    if (this.#producer !== undefined) await this.#startForwarder(spool, this.#producer, deadLetters);
    this.#pipeline = this.#createPipeline(spool);
    this.#startLedgerCheck(spool, this.#pipeline);
    const { clock, createServer } = this.#environment;
    this.#eventIngest = new EventIngest({
      pipeline: this.#pipeline,
      metrics: this.metrics,
      clock,
      attribution: this.#attribution,
      tracing: this.#tracing?.tracer,
      callers: this.#callers,
    });
    const services = [EventIngestService, HealthService, ServerReflection];
    const reflection = new Reflection(services, [file_google_rpc_error_details]);
    const methods = [...this.#eventIngest.methods, ...this.#healthService.methods, ...reflection.methods];
    const server = await createServer(methods, this.#log, this.metrics, this.#config, this.#attribution);
    await this.#startComponent(server);
    this.#server = server;
    this.#healthService.setServing(true);
  }

  /** Tells clients, settles what is taken, and empties what can be emptied in time; what is spooled stays spooled. */
  async drain(deadlineMs: number): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    this.#healthService.setServing(false);
    this.#healthService.end();
    const leftMs = Math.max(0, deadlineMs - this.#environment.clock.now());
    const earlyMs = Math.min(CALLS_END_EARLY_MS, leftMs / 4);
    await Promise.all([this.#eventIngest?.drain(deadlineMs - earlyMs), this.#server?.drain(deadlineMs - earlyMs / 2)]);
    await this.#pipeline?.drain(deadlineMs - earlyMs / 2);
    for (const component of this.#started.toReversed()) {
      if (component !== this.#server) await component.drain(deadlineMs);
    }
    this.#ledgerCheck?.check();
  }

  async dispose(): Promise<void> {
    this.#ledgerCheck?.stop();
    for (const component of this.#started.splice(0).toReversed()) await component.dispose();
  }

  async #directories(): Promise<SpoolDirectories> {
    const { dataDir, workers } = this.#config;
    try {
      return await spoolDirectories(dataDir, this.#workerIndex, workers, this.#environment.fs);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const message = `DATA_DIR: cannot read ${dataDir}: ${why}; give a directory that this user may read and write`;
      throw new IngestError(Code.FAILED_PRECONDITION, message, { cause });
    }
  }

  /** First of all parts, and so the last to be drained: it takes the others' spans. */
  async #startTracing(): Promise<void> {
    const { tracing, traceSampleRatio, traceSampleRateMax, grpcServer } = this.#config;
    const sendSpans = this.#sendSpans;
    if (tracing === "none" || sendSpans === undefined) return;
    const { WorkerTracing } = await import("./tracing/worker-tracing.ts");
    const { clock, random } = this.#environment;
    this.#tracing = new WorkerTracing(
      { log: this.#log, metrics: this.metrics, clock, random, sendSpans },
      { sampleRatio: traceSampleRatio, sampleRateMax: traceSampleRateMax, joinActive: grpcServer === "grpc-js" },
    );
    await this.#startComponent(this.#tracing);
  }

  async #startSpool({ own: dir, adopted: adopt }: SpoolDirectories): Promise<Spool> {
    const { spoolBytesMax, workers, spoolSegmentBytes } = this.#config;
    const bytesMax = Math.floor(spoolBytesMax / workers);
    const dependencies = { ...this.#spoolDependencies, random: this.#environment.random };
    const spool = new Spool(dependencies, { dir, adopt, bytesMax, segmentBytes: spoolSegmentBytes });
    await this.#startComponent(spool);
    this.#spool = spool;
    return spool;
  }

  async #startDeadLetters({ deadLetters: dir, adoptedDeadLetters: adopt }: SpoolDirectories): Promise<DeadLetters> {
    const segmentBytes = this.#config.spoolSegmentBytes;
    // Who has the spool has the log; only `sluice dead-letters drop` may hold it, for a moment.
    const options = { dir, adopt, segmentBytes, lockWaitMs: DEAD_LETTERS_WAIT_MS };
    const deadLetters = new DeadLetters(this.#spoolDependencies, options);
    await this.#startComponent(deadLetters);
    this.#deadLetters = deadLetters;
    return deadLetters;
  }

  /** Kafka's clients are loaded only where there are brokers: they are the largest part of what a worker loads. */
  async #startProducer(): Promise<Producer | undefined> {
    const config = this.#config;
    if (config.kafkaBrokers.length === 0) return undefined;
    const { clock, random, dial } = this.#environment;
    const dependencies = { log: this.#log, metrics: this.metrics, clock, random };
    const options = {
      bootstrap: config.kafkaBrokers,
      clientId: config.kafkaClientId,
      connectTimeoutMs: config.kafkaConnectTimeoutMs,
      requestTimeoutMs: config.kafkaRequestTimeoutMs,
      metadataMaxAgeMs: config.kafkaMetadataMaxAgeMs,
      autoCreateTopics: config.kafkaAutoCreateTopics,
      tls: config.kafkaTls ? { ca: await readCa(config.kafkaTlsCaFile) } : undefined,
      sasl:
        config.kafkaSaslMechanism === undefined
          ? undefined
          : {
              mechanism: config.kafkaSaslMechanism,
              username: config.kafkaSaslUsername ?? "",
              password: config.kafkaSaslPassword ?? "",
            },
    };
    const producer =
      config.kafkaClient === "kafkajs"
        ? new (await import("./kafka/kafkajs.ts")).KafkajsProducer(dependencies, options)
        : new (await import("./kafka/direct/producer.ts")).DirectProducer(
            dial === undefined ? dependencies : { ...dependencies, dial },
            options,
          );
    await this.#startComponent(producer);
    return producer;
  }

  async #startForwarder(spool: Spool, producer: Producer, deadLetters: DeadLetters): Promise<void> {
    const { deadLetterTopic } = this.#config;
    const dependencies = {
      ...this.#spoolDependencies,
      producer,
      repartition,
    };
    const sink =
      deadLetterTopic === undefined
        ? deadLetters
        : new DeadLetterTopic(
            { ...dependencies, random: this.#environment.random, fallback: deadLetters },
            deadLetterTopic,
          );
    this.#forwarder = new Forwarder({ ...dependencies, spool, deadLetters: sink });
    await this.#startComponent(this.#forwarder);
  }

  #createPipeline(spool: Spool): Pipeline {
    const config = this.#config;
    const { clock, random } = this.#environment;
    const ordered = this.#producer === undefined ? undefined : new BehindSpool(spool, this.#producer);
    return new Pipeline(
      {
        topics: this.#producer ?? new UnassignedTopics(),
        replicated: ordered?.replicated,
        persisted: ordered?.persisted ?? {
          send: (batch, settler) => spool.append(batch, settler),
          refusal: (bytes) => spool.refusal(bytes),
        },
        metrics: this.metrics,
        clock,
        random,
        attribution: this.#attribution,
        tracing: this.#tracing?.tracer,
      },
      {
        bytesMax: config.admittedBytesMax,
        timeoutMs: config.admissionTimeoutMs,
        recordBatchBytesMax: config.recordBatchBytesMax,
        lingerMs: config.lingerMs,
        eventsMax: config.publishEventsMax,
      },
    );
  }

  #startLedgerCheck({ backlogs }: Spool, pipeline: Pipeline): void {
    const { clock } = this.#environment;
    const worker = String(this.#workerIndex);
    this.#ledgerCheck = new LedgerCheck({ log: this.#log, metrics: this.metrics, clock, pipeline, backlogs }, worker);
    this.#ledgerCheck.start();
  }

  async #startComponent(component: Component): Promise<void> {
    // Before its start, so that whatever it opened is closed even if the start fails half-way.
    this.#started.push(component);
    await component.start();
  }
}

async function readCa(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new IngestError(Code.FAILED_PRECONDITION, `KAFKA_TLS_CA_FILE: cannot read ${file}: ${String(cause)}`, {
      cause,
    });
  }
}
