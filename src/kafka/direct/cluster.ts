// The cluster as far as it is known: its brokers, and the partitions and limits of the topics that are in use.
//
// Metadata is asked from any broker that answers, else from the bootstrap addresses in turn. Whoever finds it stale asks for
// a refresh; refreshes that are asked for while one is under way are one refresh, and they come with a backoff, so a cluster
// in trouble is not asked to death.

import type { Clock, Timer } from "../../clock.ts";
import { Code, IngestError, Reason } from "../../errors.ts";
import type { TopicInfo } from "../../ingest/producer.ts";
import type { Logger } from "../../telemetry/log.ts";
import { Broker, type BrokerDependencies, type BrokerOptions, type Link } from "./broker.ts";
import { createTopic, describeTopicConfigs, fetchMetadata, type TopicView } from "./codecs.ts";
import { errorName } from "./errors.ts";
import type { NodeEndpoint } from "./produce.ts";

/** Between two refreshes that succeed: an election takes longer, and asking faster does not speed it up. */
const REFRESH_INTERVAL_MS_MIN = 100;
/** Between two that fail. */
const REFRESH_BACKOFF_MS_MIN = 50;
const REFRESH_BACKOFF_MS_MAX = 1_000;
/** How long a lookup goes on asking a cluster that cannot answer. */
const LOOKUP_TIMEOUT_MS = 5_000;

const UNKNOWN_TOPIC = 3;
const LEADER_NOT_AVAILABLE = 5;
const TOPIC_ALREADY_EXISTS = 36;

/** Kafka's defaults, for topics whose settings this client may not see. */
const DEFAULT_MAX_MESSAGE_BYTES = 1_048_588;

const MAX_BYTES = "max.message.bytes";
const BEFORE_MAX = "message.timestamp.before.max.ms";
const AFTER_MAX = "message.timestamp.after.max.ms";
/** What stood for both before Kafka 3.6. */
const DIFFERENCE_MAX = "message.timestamp.difference.max.ms";
const TIMESTAMP_TYPE = "message.timestamp.type";
const CLEANUP_POLICY = "cleanup.policy";

export interface ClusterOptions extends BrokerOptions {
  readonly bootstrap: readonly { readonly host: string; readonly port: number }[];
  readonly metadataMaxAgeMs: number;
  readonly autoCreateTopics: boolean;
}

export interface ClusterDependencies extends Omit<BrokerDependencies, "onEndpoints" | "onUnreachable"> {
  /** The topics with batches that are not stored, whether they are known or gone. */
  readonly topicsInUse: () => Iterable<string>;
  /** A topic was seen, again or for the first time, or is gone. */
  readonly onTopic: (topic: TopicView) => void;
}

interface KnownTopic {
  info: TopicInfo;
  topicId: string;
}

export class Cluster {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #random: () => number;
  readonly #onTopic: (topic: TopicView) => void;
  readonly #topicsInUse: () => Iterable<string>;
  readonly #brokerDependencies: BrokerDependencies;
  readonly #options: ClusterOptions;
  readonly #bootstrap: readonly Broker[];
  readonly #brokers = new Map<number, Broker>();
  readonly #topics = new Map<string, KnownTopic>();
  #controllerId = -1;
  #nextBootstrap = 0;
  #refreshing: Promise<void> | undefined;
  #refreshedAtMs = Number.NEGATIVE_INFINITY;
  #failuresInRow = 0;
  #ageTimer: Timer | undefined;
  #refreshTimer: Timer | undefined;
  #disposed = false;

  constructor(dependencies: ClusterDependencies, options: ClusterOptions) {
    this.#clock = dependencies.clock;
    this.#log = dependencies.log;
    this.#random = dependencies.random;
    this.#onTopic = dependencies.onTopic;
    this.#topicsInUse = dependencies.topicsInUse;
    this.#brokerDependencies = {
      ...dependencies,
      onEndpoints: (endpoints) => this.#addBrokers(endpoints),
      onUnreachable: () => this.refresh(),
    };
    this.#options = options;
    this.#bootstrap = options.bootstrap.map(({ host, port }) => this.#newBroker(host, port));
  }

  /** Begins to look for the cluster; it need not be there yet. */
  start(): void {
    this.refresh();
    this.#scheduleAging();
  }

  get brokers(): readonly Broker[] {
    return [...this.#brokers.values()];
  }

  broker(nodeId: number): Broker | undefined {
    return this.#brokers.get(nodeId);
  }

  topic(name: string): TopicInfo | undefined {
    return this.#topics.get(name)?.info;
  }

  /** Asks for fresh metadata of the topics in use, soon; never more than one refresh at a time. */
  refresh(): void {
    if (this.#disposed || this.#refreshTimer !== undefined) return;
    const sinceLastMs = this.#clock.monotonic() - this.#refreshedAtMs;
    const delayMs = this.#failuresInRow > 0 ? this.#backoffMs() : Math.max(0, REFRESH_INTERVAL_MS_MIN - sinceLastMs);
    this.#refreshTimer = this.#clock.setTimeout(() => {
      this.#refreshTimer = undefined;
      void this.#refresh(false).catch(() => this.refresh());
    }, delayMs);
  }

  /** @throws IngestError as `Producer.lookup` says. */
  async lookup(name: string): Promise<TopicInfo> {
    const deadlineMs = this.#clock.monotonic() + LOOKUP_TIMEOUT_MS;
    let created = false;
    for (;;) {
      let failure: IngestError;
      try {
        const topic = (await this.#fetch([name])).find((each) => each.name === name);
        const info = this.#topics.get(name)?.info;
        if (topic?.errorCode === 0 && info !== undefined) return info;
        const code = topic?.errorCode ?? UNKNOWN_TOPIC;
        if (code === UNKNOWN_TOPIC && this.#options.autoCreateTopics && !created) {
          created = true;
          await this.#createTopic(name);
          failure = lookupFailure(name, LEADER_NOT_AVAILABLE);
        } else {
          failure = lookupFailure(name, created && code === UNKNOWN_TOPIC ? LEADER_NOT_AVAILABLE : code);
        }
      } catch (thrown) {
        failure = IngestError.from(thrown);
      }
      if (!failure.retryable || this.#disposed || this.#clock.monotonic() >= deadlineMs) throw failure;
      await new Promise<void>((resolve) => {
        this.#clock.setTimeout(resolve, this.#backoffMs());
      });
    }
  }

  /** Any broker that can be talked to. @throws IngestError of the last one tried. */
  async anyLink(): Promise<Link> {
    const connected = this.brokers.filter((broker) => broker.connected);
    if (connected.length > 0) return await connected[Math.floor(this.#random() * connected.length)]!.link();
    let failure: IngestError | undefined;
    // Those that metadata named first: the bootstrap list may be old, and often is one address for all of them.
    for (const broker of this.brokers) {
      try {
        return await broker.link();
      } catch (thrown) {
        failure = IngestError.from(thrown);
      }
    }
    for (let tried = 0; tried < this.#bootstrap.length; tried++) {
      try {
        return await this.#bootstrap[this.#nextBootstrap]!.link();
      } catch (thrown) {
        failure = IngestError.from(thrown);
        this.#nextBootstrap = (this.#nextBootstrap + 1) % this.#bootstrap.length;
      }
    }
    throw failure ?? new IngestError(Code.UNAVAILABLE, "no broker is known", { retryable: true });
  }

  /** What keeps batches from being stored; empty if nothing does. */
  problems(): string[] {
    const brokers = this.#brokers.size > 0 ? this.brokers : this.#bootstrap;
    const problems = brokers.flatMap(({ problem }) => problem ?? []);
    if (this.#brokers.size === 0 && problems.length === 0) problems.push("no broker has answered yet");
    return problems;
  }

  /** Is there a broker that answers? */
  get reachable(): boolean {
    return this.brokers.some((broker) => broker.connected) || (this.#brokers.size > 0 && this.#failuresInRow === 0);
  }

  dispose(): void {
    this.#disposed = true;
    if (this.#ageTimer !== undefined) this.#clock.clearTimeout(this.#ageTimer);
    if (this.#refreshTimer !== undefined) this.#clock.clearTimeout(this.#refreshTimer);
    for (const broker of [...this.#brokers.values(), ...this.#bootstrap]) broker.dispose();
  }

  #backoffMs(): number {
    const backoffMs = Math.min(
      REFRESH_BACKOFF_MS_MAX,
      REFRESH_BACKOFF_MS_MIN * 2 ** Math.max(0, this.#failuresInRow - 1),
    );
    return backoffMs * (0.75 + this.#random() / 2);
  }

  #scheduleAging(): void {
    this.#ageTimer = this.#clock.setTimeout(() => {
      void this.#refresh(true).catch(() => this.refresh());
      this.#scheduleAging();
    }, this.#options.metadataMaxAgeMs);
    this.#ageTimer.unref?.();
  }

  /** @param withLimits whether the topics' settings are read again too. */
  async #refresh(withLimits: boolean): Promise<void> {
    const topics = new Set([...this.#topics.keys(), ...this.#topicsInUse()]);
    this.#refreshedAtMs = this.#clock.monotonic();
    this.#refreshing ??= this.#fetch([...topics], withLimits)
      .then(() => {})
      .finally(() => {
        this.#refreshing = undefined;
      });
    await this.#refreshing;
  }

  /** Asks for topics and brokers, takes in what comes, and reads the limits of topics that are new or asked for. */
  async #fetch(names: readonly string[], withLimits = false): Promise<readonly TopicView[]> {
    try {
      const link = await this.anyLink();
      const view = await fetchMetadata(link.connection, link.versions, names);
      this.#setBrokers(view.brokers);
      this.#controllerId = view.controllerId;
      const present = view.topics.filter((topic) => topic.errorCode === 0 && topic.partitions.length > 0);
      const unseen = present.filter((topic) => withLimits || this.#topics.get(topic.name)?.topicId !== topic.topicId);
      const limits =
        unseen.length === 0
          ? new Map<string, ReadonlyMap<string, string>>()
          : await describeTopicConfigs(
              link.connection,
              unseen.map(({ name }) => name),
              [MAX_BYTES, BEFORE_MAX, AFTER_MAX, DIFFERENCE_MAX, TIMESTAMP_TYPE, CLEANUP_POLICY],
            );
      for (const topic of present) this.#setTopic(topic, limits.get(topic.name));
      for (const topic of view.topics) {
        if (topic.errorCode === UNKNOWN_TOPIC) this.#topics.delete(topic.name);
        this.#onTopic(topic);
      }
      this.#failuresInRow = 0;
      if (this.#brokers.size > 0) for (const broker of this.#bootstrap) broker.release();
      return view.topics;
    } catch (thrown) {
      this.#failuresInRow++;
      throw thrown;
    }
  }

  async #createTopic(name: string): Promise<void> {
    const controller = this.#brokers.get(this.#controllerId);
    const link = controller === undefined ? await this.anyLink() : await controller.link();
    const code = await createTopic(link.connection, name, this.#options.requestTimeoutMs);
    if (code !== 0 && code !== TOPIC_ALREADY_EXISTS) throw lookupFailure(name, code);
    this.#log.info({ topic: name }, "created topic");
  }

  #setTopic(topic: TopicView, configs: ReadonlyMap<string, string> | undefined): void {
    const known = this.#topics.get(topic.name);
    const limits = configs === undefined ? known?.info : limitsOf(configs);
    const info: TopicInfo = {
      name: topic.name,
      partitions: topic.partitions.length,
      maxBatchBytes: limits?.maxBatchBytes ?? DEFAULT_MAX_MESSAGE_BYTES,
      timestampBeforeMaxMs: limits?.timestampBeforeMaxMs ?? Number.POSITIVE_INFINITY,
      timestampAfterMaxMs: limits?.timestampAfterMaxMs ?? Number.POSITIVE_INFINITY,
      keyRequired: limits?.keyRequired ?? false,
    };
    if (known !== undefined && isSame(known.info, info)) known.topicId = topic.topicId;
    else this.#topics.set(topic.name, { info, topicId: topic.topicId });
  }

  #setBrokers(nodes: readonly NodeEndpoint[]): void {
    const present = new Set(nodes.map(({ nodeId }) => nodeId));
    for (const [nodeId, broker] of this.#brokers) {
      if (present.has(nodeId)) continue;
      this.#brokers.delete(nodeId);
      broker.dispose();
    }
    this.#addBrokers(nodes);
  }

  #addBrokers(nodes: readonly NodeEndpoint[]): void {
    for (const { nodeId, host, port } of nodes) {
      const known = this.#brokers.get(nodeId);
      if (known?.host === host && known.port === port) continue;
      known?.dispose();
      this.#brokers.set(nodeId, this.#newBroker(host, port));
    }
  }

  #newBroker(host: string, port: number): Broker {
    return new Broker(host, port, this.#brokerDependencies, this.#options);
  }
}

type Limits = Pick<TopicInfo, "maxBatchBytes" | "timestampBeforeMaxMs" | "timestampAfterMaxMs" | "keyRequired">;

function limitsOf(configs: ReadonlyMap<string, string>): Limits {
  const number = (name: string, otherwise: number): number => {
    const value = configs.get(name);
    return value === undefined || value === "" ? otherwise : Number(value);
  };
  // With LogAppendTime the broker overwrites the timestamp, so none is refused.
  const free = configs.get(TIMESTAMP_TYPE) === "LogAppendTime";
  const difference = number(DIFFERENCE_MAX, Number.POSITIVE_INFINITY);
  return {
    maxBatchBytes: number(MAX_BYTES, DEFAULT_MAX_MESSAGE_BYTES),
    timestampBeforeMaxMs: free ? Number.POSITIVE_INFINITY : number(BEFORE_MAX, difference),
    timestampAfterMaxMs: free ? Number.POSITIVE_INFINITY : number(AFTER_MAX, difference),
    keyRequired: configs.get(CLEANUP_POLICY)?.includes("compact") ?? false,
  };
}

function isSame(a: TopicInfo, b: TopicInfo): boolean {
  return (
    a.partitions === b.partitions &&
    a.maxBatchBytes === b.maxBatchBytes &&
    a.timestampBeforeMaxMs === b.timestampBeforeMaxMs &&
    a.timestampAfterMaxMs === b.timestampAfterMaxMs &&
    a.keyRequired === b.keyRequired
  );
}

function lookupFailure(name: string, code: number): IngestError {
  switch (code) {
    case UNKNOWN_TOPIC:
      return new IngestError(
        Code.NOT_FOUND,
        `topic ${name} does not exist: create it, or start the service with KAFKA_AUTO_CREATE_TOPICS=true`,
        { reason: Reason.UNKNOWN_TOPIC, field: "topic" },
      );
    case 17:
    case 29:
    case 31:
      return new IngestError(
        Code.PERMISSION_DENIED,
        `Kafka refuses topic ${name}: ${errorName(code)}; grant WRITE and DESCRIBE to this service`,
        { reason: Reason.NOT_AUTHORIZED, field: "topic" },
      );
    case LEADER_NOT_AVAILABLE:
    default:
      return new IngestError(Code.UNAVAILABLE, `topic ${name} is not available: ${errorName(code)}`, {
        retryable: true,
      });
  }
}
