// kafkajs behind the port, for sites that want it (docs/adr/0006-kafkajs.md).
//
// kafkajs 2.2.4 can acknowledge records that it lost: after a leader move one `send` over two partitions resolved with one of
// them never written, and with `idempotent: true` a sequence that was used again after an ambiguous failure was taken for a
// duplicate. So: one topic-partition per `send`, an explicit partition, one outstanding `send` per partition, one request in
// flight per connection, no idempotence, and a new kafkajs producer after any rejection.
//
// It stores at least once: a batch whose answer is lost is stored again. Headers of one name are put together (messages.ts).

import { IdleWaiters } from "../idle-waiters.ts";
import type { Clock } from "../clock.ts";
import {
  type BatchSettler,
  busiest,
  type Producer,
  type ProducerHealth,
  type ProducerState,
  type SealedBatch,
  type TopicInfo,
} from "../ingest/producer.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { closingError } from "./errors.ts";
import { Lane } from "./kafkajs/lane.ts";
import { Session } from "./kafkajs/session.ts";
import { Topics } from "./kafkajs/topics.ts";
import type { KafkaOptions } from "./options.ts";

export interface KafkajsProducerDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
}

export class KafkajsProducer implements Producer {
  readonly #dependencies: KafkajsProducerDependencies;
  readonly #options: KafkaOptions;
  readonly #topics: Topics;
  readonly #lanes = new Map<string, Lane>();
  /** All that are not closed; those that are retired finish what they have. */
  readonly #sessions = new Set<Session>();
  #session: Session | undefined;
  #state: "open" | "draining" | "disposed" = "open";
  readonly #idle: IdleWaiters;

  constructor(dependencies: KafkajsProducerDependencies, options: KafkaOptions) {
    this.#dependencies = dependencies;
    this.#idle = new IdleWaiters(dependencies.clock);
    this.#options = options;
    this.#topics = new Topics(dependencies, options);
    const { kafkaQueuedEvents, kafkaQueuedBytes, kafkaQueuedOldestAge, kafkaLeaderMoves } = dependencies.metrics;
    kafkaQueuedOldestAge.with().read = () => this.#oldestAgeSeconds();
    // There from the start, so that nobody has to tell none from nothing yet.
    for (const family of [kafkaQueuedEvents, kafkaQueuedBytes]) family.with();
    kafkaLeaderMoves.with();
  }

  /** Does not wait for a broker: events can come, and wait for it within the byte budget. */
  start(): Promise<void> {
    this.#topics.start();
    return Promise.resolve();
  }

  topic(name: string): TopicInfo | undefined {
    return this.#topics.topic(name);
  }

  lookup(name: string): Promise<TopicInfo> {
    return this.#topics.lookup(name);
  }

  send(batch: SealedBatch, settler: BatchSettler): void {
    if (this.#state !== "open") {
      this.#dependencies.clock.setImmediate(() => settler.failed(batch, 0, batch.count, closingError()));
      return;
    }
    const name = `${batch.topic}/${batch.partition}`;
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = new Lane(batch.topic, batch.partition, {
        ...this.#dependencies,
        send: (topic, partition, bytes) => this.#store(topic, partition, bytes),
        leaderOf: (topic, partition) => this.#topics.leaderOf(topic, partition),
        topicSuspect: (topic) => this.#topics.suspect(topic),
        onIdle: () => this.#tellIdle(),
      });
      this.#lanes.set(name, lane);
    }
    lane.enqueue(batch, settler);
  }

  health(): ProducerHealth {
    const problems = new Set([...this.#lanes.values()].flatMap(({ problem }) => problem ?? []));
    const ready = this.#topics.connected || this.#session?.connected === true;
    if (!ready) problems.add(this.#topics.problem ?? "there is no connection to any broker");
    return { ready, problems: [...problems] };
  }

  inspect(): ProducerState {
    const unknown = ["kafkajs does not tell which broker leads a partition"];
    return { client: "kafkajs", unknown, ...busiest([...this.#lanes.values()].map((lane) => lane.inspect())) };
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
    this.#topics.dispose();
    for (const session of this.#sessions) session.close();
    for (const lane of this.#lanes.values()) lane.failAll(closingError());
    return Promise.resolve();
  }

  async #store(topic: string, partition: number, batch: Buffer): Promise<number> {
    if (this.#state === "disposed") throw closingError();
    const { log, metrics } = this.#dependencies;
    if (this.#session === undefined || this.#session.retired) {
      for (const session of this.#sessions) if (session.closed) this.#sessions.delete(session);
      this.#session = new Session(log, metrics, this.#options);
      this.#sessions.add(this.#session);
    }
    const session = this.#session;
    try {
      return await session.send(topic, partition, batch);
    } catch (thrown) {
      session.retire();
      throw thrown;
    }
  }

  #oldestAgeSeconds(): number {
    const nowMs = this.#dependencies.clock.monotonic();
    let oldestAtMs = nowMs;
    for (const { oldestEnqueuedAtMs } of this.#lanes.values()) oldestAtMs = Math.min(oldestAtMs, oldestEnqueuedAtMs);
    return (nowMs - oldestAtMs) / 1000;
  }

  #isIdle(): boolean {
    return [...this.#lanes.values()].every(({ idle }) => idle);
  }

  #tellIdle(): void {
    if (this.#idle.any && this.#isIdle()) this.#idle.release();
  }
}
