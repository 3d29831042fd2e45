// Everything that a fault can touch: brokers, the service, its disk, topics; and what was done to them.

import { setTimeout as sleep } from "node:timers/promises";
import type { KafkaCluster, KafkaNode } from "../kafka.ts";
import { askMetadata, type ClusterMetadata } from "../kafka/topics.ts";
import type { Recreation, Upheaval } from "./comparison.ts";
import type { LedgerWatch } from "./ledger-watch.ts";
import type { Service } from "./service.ts";
import type { SmallDisk } from "./small-disk.ts";

export interface WorldParts {
  readonly cluster: KafkaCluster;
  readonly service: Service;
  readonly watch: LedgerWatch;
  readonly disk: SmallDisk;
  /** Topics that stay. */
  readonly topics: readonly string[];
  /** The topic that is deleted and created again. */
  readonly doomed: string;
  readonly random: () => number;
  /** How long faults last, as a factor of how long they would. */
  readonly holdFactor: number;
  readonly signal: AbortSignal;
}

export const REPLICAS = 3;
export const TOPIC_OPTIONS = {
  partitions: 6,
  replicationFactor: REPLICAS,
  configs: { "min.insync.replicas": "2", "unclean.leader.election.enable": "false" },
} as const;

const POLL_MS = 200;

export class World {
  readonly cluster: KafkaCluster;
  readonly service: Service;
  readonly watch: LedgerWatch;
  readonly disk: SmallDisk;
  readonly topics: readonly string[];
  readonly doomed: string;
  readonly signal: AbortSignal;
  readonly recreations: Recreation[] = [];
  readonly upheavals: Upheaval[] = [];
  readonly #random: () => number;
  readonly #holdFactor: number;

  constructor({ cluster, service, watch, disk, topics, doomed, random, holdFactor, signal }: WorldParts) {
    this.cluster = cluster;
    this.service = service;
    this.watch = watch;
    this.disk = disk;
    this.topics = topics;
    this.doomed = doomed;
    this.signal = signal;
    this.#random = random;
    this.#holdFactor = holdFactor;
  }

  /** Brokers that answer, as `host:port` and comma-separated. */
  get bootstrap(): string {
    return this.cluster.nodes
      .filter(({ pid }) => pid !== undefined)
      .map(({ port }) => `127.0.0.1:${port}`)
      .join(",");
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)]!;
  }

  /** Lets what is the case go on for a while. */
  async hold(ms: number): Promise<void> {
    await sleep(ms * this.#holdFactor, undefined, { signal: this.signal });
  }

  async leaderOf(topic: string, partition: number): Promise<KafkaNode> {
    const { leaderId } = (await this.partitionsOf(topic)).find((each) => each.partitionIndex === partition)!;
    const leader = this.cluster.nodes.find(({ id }) => id === leaderId);
    if (leader === undefined) throw new Error(`${topic}/${partition} has no leader`);
    return leader;
  }

  async partitionsOf(topic: string): Promise<ClusterMetadata["topics"][number]["partitions"]> {
    const metadata = await askMetadata(this.bootstrap.split(",")[0]!, [topic]);
    return metadata.topics[0]!.partitions;
  }

  /** @throws Error if it is not so in time, and the reason of the signal. */
  async until(what: string, isSo: () => Promise<boolean> | boolean, timeoutMs = 120_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!(await isSo())) {
      if (performance.now() > deadline) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
      await sleep(POLL_MS, undefined, { signal: this.signal });
    }
  }

  /** Resolves when every replica of every topic is in sync and the service takes events. */
  async calm(): Promise<void> {
    await this.until("all replicas are in sync", () => this.#isInSync());
    await this.until("the service is ready", async () => {
      this.service.assertRuns();
      const response = await fetch(`${this.service.adminUrl}/readyz`).catch(() => undefined);
      await response?.body?.cancel();
      return response?.ok === true;
    });
  }

  async #isInSync(): Promise<boolean> {
    for (const { port, pid } of this.cluster.nodes) {
      if (pid === undefined) return false;
      const metadata = await askMetadata(`127.0.0.1:${port}`, [...this.topics, this.doomed]).catch(() => undefined);
      const partitions = metadata?.topics.flatMap((topic) => topic.partitions);
      if (partitions?.every(({ isrNodes }) => isrNodes.length === REPLICAS) !== true) return false;
    }
    return true;
  }
}
