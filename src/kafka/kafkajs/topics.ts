// Topics and their limits, asked through kafkajs' admin client.

import type { Admin } from "kafkajs";
import type { Clock, Timer } from "../../clock.ts";
import { Code, IngestError } from "../../errors.ts";
import type { TopicInfo } from "../../ingest/producer.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { ErrorCode, lookupError } from "../errors.ts";
import type { KafkaOptions } from "../options.ts";
import { LIMIT_CONFIGS, limitsOf, topicInfo } from "../topic-limits.ts";
import { Client } from "./client.ts";
import { failureOf } from "./failure.ts";

const LOOKUP_TIMEOUT_MS = 5_000;
const LOOKUP_RETRY_MS = 100;
const LOOKUP_RETRY_MS_MAX = 1_000;
/** Between two looks at topics that somebody finds suspect. */
const SUSPECT_INTERVAL_MS = 1_000;
const TOPIC_RESOURCE = 2;
/** The `broker` of metrics while its address is not known. */
const UNNAMED_BROKER = "unknown";

export interface TopicsDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

export class Topics {
  /** Why nobody answers; undefined while somebody does. */
  problem: string | undefined = "no broker has answered yet";
  readonly #dependencies: TopicsDependencies;
  readonly #options: KafkaOptions;
  readonly #topics = new Map<string, TopicInfo>();
  readonly #leaders = new Map<string, number>();
  /** `host:port` by node id. */
  readonly #brokers = new Map<number, string>();
  readonly #suspects = new Set<string>();
  #client: Client | undefined;
  #admin: Promise<Admin> | undefined;
  #ageTimer: Timer | undefined;
  #suspectTimer: Timer | undefined;
  #disposed = false;

  constructor(dependencies: TopicsDependencies, options: KafkaOptions) {
    this.#dependencies = dependencies;
    this.#options = options;
  }

  start(): void {
    if (this.#ageTimer !== undefined || this.#disposed) return;
    const age = (): void => {
      this.#ageTimer = this.#dependencies.clock.setTimeout(() => {
        for (const name of this.#topics.keys()) this.suspect(name);
        age();
      }, this.#options.metadataMaxAgeMs);
      this.#ageTimer.unref?.();
    };
    age();
    void this.#findBroker();
  }

  get connected(): boolean {
    return this.#client?.connected ?? false;
  }

  topic(name: string): TopicInfo | undefined {
    return this.#topics.get(name);
  }

  /** Looks again, soon. */
  suspect(name: string): void {
    this.#suspects.add(name);
    if (this.#suspectTimer !== undefined || this.#disposed) return;
    const delayMs = Math.min(SUSPECT_INTERVAL_MS, this.#options.metadataMaxAgeMs);
    this.#suspectTimer = this.#dependencies.clock.setTimeout(() => void this.#look(), delayMs);
    this.#suspectTimer.unref?.();
  }

  /** Until somebody asks for a topic, nobody else would find out that there is a broker, or none. */
  async #findBroker(): Promise<void> {
    for (;;) {
      try {
        await this.#connect();
        return;
      } catch {
        if (this.#disposed) return;
      }
      await this.#sleep(LOOKUP_RETRY_MS_MAX);
    }
  }

  async #sleep(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#dependencies.clock.setTimeout(resolve, delayMs).unref?.();
    });
  }

  /** @throws IngestError as `Producer.lookup` says. */
  async lookup(name: string): Promise<TopicInfo> {
    const { clock } = this.#dependencies;
    const deadlineMs = clock.monotonic() + LOOKUP_TIMEOUT_MS;
    let created = false;
    for (let tries = 0; ; tries++) {
      let failure: IngestError;
      try {
        return await this.#fetch(name);
      } catch (thrown) {
        failure = IngestError.from(thrown);
        const isUnknown = failureOf(failure.cause).errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
        if (isUnknown && this.#options.autoCreateTopics) {
          const refusal: IngestError | undefined = created ? undefined : await this.#create(name);
          created ||= refusal === undefined;
          failure = refusal ?? lookupError(name, ErrorCode.LEADER_NOT_AVAILABLE);
        }
      }
      if (!failure.retryable || this.#disposed || clock.monotonic() >= deadlineMs) throw failure;
      await this.#sleep(Math.min(LOOKUP_RETRY_MS_MAX, LOOKUP_RETRY_MS * 2 ** tries));
    }
  }

  dispose(): void {
    this.#disposed = true;
    if (this.#ageTimer !== undefined) this.#dependencies.clock.clearTimeout(this.#ageTimer);
    if (this.#suspectTimer !== undefined) this.#dependencies.clock.clearTimeout(this.#suspectTimer);
    this.#drop();
  }

  /** The address of the broker that led the partition when it was looked at last. */
  leaderOf(topic: string, partition: number): string {
    const leader = this.#leaders.get(`${topic}/${partition}`);
    return (leader === undefined ? undefined : this.#brokers.get(leader)) ?? UNNAMED_BROKER;
  }

  async #look(): Promise<void> {
    const names = [...this.#suspects];
    this.#suspects.clear();
    const again: string[] = [];
    for (const name of names) {
      try {
        await this.#fetch(name);
      } catch (thrown) {
        const { errorCode } = failureOf(IngestError.from(thrown).cause);
        if (errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) this.#topics.delete(name);
        else again.push(name);
      }
    }
    this.#suspectTimer = undefined;
    for (const name of [...this.#suspects, ...again]) this.suspect(name);
  }

  async #fetch(name: string): Promise<TopicInfo> {
    const admin = await this.#connect();
    const topics = await this.#ask(name, async () => (await admin.fetchTopicMetadata({ topics: [name] })).topics);
    const partitions = topics.find((topic) => topic.name === name)?.partitions ?? [];
    if (partitions.length === 0) throw lookupError(name, ErrorCode.LEADER_NOT_AVAILABLE);
    for (const { partitionId, leader } of partitions) this.#sawLeader(`${name}/${partitionId}`, leader);
    if (partitions.some(({ leader }) => leader >= 0 && !this.#brokers.has(leader))) await this.#nameBrokers(admin);
    const limits = limitsOf(await this.#configs(admin, name));
    const info = topicInfo(this.#topics.get(name), name, partitions.length, limits);
    this.#topics.set(name, info);
    return info;
  }

  /** The topic's settings, as far as this client may see them. */
  async #configs(admin: Admin, name: string): Promise<Map<string, string>> {
    const resource = { type: TOPIC_RESOURCE, name, configNames: [...LIMIT_CONFIGS] };
    try {
      const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [resource] });
      const entries = resources.flatMap(({ configEntries }) => configEntries);
      return new Map(entries.map(({ configName, configValue }) => [configName, configValue ?? ""]));
    } catch (thrown) {
      if (failureOf(thrown).errorCode === undefined) throw this.#failed(name, thrown);
      return new Map();
    }
  }

  /** @returns why it cannot be created; undefined if it could. */
  async #create(name: string): Promise<IngestError | undefined> {
    try {
      const admin = await this.#connect();
      const topics = [{ topic: name, numPartitions: -1, replicationFactor: -1 }];
      await this.#ask(name, () =>
        admin.createTopics({ topics, timeout: this.#options.requestTimeoutMs, waitForLeaders: false }),
      );
      this.#dependencies.log.info({ topic: name }, "created topic");
      return undefined;
    } catch (thrown) {
      return IngestError.from(thrown);
    }
  }

  /** For metrics alone: without names they are told as one. */
  async #nameBrokers(admin: Admin): Promise<void> {
    try {
      const { brokers } = await admin.describeCluster();
      for (const { nodeId, host, port } of brokers) this.#brokers.set(nodeId, `${host}:${port}`);
    } catch (thrown) {
      this.#dependencies.log.debug({ reason: String(thrown) }, "kafkajs does not tell the brokers' addresses");
    }
  }

  #sawLeader(partition: string, leader: number): void {
    const before = this.#leaders.get(partition);
    if (before !== undefined && before !== leader) this.#dependencies.metrics.kafkaLeaderMoves.with().inc();
    this.#leaders.set(partition, leader);
  }

  // --- The admin client -------------------------------------------------------------------------------------------------

  /** @throws IngestError UNAVAILABLE if there is no broker. */
  async #connect(): Promise<Admin> {
    if (this.#disposed) throw new IngestError(Code.UNAVAILABLE, "the producer is closed", { retryable: true });
    this.#admin ??= this.#open();
    return await this.#admin;
  }

  async #open(): Promise<Admin> {
    const { log, metrics } = this.#dependencies;
    const client = new Client(log, metrics, this.#options);
    this.#client = client;
    const admin = client.kafka.admin();
    admin.on(admin.events.REQUEST, client.observe);
    try {
      await admin.connect();
      this.problem = undefined;
      return admin;
    } catch (cause) {
      this.problem = failureOf(cause).message;
      this.#drop();
      throw new IngestError(Code.UNAVAILABLE, `no broker answers: ${this.problem}`, { retryable: true, cause });
    }
  }

  /** After anything but a broker's clear answer, a new client: this one does not forget what went wrong. */
  async #ask<T>(name: string, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (thrown) {
      throw this.#failed(name, thrown);
    }
  }

  #failed(name: string, cause: unknown): IngestError {
    const error = cause instanceof Error && "errors" in cause ? (cause.errors as unknown[])[0] : cause;
    const { errorCode, message } = failureOf(error);
    if (errorCode !== undefined) return lookupError(name, errorCode, error);
    this.#drop();
    this.problem = message;
    return new IngestError(Code.UNAVAILABLE, `topic ${name} is not available: ${message}`, { retryable: true, cause });
  }

  #drop(): void {
    const admin = this.#admin;
    this.#client?.close();
    this.#client = undefined;
    this.#admin = undefined;
    // It may wait for ever for what is closed, or reject: nobody cares any more.
    void admin?.then((each) => each.disconnect()).catch(() => {});
  }
}
