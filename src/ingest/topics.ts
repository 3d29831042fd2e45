// The topics of a worker: what is known of each, and its accumulators.
//
// A topic whose partitions are not known takes PERSISTED events all the same while the cluster is away (away-topics.ts). It
// stays the same object when they become known, and what is open for it is sealed first, so that nothing overtakes it. The
// way back does not exist: what the cluster knew once, and then did not, is not taken.

import { Code, IngestError, Reason } from "../errors.ts";
import type { Clock } from "../clock.ts";
import type { Attribution, Labels } from "../telemetry/attribution.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Accumulator } from "./accumulator.ts";
import { AwayTopics } from "./away-topics.ts";
import { Durability, type GivenDurability } from "./batch.ts";
import { clusterIsAway, type TopicInfo, type TopicSource } from "./producer.ts";
import { TopicMeters } from "./topic-meters.ts";
import { isLegalTopicName } from "./topic-name.ts";

export class Topic {
  readonly name: string;
  info: TopicInfo;
  /** Why every event for this topic has to fail. */
  readonly error: IngestError | undefined;
  /** By durability, then by partition + 1, as UNASSIGNED_PARTITION is -1. An array, because every event looks here. */
  readonly accumulators: Readonly<Record<GivenDurability, (Accumulator | undefined)[]>> = { 1: [], 2: [] };
  /** Where events without a key go for now, and how many bytes more (KIP-794). */
  stickyPartition = -1;
  stickyBytesLeft = 0;

  /** What its metrics are counted under. */
  readonly label: string;
  /** Of samples. */
  readonly produceLabels: Labels;
  readonly settleLabels: Labels;
  readonly meters: TopicMeters;

  constructor(info: TopicInfo, metrics: Metrics, attribution: Attribution, label = info.name, error?: IngestError) {
    this.name = info.name;
    this.info = info;
    this.error = error;
    this.label = label;
    this.produceLabels = attribution.ofTopic("produce", label);
    this.settleLabels = attribution.ofTopic("settle", label);
    this.meters = new TopicMeters(metrics, label);
  }

  /** Has it record batches that are open or not settled? */
  get isBusy(): boolean {
    for (const accumulators of Object.values(this.accumulators))
      for (const accumulator of accumulators)
        if (accumulator !== undefined && (accumulator.inFlight > 0 || accumulator.open !== undefined)) return true;
    return false;
  }

  /** Events in record batches that have no outcome: what is counted as in flight has to be. */
  get heldEvents(): number {
    let held = 0;
    for (const accumulators of Object.values(this.accumulators)) {
      for (const accumulator of accumulators) held += accumulator?.held ?? 0;
    }
    return held;
  }
}

/**
 * What topics without a legal name, and those that do not exist, are counted under: their names come from clients, and a
 * metric may not have as many series as clients have ideas.
 */
export const ILLEGAL_TOPICS = "(illegal)";
export const UNKNOWN_TOPICS = "(unknown)";

/** How many names that fail are remembered. */
const FAILING_TOPICS_MAX = 1_000;

/** How long a topic that does not exist is taken to stay so, in milliseconds. */
const FAILING_TTL_MS = 1_000;

const NOTHING_KNOWN = {
  partitions: 0,
  maxBatchBytes: 0,
  timestampBeforeMaxMs: Number.POSITIVE_INFINITY,
  timestampAfterMaxMs: Number.POSITIVE_INFINITY,
  keyRequired: false,
} as const;

interface Failing {
  readonly topic: Topic;
  readonly untilMs: number;
  /** Did nobody answer for it? */
  readonly away: boolean;
}

export class Topics {
  readonly #source: TopicSource;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #attribution: Attribution;
  readonly #topics = new Map<string, Topic>();
  /** The one that was asked for last, which is mostly asked for next. */
  #last: Topic | undefined;
  readonly #failing = new Map<string, Failing>();
  readonly #lookups = new Map<string, Promise<void>>();
  readonly #away: AwayTopics;
  readonly #onAssigned: () => void;

  /** @param onAssigned called when a topic that took events without knowing its partitions knows them from now on. */
  constructor(source: TopicSource, clock: Clock, metrics: Metrics, attribution: Attribution, onAssigned: () => void) {
    this.#source = source;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#attribution = attribution;
    this.#away = new AwayTopics(clock, (name) => this.lookup(name));
    this.#onAssigned = onAssigned;
  }

  /** Events in record batches that have no outcome, by topic. */
  heldEvents(): Map<string, number> {
    return new Map(Array.from(this.#topics.values(), ({ name, heldEvents }) => [name, heldEvents]));
  }

  /** Forgets topics that the cluster does not know any more and of which nothing is under way, and what is told of them. */
  retireGone(): void {
    for (const topic of this.#topics.values()) {
      if (topic.info.partitions === 0 || this.#source.topic(topic.name) !== undefined || topic.isBusy) continue;
      this.#topics.delete(topic.name);
      if (topic === this.#last) this.#last = undefined;
      topic.meters.retire();
    }
  }

  /**
   * The topic, with `error` set if events for it have to fail, or undefined if it has to be looked up first.
   *
   * @param name as the client wrote it, legal or not.
   * @param durability of the events.
   */
  get(name: string, durability: GivenDurability): Topic | undefined {
    const info = this.#source.topic(name);
    if (info === undefined) return this.#unknownTopic(name, durability);
    if (info === this.#last?.info && name === this.#last.name) return this.#last;
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = new Topic(info, this.#metrics, this.#attribution);
      this.#topics.set(name, topic);
    } else if (topic.info !== info) {
      if (topic.info.partitions === 0) this.#onAssigned();
      topic.info = info;
    }
    return (this.#last = topic);
  }

  /**
   * The topic of a batch whose topics have been looked up. A batch waits for that once: what was learnt counts, however old
   * it is, and what was forgotten meanwhile fails, or a batch with more unknown topics than are remembered would wait forever.
   */
  afterLookup(name: string, durability: GivenDurability): Topic {
    const known = this.get(name, durability);
    if (known !== undefined) return known;
    const failing = this.#failing.get(name);
    // Nobody answered for this one; for others of the batch somebody has, meanwhile.
    const taken = failing?.away === true && durability === Durability.PERSISTED && this.#unassignedTopic(name);
    return taken || (failing?.topic ?? this.#newFailing(name, UNKNOWN_TOPICS, forgotten(name)));
  }

  /** Resolves when `get` will answer. Never rejects: what went wrong is the topic's `error`. */
  lookup(name: string): Promise<void> {
    let lookup = this.#lookups.get(name);
    if (lookup === undefined) {
      lookup = this.#source
        .lookup(name)
        .then(
          () => this.#away.told(undefined),
          (thrown: unknown) => this.#remember(name, IngestError.from(thrown)),
        )
        .finally(() => this.#lookups.delete(name));
      this.#lookups.set(name, lookup);
    }
    return lookup;
  }

  #unknownTopic(name: string, durability: GivenDurability): Topic | undefined {
    const { isAway } = this.#away;
    let failing = this.#failing.get(name);
    if (failing !== undefined && this.#clock.monotonic() >= failing.untilMs) failing = undefined;
    // The cluster has answered for another one since.
    if (failing?.away === true && !isAway) failing = undefined;
    if (isAway && failing?.away !== false && durability === Durability.PERSISTED) {
      const unassigned = this.#unassignedTopic(name);
      if (unassigned !== undefined) return unassigned;
    }
    if (failing !== undefined) return failing.topic;
    return isLegalTopicName(name) ? undefined : this.#newFailing(name, ILLEGAL_TOPICS, illegalTopic(name));
  }

  #unassignedTopic(name: string): Topic | undefined {
    let topic = this.#topics.get(name);
    if (topic !== undefined && topic.info.partitions > 0) return undefined;
    const info = this.#away.topic(name);
    if (info === undefined) return undefined;
    if (topic === undefined) {
      topic = new Topic(info, this.#metrics, this.#attribution);
      this.#topics.set(name, topic);
    }
    return topic;
  }

  #remember(name: string, error: IngestError): void {
    this.#away.told(error);
    this.#failing.delete(name);
    for (const oldest of this.#failing.keys()) {
      if (this.#failing.size < FAILING_TOPICS_MAX) break;
      this.#failing.delete(oldest);
    }
    const untilMs = this.#clock.monotonic() + FAILING_TTL_MS;
    const topic = this.#newFailing(name, UNKNOWN_TOPICS, error);
    this.#failing.set(name, { topic, untilMs, away: clusterIsAway(error) });
  }

  #newFailing(name: string, label: string, error: IngestError): Topic {
    return new Topic({ name, ...NOTHING_KNOWN }, this.#metrics, this.#attribution, label, error);
  }
}

function forgotten(name: string): IngestError {
  return new IngestError(
    Code.UNAVAILABLE,
    `topic ${name} could not be looked up beside more than ${FAILING_TOPICS_MAX} others that do not exist; name fewer topics in a batch`,
    { retryable: true, field: "topic" },
  );
}

function illegalTopic(name: string): IngestError {
  const message =
    name === ""
      ? "the event has no topic: set PublishRequest.topic or Event.topic"
      : `"${name.length > 80 ? `${name.slice(0, 80)}…` : name}" is not a legal topic name: use 1 to 249 of [a-zA-Z0-9._-], and not "." or ".."`;
  return new IngestError(Code.INVALID_ARGUMENT, message, { reason: Reason.INVALID_TOPIC, field: "topic" });
}
