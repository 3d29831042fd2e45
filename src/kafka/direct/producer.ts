// The direct producer: Kafka's wire protocol, spoken by this service itself (docs/adr/0004-direct-producer.md).
//
// This file ties the parts together: partitions decide what is sent next, brokers send it, the cluster knows who leads what.

import { IdleWaiters } from "../../idle-waiters.ts";
import type { Clock, Timer } from "../../clock.ts";
import { Code, IngestError, Reason } from "../../errors.ts";
import {
  type BatchSettler,
  busiest,
  type Producer,
  type ProducerHealth,
  type ProducerState,
  type SealedBatch,
  type TopicInfo,
} from "../../ingest/producer.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { actionFor, closingError, ErrorCode, errorName } from "../errors.ts";
import type { KafkaOptions } from "../options.ts";
import { Cluster } from "./cluster.ts";
import type { TopicView } from "./codecs.ts";
import { type Dial, dialSocket } from "./connection.ts";
import { PartitionProducer, type PartitionHost } from "./partition.ts";
import type { PartitionResult } from "./produce.ts";

/** How long batches wait for a topic or partition that is gone before they fail; it may be about to be created again. */
const GONE_TIMEOUT_MS = 15_000;

const PRODUCER_ID_RETRY_MS = 200;

export interface DirectProducerDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly dial?: Dial;
}

/** A topic as metadata told it last, and its partitions that ever had a batch. */
interface TopicState {
  readonly name: string;
  view: TopicView | undefined;
  /** When it was first missed; undefined while it is there. */
  goneSinceMs: number | undefined;
  /** When it was first seen with fewer partitions than are in use; undefined while all are there. */
  shrunkSinceMs: number | undefined;
  readonly partitions: Map<number, PartitionProducer>;
}

export class DirectProducer implements Producer, PartitionHost {
  readonly #dependencies: DirectProducerDependencies;
  readonly #cluster: Cluster;
  readonly #topics = new Map<string, TopicState>();
  readonly #awaitingProducerId = new Set<PartitionProducer>();
  readonly #timers = new Set<Timer>();
  #state: "open" | "draining" | "disposed" = "open";
  readonly #idle: IdleWaiters;

  constructor(dependencies: DirectProducerDependencies, options: KafkaOptions) {
    this.#dependencies = dependencies;
    this.#idle = new IdleWaiters(dependencies.clock);
    const { kafkaQueuedEvents, kafkaQueuedBytes, kafkaQueuedOldestAge, kafkaLeaderMoves } = dependencies.metrics;
    kafkaQueuedOldestAge.with().read = () => this.#oldestAgeSeconds();
    // There from the start, so that nobody has to tell none from nothing yet.
    for (const family of [kafkaQueuedEvents, kafkaQueuedBytes]) family.with();
    kafkaLeaderMoves.with();
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
    if (this.#state !== "open") {
      this.#dependencies.clock.setImmediate(() => settler.failed(batch, 0, batch.count, closingError()));
      return;
    }
    const topic = this.#topic(batch.topic);
    let partition = topic.partitions.get(batch.partition);
    if (partition === undefined) {
      partition = new PartitionProducer(batch.topic, batch.partition, { ...this.#dependencies, host: this });
      topic.partitions.set(batch.partition, partition);
      this.#setLeader(partition, topic.view, false);
    }
    partition.enqueue(batch, settler);
  }

  busy(topic: string, partition: number): boolean {
    const leader = this.#topics.get(topic)?.partitions.get(partition)?.leader ?? -1;
    return leader >= 0 && this.#cluster.broker(leader)?.busy === true;
  }

  health(): ProducerHealth {
    const problems = new Set(this.#cluster.problems());
    const leaderless: string[] = [];
    for (const { problem, leader, idle, topic, partition } of this.#partitions()) {
      if (problem !== undefined) problems.add(problem);
      if (leader < 0 && !idle) leaderless.push(`${topic}/${partition}`);
    }
    if (leaderless.length > 0) {
      const more = leaderless.length > 3 ? ` and ${leaderless.length - 3} more` : "";
      problems.add(`batches wait for partitions without a leader: ${leaderless.slice(0, 3).join(", ")}${more}`);
    }
    return { ready: this.#cluster.reachable, problems: [...problems] };
  }

  inspect(): ProducerState {
    const partitions = Array.from(this.#partitions(), (partition) => ({
      ...partition.inspect(),
      broker: partition.leader < 0 ? undefined : this.#cluster.broker(partition.leader)?.name,
    }));
    return { client: "direct", unknown: [], ...busiest(partitions) };
  }

  async drain(deadlineMs: number): Promise<void> {
    if (this.#state === "open") this.#state = "draining";
    if (this.#isIdle()) return;
    await this.#idle.wait(deadlineMs);
  }

  /** What is not settled fails as UNAVAILABLE: if it was in flight it may be stored, else it is not. */
  dispose(): Promise<void> {
    if (this.#state === "disposed") return Promise.resolve();
    this.#state = "disposed";
    // Whatever is in flight comes home as lost now.
    this.#cluster.dispose();
    for (const timer of this.#timers) this.#dependencies.clock.clearTimeout(timer);
    for (const partition of this.#partitions()) partition.failQueued(closingError());
    return Promise.resolve();
  }

  // --- What partitions ask ----------------------------------------------------------------------------------------------

  ready(partition: PartitionProducer): void {
    if (partition.idle) {
      if (this.#idle.any && this.#isIdle()) this.#idle.release();
      return;
    }
    const broker = partition.leader < 0 ? undefined : this.#cluster.broker(partition.leader);
    if (broker === undefined) this.#cluster.refresh();
    else broker.ready(partition);
  }

  unready(partition: PartitionProducer): void {
    this.#cluster.broker(partition.leader)?.unready(partition);
  }

  needProducerId(partition: PartitionProducer): void {
    if (this.#awaitingProducerId.has(partition)) return;
    this.#awaitingProducerId.add(partition);
    void this.#initProducerId(partition);
  }

  leaderSuspect(partition: PartitionProducer, hint: PartitionResult["currentLeader"]): void {
    if (hint !== undefined && this.#cluster.broker(hint.nodeId) !== undefined) {
      partition.setLeader(hint.nodeId, hint.epoch);
    }
    this.#cluster.refresh();
  }

  limitsSuspect(): void {
    this.#cluster.refreshLimits();
  }

  renegotiate(nodeId: number): void {
    this.#cluster.broker(nodeId)?.disconnect("versions are negotiated again");
  }

  unblockAfter(partition: PartitionProducer, delayMs: number): void {
    this.#after(delayMs, () => partition.unblock());
  }

  async #initProducerId(partition: PartitionProducer): Promise<void> {
    const { log } = this.#dependencies;
    let reason: string;
    try {
      const { errorCode, producerId, epoch } = await this.#cluster.initProducerId();
      if (errorCode === ErrorCode.NONE) {
        this.#awaitingProducerId.delete(partition);
        partition.setProducerId(producerId, epoch);
        return;
      }
      reason = errorName(errorCode);
      if (actionFor(errorCode) === "denied") partition.deny(errorCode);
    } catch (thrown) {
      reason = IngestError.from(thrown).message;
    }
    log.debug({ topic: partition.topic, partition: partition.partition, reason }, "no producer id yet");
    this.#after(PRODUCER_ID_RETRY_MS, () => {
      this.#awaitingProducerId.delete(partition);
      this.ready(partition);
    });
  }

  #after(delayMs: number, act: () => void): void {
    if (this.#state === "disposed") return;
    const timer = this.#dependencies.clock.setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, delayMs);
    this.#timers.add(timer);
  }

  // --- What the cluster tells -------------------------------------------------------------------------------------------

  #sawTopic(view: TopicView): void {
    // Names that do not exist come from clients, who have many ideas: nothing is kept of them.
    if (view.errorCode !== ErrorCode.NONE && !this.#topics.has(view.name)) return;
    const topic = this.#topic(view.name);
    const now = this.#dependencies.clock.monotonic();
    if (view.errorCode !== ErrorCode.NONE) {
      topic.goneSinceMs ??= now;
      if (now - topic.goneSinceMs >= GONE_TIMEOUT_MS) this.#failGone(topic, now - topic.goneSinceMs);
    }
    // Leader epochs begin again with a topic that is created again.
    const isNew = topic.goneSinceMs !== undefined || (topic.view !== undefined && topic.view.topicId !== view.topicId);
    if (view.errorCode === ErrorCode.NONE) {
      topic.view = view;
      topic.goneSinceMs = undefined;
    }
    for (const partition of topic.partitions.values()) this.#setLeader(partition, view, isNew);
    if (view.errorCode === ErrorCode.NONE) this.#checkPartitions(topic, view, now);
  }

  #setLeader(partition: PartitionProducer, topic: TopicView | undefined, isNew: boolean): void {
    const view = topic?.partitions.get(partition.partition);
    if (view !== undefined) partition.setLeader(view.leader, view.leaderEpoch, isNew);
    // Without a leader nothing can be sent, and only fresh metadata will tell when there is one.
    if (partition.leader < 0 && !partition.idle) this.#cluster.refresh();
  }

  #failGone({ name, partitions }: TopicState, forMs: number): void {
    const message = `topic ${name} is gone since ${Math.round(forMs / 1000)} s: create it again, or publish to another`;
    const options = { retryable: true, reason: Reason.UNKNOWN_TOPIC, field: "topic" };
    for (const partition of partitions.values()) {
      partition.failQueued(new IngestError(Code.NOT_FOUND, message, options));
    }
  }

  /** A topic that was created again may have fewer partitions; records are never moved to another one. */
  #checkPartitions(topic: TopicState, view: TopicView, now: number): void {
    const gone = [...topic.partitions.values()].filter(
      ({ partition, idle }) => !idle && !view.partitions.has(partition),
    );
    if (gone.length === 0) {
      topic.shrunkSinceMs = undefined;
      return;
    }
    topic.shrunkSinceMs ??= now;
    this.#cluster.refresh();
    if (now - topic.shrunkSinceMs < GONE_TIMEOUT_MS) return;
    for (const partition of gone) {
      const message = `topic ${topic.name} has ${view.partitions.size} partitions, not the ${partition.partition + 1} that there were`;
      partition.failQueued(
        new IngestError(Code.OUT_OF_RANGE, message, { reason: Reason.INVALID_PARTITION, field: "partition" }),
      );
    }
  }

  // --- Partitions -------------------------------------------------------------------------------------------------------

  #topic(name: string): TopicState {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = { name, view: undefined, goneSinceMs: undefined, shrunkSinceMs: undefined, partitions: new Map() };
      this.#topics.set(name, topic);
    }
    return topic;
  }

  *#topicsInUse(): Generator<string> {
    for (const partition of this.#partitions()) if (!partition.idle) yield partition.topic;
  }

  #oldestAgeSeconds(): number {
    const nowMs = this.#dependencies.clock.monotonic();
    let oldestAtMs = nowMs;
    for (const { oldestEnqueuedAtMs } of this.#partitions()) oldestAtMs = Math.min(oldestAtMs, oldestEnqueuedAtMs);
    return (nowMs - oldestAtMs) / 1000;
  }

  #isIdle(): boolean {
    for (const partition of this.#partitions()) if (!partition.idle) return false;
    return true;
  }

  *#partitions(): Generator<PartitionProducer> {
    for (const { partitions } of this.#topics.values()) yield* partitions.values();
  }
}
