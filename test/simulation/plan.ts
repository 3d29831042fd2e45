// What a seed decides before a run begins: how large the world is, how the service is set, who sends what, and which kinds of
// trouble there are. Each run has only some kinds (a swarm): what is always there hides what needs its absence.

import type { Config } from "../../src/config.ts";
import type { Chance } from "../kafka/support/random.ts";
import type { ClientSpec, Work } from "./client.ts";
import { type EventSpec, PERSISTED, REPLICATED } from "./history.ts";

export const TROUBLES = [
  /** Error codes, lost, late and missing answers to Produce. */
  "produce",
  /** The same for all other requests. */
  "requests",
  /** Broken, half-open and stalled connections. */
  "network",
  /** Brokers that stop, hang and start again. */
  "brokers",
  /** All brokers away for minutes. */
  "outage",
  "leaders",
  /** Brokers forget what they knew of producers. */
  "producer-state",
  /** Topics are deleted and created again, get more partitions, take smaller batches, deny. */
  "topics",
  /** Writes and syncs fail, the disk stalls. */
  "disk",
  "full-disk",
  /** kill -9. */
  "kill",
  "power-cut",
  /** Graceful ends. */
  "drain",
  /** Processes that stand still for a while. */
  "stop",
  /** Starts without KAFKA_BROKERS. */
  "without-brokers",
] as const;
export type Trouble = (typeof TROUBLES)[number];

export interface TopicPlan {
  readonly partitions: number;
  readonly configs: Readonly<Record<string, string>>;
}

export const TOPICS: Readonly<Record<string, TopicPlan>> = {
  one: { partitions: 1, configs: {} },
  three: { partitions: 3, configs: {} },
  five: { partitions: 5, configs: {} },
  compact: { partitions: 2, configs: { "cleanup.policy": "compact" } },
};
/** A topic that there is not; without brokers that cannot be known, so it has to be created in the end. */
export const NOWHERE = "nowhere";

/** What is counted when PERSISTED events are taken without knowing their partitions. */
export const TAKEN_UNASSIGNED = "taken without a partition";

/** A partition that no topic has. */
export const NO_PARTITION = 99;

export interface Plan {
  /** How long there is trouble. */
  readonly troubledMs: number;
  readonly brokers: number;
  readonly workers: number;
  readonly troubles: ReadonlySet<Trouble>;
  /** How much of it, from 0 to 1. */
  readonly severity: number;
  readonly config: Partial<Config>;
  readonly clients: readonly ClientSpec[];
  /** Do brokers say which records they refuse? */
  readonly namesPoison: boolean;
  /** Is the cluster away when the service starts? */
  readonly startsWithoutCluster: boolean;
}

export function planOf(chance: Chance): Plan {
  const troubledMs = 5_000 + chance.next() ** 2 * 60_000;
  const troubles = new Set(TROUBLES.filter((trouble) => chance.hit(trouble === "without-brokers" ? 0.15 : 0.4)));
  const brokers = 1 + chance.below(3);
  const poison = chance.hit(0.4) ? 0.02 : 0;
  const workers = chance.hit(0.25) ? 2 : 1;
  const recordBatchBytesMax = chance.pick([600, 4_096, 65_536]);
  const clients = Array.from({ length: 1 + chance.below(4) }, () => clientOf(chance, troubledMs, poison));
  return {
    troubledMs,
    brokers,
    workers,
    troubles,
    severity: chance.next(),
    config: {
      lingerMs: chance.pick([0, 5, 5, 80]),
      recordBatchBytesMax,
      admittedBytesMax: chance.pick([12_288, 65_536, 1 << 20]),
      admissionTimeoutMs: chance.pick([50, 1_000, 5_000]),
      publishEventsMax: 64,
      // Small enough to be full now and then, and never too small for a record batch.
      spoolBytesMax: workers * Math.max(chance.pick([1 << 14, 1 << 18, 1 << 22]), 2 * recordBatchBytesMax),
      spoolSegmentBytes: chance.pick([2_000, 16_000, 65_536]),
      kafkaRequestTimeoutMs: chance.pick([500, 2_000, 10_000]),
      kafkaConnectTimeoutMs: chance.pick([300, 2_000]),
      kafkaMetadataMaxAgeMs: chance.pick([1_000, 5_000, 60_000]),
    },
    clients,
    namesPoison: chance.hit(0.5),
    startsWithoutCluster: chance.hit(0.15),
  };
}

function clientOf(chance: Chance, troubledMs: number, poison: number): ClientSpec {
  const durabilities = chance.pick([[REPLICATED], [PERSISTED], [PERSISTED, REPLICATED], [REPLICATED, PERSISTED, 0]]);
  const topics = Object.keys(TOPICS).filter(() => chance.hit(0.5));
  if (topics.length === 0) topics.push("one");
  const batches = 4 + chance.below(30);
  const eventsMax = chance.pick([1, 5, 20]);
  const bytesMax = chance.pick([60, 400, 3_000]);
  const mixed = chance.hit(0.2);
  const work = Array.from({ length: batches }, (): Work => {
    const topic = chance.pick(topics);
    const count = chance.hit(0.02) ? 0 : 1 + chance.below(eventsMax);
    const events = Array.from({ length: count }, () =>
      eventOf(chance, mixed && chance.hit(0.3) ? chance.pick(topics) : topic, bytesMax, poison),
    );
    return { topic, durability: chance.pick(durabilities), events };
  });
  return {
    stream: chance.hit(0.7),
    windowBatches: chance.pick([1, 4, 20]),
    pauseMs: (troubledMs / batches) * chance.pick([0.05, 0.3, 0.8]),
    cancels: chance.hit(0.3) ? 0.05 : 0,
    work,
  };
}

function eventOf(chance: Chance, topic: string, bytesMax: number, poison: number): EventSpec {
  const partitions = TOPICS[topic]?.partitions ?? 1;
  const partition = chance.hit(0.2) ? chance.below(partitions) : undefined;
  const needsKey = topic === "compact";
  return {
    topic: chance.hit(0.005) ? NOWHERE : topic,
    key: needsKey || chance.hit(0.7) ? `k${chance.below(6)}` : undefined,
    partition: chance.hit(0.005) ? NO_PARTITION : partition,
    valueBytes: 24 + chance.below(bytesMax),
    poison: chance.hit(poison),
  };
}
