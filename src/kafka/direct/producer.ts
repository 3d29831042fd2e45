// The direct producer: Kafka's wire protocol, spoken by this service itself (docs/adr/0004-direct-producer.md).
//
// This file ties the parts together: partitions decide what is sent next, brokers send it, the cluster knows who leads what.

import type { Clock } from "../../clock.ts";
import { Code, IngestError, Reason } from "../../errors.ts";
import type { BatchSettler, Producer, ProducerHealth, SealedBatch, TopicInfo } from "../../ingest/producer.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { Cluster, type ClusterOptions } from "./cluster.ts";
import { initProducerId, type TopicView } from "./codecs.ts";
import { type Dial, dialSocket } from "./connection.ts";
import { PartitionProducer, type PartitionHost } from "./partition.ts";
import type { PartitionResult } from "./produce.ts";

/** How long batches wait for a topic that is gone before they fail; it may only be in the middle of being created again. */
const TOPIC_GONE_TIMEOUT_MS = 15_000;

const PRODUCER_ID_RETRY_MS = 200;

export interface DirectProducerDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly dial?: Dial;
}

export class DirectProducer implements Producer, PartitionHost {
  readonly #dependencies: DirectProducerDependencies;
  readonly #cluster: Cluster;
  /** By topic, then by partition. */
  readonly #partitions = new Map<string, Map<number, PartitionProducer>>();
  readonly #views = new Map<string, TopicView>();
  readonly #goneSinceMs = new Map<string, number>();
  readonly #awaitingProducerId = new Set<PartitionProducer>();
  #onIdle: (() => void) | undefined;
  #disposed = false;

  constructor(dependencies: DirectProducerDependencies, options: ClusterOptions) {
    this.#dependencies = dependencies;
    this.#cluster = new Cluster(
      {
        ...dependencies,
        dial: dependencies.dial ?? dialSocket,
        onTopic: (topic) => this.#sawTopic(topic),
        topicsInUse: () => this.#topicsInUse(),
      },
      options,
    );
  }

  /** Does not wait for a broker: events can come, and wait for it within the byte budget. */
  start(): Promise<void> {
    this.#cluster.start();
    return Promise.resolve();
  }

  topic(name: string): TopicInfo | undefined {
    return this.#cluster.topic(name);
  }

  lookup(name: string): Promise<TopicInfo> {
    return this.#cluster.lookup(name);
  }

  send(batch: SealedBatch, settler: BatchSettler): void {
    let partitions = this.#partitions.get(batch.topic);
    if (partitions === undefined) {
      partitions = new Map();
      this.#partitions.set(batch.topic, partitions);
    }
    let partition = partitions.get(batch.partition);
    if (partition === undefined) {
      partition = new PartitionProducer(batch.topic, batch.partition, { ...this.#dependencies, host: this });
      partitions.set(batch.partition, partition);
      this.#setLeader(partition, this.#views.get(batch.topic), false);
    }
    partition.enqueue(batch, settler);
  }

  health(): ProducerHealth {
    return { ready: this.#cluster.reachable, problems: this.#cluster.problems() };
  }

  async drain(deadlineMs: number): Promise<void> {
    const { clock } = this.#dependencies;
    if (this.#isIdle()) return;
    await new Promise<void>((resolve) => {
      const timer = clock.setTimeout(resolve, Math.max(0, deadlineMs - clock.now()));
      this.#onIdle = () => {
        if (!this.#isIdle()) return;
        clock.clearTimeout(timer);
        resolve();
      };
    });
    this.#onIdle = undefined;
  }

  /** What is not settled fails as UNAVAILABLE: in flight, it may be stored; else it is not. */
  dispose(): Promise<void> {
    if (this.#disposed) return Promise.resolve();
    this.#disposed = true;
    this.#cluster.dispose();
    const error = new IngestError(Code.UNAVAILABLE, "the service is going away", { retryable: true });
    for (const partition of this.#allPartitions()) partition.failQueued(error);
    return Promise.resolve();
  }

  // --- What partitions ask ----------------------------------------------------------------------------------------------

  ready(partition: PartitionProducer): void {
    if (partition.idle) {
      this.#onIdle?.();
      return;
    }
    const broker = partition.leader < 0 ? undefined : this.#cluster.broker(partition.leader);
    if (broker === undefined) this.#cluster.refresh();
    else broker.ready(partition);
  }

  needProducerId(partition: PartitionProducer): void {
    if (this.#awaitingProducerId.has(partition)) return;
    this.#awaitingProducerId.add(partition);
    void this.#initProducerId(partition);
  }

  leaderSuspect(partition: PartitionProducer, hint: PartitionResult["currentLeader"]): void {
    if (hint !== undefined && this.#cluster.broker(hint.nodeId) !== undefined) {
      this.#cluster.broker(partition.leader)?.unready(partition);
      partition.setLeader(hint.nodeId, hint.epoch);
    }
    this.#cluster.refresh();
  }

  renegotiate(nodeId: number): void {
    this.#cluster.broker(nodeId)?.disconnect("versions are negotiated again");
  }

  wake(partition: PartitionProducer, delayMs: number): void {
    this.#dependencies.clock.setTimeout(() => this.ready(partition), delayMs);
  }

  // --- What the cluster tells -------------------------------------------------------------------------------------------

  async #initProducerId(partition: PartitionProducer): Promise<void> {
    try {
      const { connection } = await this.#cluster.anyLink();
      const { producerId, epoch } = await initProducerId(connection);
      this.#awaitingProducerId.delete(partition);
      partition.setProducerId(producerId, epoch);
    } catch (thrown) {
      const reason = IngestError.from(thrown).message;
      this.#dependencies.log.debug(
        { topic: partition.topic, partition: partition.partition, reason },
        "no producer id yet",
      );
      this.#dependencies.clock.setTimeout(() => {
        this.#awaitingProducerId.delete(partition);
        if (!this.#disposed) this.ready(partition);
      }, PRODUCER_ID_RETRY_MS);
    }
  }

  #sawTopic(topic: TopicView): void {
    const previous = this.#views.get(topic.name);
    if (topic.errorCode === 0) {
      this.#views.set(topic.name, topic);
      this.#goneSinceMs.delete(topic.name);
    } else {
      this.#topicGone(topic);
    }
    const newTopic = previous !== undefined && previous.topicId !== topic.topicId;
    for (const partition of this.#partitions.get(topic.name)?.values() ?? []) {
      const before = partition.leader;
      this.#setLeader(partition, topic, newTopic);
      if (before >= 0 && before !== partition.leader) this.#cluster.broker(before)?.unready(partition);
    }
  }

  #setLeader(partition: PartitionProducer, topic: TopicView | undefined, newTopic: boolean): void {
    const view = topic?.partitions.find(({ index }) => index === partition.partition);
    if (view !== undefined) partition.setLeader(view.leader, view.leaderEpoch, newTopic);
    // Without a leader nothing can be sent, and only fresh metadata will tell when there is one.
    if (partition.leader < 0 && !partition.idle) this.#cluster.refresh();
  }

  #topicGone(topic: TopicView): void {
    const now = this.#dependencies.clock.monotonic();
    const since = this.#goneSinceMs.get(topic.name) ?? now;
    this.#goneSinceMs.set(topic.name, since);
    if (now - since < TOPIC_GONE_TIMEOUT_MS) return;
    const message = `topic ${topic.name} is gone since ${Math.round((now - since) / 1000)} s: create it again, or publish elsewhere`;
    const error = new IngestError(Code.NOT_FOUND, message, {
      retryable: true,
      reason: Reason.UNKNOWN_TOPIC,
      field: "topic",
    });
    for (const partition of this.#partitions.get(topic.name)?.values() ?? []) partition.failQueued(error);
  }

  *#topicsInUse(): Generator<string> {
    for (const partition of this.#allPartitions()) if (!partition.idle) yield partition.topic;
  }

  #isIdle(): boolean {
    for (const partition of this.#allPartitions()) if (!partition.idle) return false;
    return true;
  }

  *#allPartitions(): Generator<PartitionProducer> {
    for (const partitions of this.#partitions.values()) yield* partitions.values();
  }
}
