// The cluster as far as it is known: its brokers, and the partitions and limits of the topics that are in use.
//
// Metadata is asked from any broker that answers, else from the bootstrap addresses in turn. Whoever finds it stale asks for
// a refresh; refreshes that are asked for while one is under way are one refresh, and those that follow each other closely
// come ever later, up to a second apart: a cluster in trouble, or in the middle of an election, is not asked to death.

import type { Clock, Timer } from "../../clock.ts";
import { Code, IngestError } from "../../errors.ts";
import type { TopicInfo } from "../../ingest/producer.ts";
import type { Logger } from "../../telemetry/log.ts";
import { ErrorCode, lookupError } from "../errors.ts";
import type { KafkaOptions } from "../options.ts";
import { LIMIT_CONFIGS, limitsOf, topicInfo } from "../topic-limits.ts";
import { Broker, type BrokerDependencies, type BrokerOptions, type Link } from "./broker.ts";
import {
  createTopic,
  describeTopicConfigs,
  fetchMetadata,
  initProducerId,
  type ProducerIdView,
  type TopicView,
} from "./codecs.ts";
import type { NodeEndpoint } from "./produce.ts";

/** Between the first two refreshes in a row; doubled for each one after them. */
const REFRESH_BACKOFF_MS_MIN = 100;
const REFRESH_BACKOFF_MS_MAX = 1_000;
/** After so long without a refresh, the next one is the first of a row again. */
const REFRESH_QUIET_MS = 3_000;
/** How long one broker may take to answer before another is asked; the connection itself has more time. */
const FETCH_TIMEOUT_MS = 2_000;
/** How long a lookup goes on asking a cluster that cannot answer. */
const LOOKUP_TIMEOUT_MS = 5_000;
const LOOKUP_RETRY_MS = 100;
/** How long a known topic has to be missing before it is gone: a broker that has just started may not know it yet. */
const TOPIC_MISSING_MS = 1_000;

export interface ClusterDependencies extends Omit<BrokerDependencies, "onEndpoints" | "onUnreachable"> {
  /** The topics with batches that are not stored, whether they are known or gone. */
  readonly topicsInUse: () => Iterable<string>;
  /** A topic was seen, again or for the first time, or is gone. */
  readonly onTopic: (topic: TopicView) => void;
}

interface KnownTopic {
  info: TopicInfo;
  topicId: string;
  missingSinceMs: number | undefined;
}

export class Cluster {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #random: () => number;
  readonly #onTopic: (topic: TopicView) => void;
  readonly #topicsInUse: () => Iterable<string>;
  readonly #brokerDependencies: BrokerDependencies;
  readonly #options: KafkaOptions;
  readonly #bootstrap: readonly Broker[];
  readonly #brokers = new Map<number, Broker>();
  readonly #topics = new Map<string, KnownTopic>();
  #controllerId = -1;
  #nextToTry = 0;
  /** Set while a refresh is under way; `again` if it was asked for meanwhile. */
  #refreshing: { again: boolean } | undefined;
  #refreshTimer: Timer | undefined;
  #refreshedAtMs = Number.NEGATIVE_INFINITY;
  #refreshesInRow = 0;
  #failuresInRow = 0;
  #limitsStale = false;
  #ageTimer: Timer | undefined;
  #disposed = false;

  constructor(dependencies: ClusterDependencies, options: KafkaOptions) {
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
    if (this.#ageTimer !== undefined || this.#disposed) return;
    this.refresh();
    this.#scheduleAging();
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
    if (this.#refreshing !== undefined) {
      // The answer that is under way may be older than the question.
      this.#refreshing.again = true;
      return;
    }
    const sinceLastMs = this.#clock.monotonic() - this.#refreshedAtMs;
    if (sinceLastMs > REFRESH_QUIET_MS) this.#refreshesInRow = 0;
    const waitMs = this.#refreshesInRow === 0 ? 0 : this.#backoffMs(REFRESH_BACKOFF_MS_MIN, this.#refreshesInRow);
    this.#refreshTimer = this.#clock.setTimeout(
      () => {
        this.#refreshTimer = undefined;
        void this.#refresh();
      },
      Math.max(0, waitMs - sinceLastMs),
    );
  }

  /** Asks for fresh metadata, and for the settings of the topics too. */
  refreshLimits(): void {
    this.#limitsStale = true;
    this.refresh();
  }

  /** @throws IngestError as `Producer.lookup` says. */
  async lookup(name: string): Promise<TopicInfo> {
    const deadlineMs = this.#clock.monotonic() + LOOKUP_TIMEOUT_MS;
    let created = false;
    for (let tries = 1; ; tries++) {
      let failure: IngestError;
      try {
        const topic = (await this.#fetch([name], false)).find((each) => each.name === name);
        const info = this.#topics.get(name)?.info;
        if (topic?.errorCode === ErrorCode.NONE && info !== undefined) return info;
        const code = topic?.errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
        if (code === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION && this.#options.autoCreateTopics && !created) {
          await this.#createTopic(name);
          created = true;
        }
        // A topic that was just created is known to all brokers a moment later.
        const isNew = created && code === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
        failure = lookupError(name, isNew ? ErrorCode.LEADER_NOT_AVAILABLE : code);
      } catch (thrown) {
        failure = IngestError.from(thrown);
      }
      if (!failure.retryable || this.#disposed || this.#clock.monotonic() >= deadlineMs) throw failure;
      await new Promise<void>((resolve) => {
        this.#clock.setTimeout(resolve, this.#backoffMs(LOOKUP_RETRY_MS, tries));
      });
    }
  }

  /** @throws IngestError UNAVAILABLE if no broker answers in time. */
  async initProducerId(): Promise<ProducerIdView> {
    const { connection } = await this.#anyLink();
    return await this.#inTime(initProducerId(connection));
  }

  /** Any broker that can be talked to. @throws IngestError of the last one tried. */
  async #anyLink(): Promise<Link> {
    // While all is well, the one with the least to do; an answer waits behind all that was asked before it.
    const idlest = this.#idlestConnected();
    if (idlest !== undefined && this.#failuresInRow === 0) return await idlest.link();
    // Else everybody in turn. Those that metadata named first: the bootstrap list may be old, and often is one address for all.
    const known = [...this.#brokers.values()];
    let failure: IngestError | undefined;
    for (const brokers of [known, this.#bootstrap]) {
      const first = this.#nextToTry;
      for (let tried = 0; tried < brokers.length; tried++) {
        try {
          return await brokers[(first + tried) % brokers.length]!.link();
        } catch (thrown) {
          failure = IngestError.from(thrown);
          this.#nextToTry++;
        }
      }
    }
    throw failure ?? new IngestError(Code.UNAVAILABLE, "no broker is known", { retryable: true });
  }

  /** What keeps batches from being stored; empty if nothing does. */
  problems(): string[] {
    const brokers = this.#brokers.size > 0 ? [...this.#brokers.values()] : this.#bootstrap;
    const problems = brokers.flatMap(({ problem }) => problem ?? []);
    if (this.#brokers.size === 0 && problems.length === 0) problems.push("no broker has answered yet");
    return problems;
  }

  /** Is there a broker that answers? */
  get reachable(): boolean {
    return this.#idlestConnected() !== undefined || (this.#brokers.size > 0 && this.#failuresInRow === 0);
  }

  dispose(): void {
    this.#disposed = true;
    if (this.#ageTimer !== undefined) this.#clock.clearTimeout(this.#ageTimer);
    if (this.#refreshTimer !== undefined) this.#clock.clearTimeout(this.#refreshTimer);
    for (const broker of [...this.#brokers.values(), ...this.#bootstrap]) broker.dispose();
  }

  // --- Metadata ---------------------------------------------------------------------------------------------------------

  /** @param inRow from 1; the delay doubles with each. */
  #backoffMs(minMs: number, inRow: number): number {
    return Math.min(REFRESH_BACKOFF_MS_MAX, minMs * 2 ** (inRow - 1)) * (0.75 + this.#random() / 2);
  }

  #scheduleAging(): void {
    this.#ageTimer = this.#clock.setTimeout(() => {
      this.refreshLimits();
      this.#scheduleAging();
    }, this.#options.metadataMaxAgeMs);
    this.#ageTimer.unref?.();
  }

  async #refresh(): Promise<void> {
    const refreshing = { again: false };
    const withLimits = this.#limitsStale;
    this.#refreshing = refreshing;
    this.#refreshesInRow++;
    this.#limitsStale = false;
    try {
      const topics = new Set([...this.#topics.keys(), ...this.#topicsInUse()]);
      await this.#fetch([...topics], withLimits);
    } catch {
      // Which broker failed, and how, stands in its log line and in `problems`.
      this.#limitsStale ||= withLimits;
      refreshing.again = true;
    }
    this.#refreshing = undefined;
    this.#refreshedAtMs = this.#clock.monotonic();
    if (refreshing.again) this.refresh();
  }

  /** Asks for topics and brokers, takes in what comes, and reads the limits of topics that are new or asked for. */
  async #fetch(names: readonly string[], withLimits: boolean): Promise<readonly TopicView[]> {
    try {
      const link = await this.#anyLink();
      const view = await this.#inTime(fetchMetadata(link.connection, link.versions, names));
      this.#setBrokers(view.brokers);
      this.#controllerId = view.controllerId;
      const topics = view.topics.map(usable);
      const present = topics.filter((topic) => topic.errorCode === ErrorCode.NONE);
      const unseen = present.filter((topic) => withLimits || this.#topics.get(topic.name)?.topicId !== topic.topicId);
      const unseenNames = unseen.map(({ name }) => name);
      const configs =
        unseenNames.length === 0
          ? new Map<string, ReadonlyMap<string, string>>()
          : await this.#inTime(describeTopicConfigs(link.connection, unseenNames, LIMIT_CONFIGS));
      for (const topic of present) this.#setTopic(topic, configs.get(topic.name));
      for (const topic of topics) {
        if (topic.errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) this.#missTopic(topic.name);
        this.#onTopic(topic);
      }
      this.#failuresInRow = 0;
      if (this.#brokers.size > 0) for (const broker of this.#bootstrap) broker.release();
      return topics;
    } catch (thrown) {
      this.#failuresInRow++;
      this.#nextToTry++;
      throw thrown;
    }
  }

  /** @throws IngestError UNAVAILABLE also when this is disposed meanwhile, so that nobody goes on. */
  async #inTime<T>(answer: Promise<T>): Promise<T> {
    let timer: Timer | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new IngestError(Code.UNAVAILABLE, "no broker answers in time", { retryable: true });
      timer = this.#clock.setTimeout(() => reject(error), FETCH_TIMEOUT_MS);
    });
    try {
      const result = await Promise.race([answer, late]);
      if (this.#disposed) throw new IngestError(Code.UNAVAILABLE, "the producer is closed", { retryable: true });
      return result;
    } finally {
      if (timer !== undefined) this.#clock.clearTimeout(timer);
    }
  }

  async #createTopic(name: string): Promise<void> {
    const controller = this.#brokers.get(this.#controllerId);
    const link = controller === undefined ? await this.#anyLink() : await controller.link();
    const code = await createTopic(link.connection, name, this.#options.requestTimeoutMs);
    if (code === ErrorCode.TOPIC_ALREADY_EXISTS) return;
    if (code !== ErrorCode.NONE) throw lookupError(name, code);
    this.#log.info({ topic: name }, "created topic");
  }

  #setTopic(topic: TopicView, configs: ReadonlyMap<string, string> | undefined): void {
    const known = this.#topics.get(topic.name)?.info;
    const limits = known !== undefined && configs === undefined ? known : limitsOf(configs ?? new Map());
    const info = topicInfo(known, topic.name, topic.partitions.size, limits);
    this.#topics.set(topic.name, { info, topicId: topic.topicId, missingSinceMs: undefined });
  }

  #missTopic(name: string): void {
    const known = this.#topics.get(name);
    if (known === undefined) return;
    const now = this.#clock.monotonic();
    known.missingSinceMs ??= now;
    if (now - known.missingSinceMs >= TOPIC_MISSING_MS) this.#topics.delete(name);
    else this.refresh();
  }

  // --- Brokers ----------------------------------------------------------------------------------------------------------

  #idlestConnected(): Broker | undefined {
    let idlest: Broker | undefined;
    for (const broker of this.#brokers.values()) {
      if (broker.connected && (idlest === undefined || broker.inFlight < idlest.inFlight)) idlest = broker;
    }
    return idlest;
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
    const options: BrokerOptions = this.#options;
    return new Broker(host, port, this.#brokerDependencies, options);
  }
}

/** A topic that no producer may write to is as good as none, and one that has no partitions yet is not there yet. */
function usable(topic: TopicView): TopicView {
  if (topic.errorCode !== ErrorCode.NONE) return topic;
  if (topic.isInternal) return { ...topic, errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION };
  return topic.partitions.size > 0 ? topic : { ...topic, errorCode: ErrorCode.LEADER_NOT_AVAILABLE };
}
