// What the brokers of one fake cluster share: nodes, topics, partitions, producer ids. Every change is seen by all of
// them at once; a real cluster takes a moment.

import { randomUUID } from "node:crypto";

import { PartitionLog } from "./partition-log.ts";
import { ErrorCode } from "./versions.ts";

export interface FakeNode {
  readonly nodeId: number;
  readonly host: string;
  /** 0 until the broker has started for the first time; the same ever after. */
  port: number;
  up: boolean;
}

export interface FakePartition {
  leader: number;
  leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly log: PartitionLog;
}

export interface FakeTopic {
  readonly name: string;
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly partitions: FakePartition[];
  /** What was set for this topic; everything else has the defaults. */
  readonly configs: Map<string, string>;
}

export interface TopicSpec {
  /** Default 1. */
  readonly partitions?: number;
  /** Default: as many as there are brokers, at most 3. */
  readonly replicationFactor?: number;
  readonly configs?: Readonly<Record<string, string>>;
}

const TOPIC_NAME = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/;

export class ClusterState {
  readonly clusterId = "fake-cluster";
  readonly nodes: readonly FakeNode[];
  readonly topics = new Map<string, FakeTopic>();
  readonly configDefaults: ReadonlyMap<string, string>;
  #producerIds = 1000n;

  constructor(nodes: readonly FakeNode[], configDefaults: ReadonlyMap<string, string>) {
    this.nodes = nodes;
    this.configDefaults = configDefaults;
  }

  /** Creates the topic, or tells the protocol's error code why not. Leaders go round the brokers. */
  createTopic(name: string, spec: TopicSpec): number {
    const count = spec.partitions ?? 1;
    const replicationFactor = spec.replicationFactor ?? Math.min(3, this.nodes.length);
    if (!TOPIC_NAME.test(name)) return ErrorCode.INVALID_TOPIC_EXCEPTION;
    if (this.topics.has(name)) return ErrorCode.TOPIC_ALREADY_EXISTS;
    if (count < 1) return ErrorCode.INVALID_PARTITIONS;
    if (replicationFactor < 1 || replicationFactor > this.nodes.length) return ErrorCode.INVALID_REPLICATION_FACTOR;
    const partitions = Array.from({ length: count }, (_, index) => this.#newPartition(index, replicationFactor));
    const configs = new Map(Object.entries(spec.configs ?? {}));
    this.topics.set(name, { name, id: randomUUID().replaceAll("-", ""), partitions, configs });
    return ErrorCode.NONE;
  }

  addPartitions(name: string, count: number): void {
    const partitions = this.topics.get(name)?.partitions;
    if (partitions === undefined) return;
    const replicationFactor = partitions[0]!.replicas.length;
    for (let added = 0; added < count; added++) {
      partitions.push(this.#newPartition(partitions.length, replicationFactor));
    }
  }

  topicById(id: string): FakeTopic | undefined {
    return [...this.topics.values()].find((topic) => topic.id === id);
  }

  config(topic: FakeTopic, name: string): string | undefined {
    return topic.configs.get(name) ?? this.configDefaults.get(name);
  }

  isUp(nodeId: number): boolean {
    return this.nodes.some((node) => node.nodeId === nodeId && node.up);
  }

  nextProducerId(): bigint {
    return this.#producerIds++;
  }

  #newPartition(index: number, replicationFactor: number): FakePartition {
    const replicas = Array.from(
      { length: replicationFactor },
      (_, replica) => this.nodes[(index + replica) % this.nodes.length]!.nodeId,
    );
    return { leader: replicas[0]!, leaderEpoch: 0, replicas, log: new PartitionLog() };
  }
}

/** The topic settings that a broker of the release tells about, with their defaults. */
export function configDefaults(release: "2.8" | "4.1"): ReadonlyMap<string, string> {
  const forever = "9223372036854775807";
  return new Map([
    ["cleanup.policy", "delete"],
    ["compression.type", "producer"],
    ["max.message.bytes", "1048588"],
    ["message.timestamp.type", "CreateTime"],
    ["min.insync.replicas", "1"],
    ["retention.ms", "604800000"],
    ...(release === "2.8"
      ? ([["message.timestamp.difference.max.ms", forever]] as const)
      : ([
          ["message.timestamp.before.max.ms", forever],
          ["message.timestamp.after.max.ms", "3600000"],
        ] as const)),
  ]);
}
