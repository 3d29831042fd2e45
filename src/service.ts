// The composition root of a worker: builds the parts, starts them from the inside out, drains them from the outside in.
//
//   gRPC server ─ EventIngest ─ Pipeline ─┬─ REPLICATED ─┬─ BehindSpool ─┬─────────────────────── Producer ─ Kafka
//                                         └─ PERSISTED ──┘               └─ Spool ── Forwarder ─── Producer
//
// Without brokers there is no producer and no forwarder: everything is PERSISTED, and waits in the spool for a start with
// KAFKA_BROKERS. Which Kafka client and which gRPC server it is, is one line each here and nowhere else.

import { readFile } from "node:fs/promises";
import { systemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { Code, IngestError } from "./errors.ts";
import { file_google_rpc_error_details } from "./gen/google/rpc/error_details_pb.js";
import { Health as HealthService } from "./gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "./gen/grpc/reflection/v1/reflection_pb.js";
import { EventIngest as EventIngestService } from "./gen/sluice/v1/ingest_pb.js";
import { GrpcJsServer } from "./grpc/grpc-js.ts";
import { Health } from "./grpc/health.ts";
import { EventIngest } from "./grpc/publish.ts";
import { Reflection } from "./grpc/reflection.ts";
import type { GrpcServer } from "./grpc/server.ts";
import { Pipeline } from "./ingest/pipeline.ts";
import type { Producer } from "./ingest/producer.ts";
import { repartition } from "./ingest/repartition.ts";
import { UnassignedTopics } from "./ingest/unassigned-topics.ts";
import type { Component } from "./lifecycle.ts";
import { BehindSpool } from "./spool/behind-spool.ts";
import { DeadLetters } from "./spool/dead-letters.ts";
import { type SpoolDirectories, spoolDirectories } from "./spool/directories.ts";
import { nodeFileSystem } from "./spool/file-system.ts";
import { Forwarder } from "./spool/forwarder.ts";
import { Spool } from "./spool/spool.ts";
import type { Logger } from "./telemetry/log.ts";
import { createMetrics, type Metrics } from "./telemetry/metrics.ts";

/** A worker's service. */
export interface Service extends Component {
  /** Where gRPC listens, once started. */
  readonly address: { readonly host: string; readonly port: number };
  readonly metrics: Metrics;
  /** `ready` says whether batches have a chance to be stored; `problems` what is wrong, one sentence each. */
  health(): { ready: boolean; problems: string[] };
}

export interface ServiceOptions {
  readonly config: Config;
  /** Its slot, from 0 to WORKERS - 1; the slot's spool directory is its own. */
  readonly workerIndex: number;
  readonly log: Logger;
}

export function createService(options: ServiceOptions): Service {
  return new WorkerService(options);
}

class WorkerService implements Service {
  readonly metrics = createMetrics();
  readonly #config: Config;
  readonly #workerIndex: number;
  readonly #log: Logger;
  /** In the order of their start. */
  readonly #started: Component[] = [];
  readonly #healthService = new Health([EventIngestService.typeName]);
  readonly #spoolDependencies: ConstructorParameters<typeof Spool>[0];
  #spool: Spool | undefined;
  #forwarder: Forwarder | undefined;
  #producer: Producer | undefined;
  #pipeline: Pipeline | undefined;
  #eventIngest: EventIngest | undefined;
  #server: GrpcServer | undefined;
  #draining = false;

  constructor({ config, workerIndex, log }: ServiceOptions) {
    this.#config = config;
    this.#workerIndex = workerIndex;
    this.#log = log;
    this.#spoolDependencies = { log, metrics: this.metrics, clock: systemClock, fs: nodeFileSystem };
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
      ...(this.#draining ? ["the worker is draining"] : []),
    ];
    return { ready: this.#server !== undefined && !this.#draining && (producer?.ready ?? true), problems };
  }

  async start(): Promise<void> {
    const { own, adopted, deadLetters } = await this.#directories();
    const spool = await this.#startSpool(own, adopted);
    this.#producer = await this.#startProducer();
    if (this.#producer !== undefined) await this.#startForwarder(spool, this.#producer, deadLetters);
    this.#pipeline = this.#createPipeline(spool);
    this.#eventIngest = new EventIngest({ pipeline: this.#pipeline, metrics: this.metrics, clock: systemClock });
    const services = [EventIngestService, HealthService, ServerReflection];
    const reflection = new Reflection(services, [file_google_rpc_error_details]);
    const methods = [...this.#eventIngest.methods, ...this.#healthService.methods, ...reflection.methods];
    const { host, port } = this.#config.grpcListen;
    const messageBytesMax = this.#config.grpcMessageBytesMax;
    const server = new GrpcJsServer(this.#log, this.metrics, methods, { host, port, messageBytesMax });
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
    await Promise.all([this.#eventIngest?.drain(deadlineMs), this.#server?.drain(deadlineMs)]);
    await this.#pipeline?.drain(deadlineMs);
    for (const component of this.#started.toReversed()) {
      if (component !== this.#server) await component.drain(deadlineMs);
    }
  }

  async dispose(): Promise<void> {
    for (const component of this.#started.splice(0).toReversed()) await component.dispose();
  }

  async #directories(): Promise<SpoolDirectories> {
    const { dataDir, workers } = this.#config;
    try {
      return await spoolDirectories(dataDir, this.#workerIndex, workers);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new IngestError(Code.FAILED_PRECONDITION, `DATA_DIR: cannot read ${dataDir}: ${why}; give a directory`, {
        cause,
      });
    }
  }

  async #startSpool(dir: string, adopt: readonly string[]): Promise<Spool> {
    const { spoolBytesMax, workers, spoolSegmentBytes } = this.#config;
    const bytesMax = Math.floor(spoolBytesMax / workers);
    const spool = new Spool(this.#spoolDependencies, { dir, adopt, bytesMax, segmentBytes: spoolSegmentBytes });
    await this.#startComponent(spool);
    for (const [topic, events] of spool.recoveredEvents) this.metrics.eventsRecovered.with(topic).inc(events);
    this.#spool = spool;
    return spool;
  }

  /** Kafka's clients are loaded only where there are brokers: they are the largest part of what a worker loads. */
  async #startProducer(): Promise<Producer | undefined> {
    const config = this.#config;
    if (config.kafkaBrokers.length === 0) return undefined;
    const dependencies = { log: this.#log, metrics: this.metrics, clock: systemClock, random: Math.random };
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
        : new (await import("./kafka/direct/producer.ts")).DirectProducer(dependencies, options);
    await this.#startComponent(producer);
    return producer;
  }

  async #startForwarder(spool: Spool, producer: Producer, deadLettersDir: string): Promise<void> {
    const segmentBytes = this.#config.spoolSegmentBytes;
    const deadLetters = new DeadLetters(this.#spoolDependencies, { dir: deadLettersDir, segmentBytes });
    await this.#startComponent(deadLetters);
    this.#forwarder = new Forwarder({
      ...this.#spoolDependencies,
      spool,
      producer,
      deadLetters,
      repartition: (batch, topic) => repartition(batch, topic, Math.random),
    });
    await this.#startComponent(this.#forwarder);
  }

  #createPipeline(spool: Spool): Pipeline {
    const config = this.#config;
    const ordered = this.#producer === undefined ? undefined : new BehindSpool(spool, this.#producer);
    return new Pipeline(
      {
        topics: this.#producer ?? new UnassignedTopics(),
        replicated: ordered?.replicated,
        persisted: ordered?.persisted ?? { send: (batch, settler) => spool.append(batch, settler) },
        metrics: this.metrics,
        clock: systemClock,
        random: Math.random,
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
