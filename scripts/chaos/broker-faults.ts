// What can happen to brokers and topics.

import { setTimeout as sleep } from "node:timers/promises";
import { deleteTopic, reassignReplicas } from "../kafka/topics.ts";
import type { Fault } from "./fault.ts";
import { REPLICAS, TOPIC_OPTIONS, type World } from "./world.ts";

/** A broker may still answer a request that it had when it lost the topic. */
const TOPIC_GONE_MS = 1_000;

export async function restartBrokers({ cluster }: World): Promise<void> {
  for (const node of cluster.nodes) if (node.pid === undefined) await node.restart();
}

async function restoreReplicas(world: World): Promise<void> {
  const { topics, bootstrap } = world;
  for (const topic of topics) {
    const partitions = await world.partitionsOf(topic);
    const few = partitions.filter(({ replicaNodes }) => replicaNodes.length < REPLICAS);
    const ids = world.cluster.nodes.map(({ id }) => id);
    // Whoever was taken out comes back last, so that the leader that took over stays the preferred one.
    const replicas = few.map(({ partitionIndex, replicaNodes }) => {
      return [partitionIndex, [...replicaNodes, ...ids.filter((id) => !replicaNodes.includes(id))]] as const;
    });
    if (replicas.length > 0) await reassignReplicas(bootstrap, topic, new Map(replicas));
  }
}

export const leaderKilled: Fault = {
  name: "leader-kill",
  about: "kill -9 of a broker that leads partitions",
  async run(world) {
    const topic = world.pick(world.topics);
    const leader = await world.leaderOf(topic, 0);
    await leader.kill("SIGKILL");
    await world.hold(10_000);
    return `broker ${leader.id}, leader of ${topic}/0`;
  },
  heal: restartBrokers,
};

export const twoBrokersKilled: Fault = {
  name: "two-brokers-kill",
  about: "kill -9 of two of three brokers at once: min.insync.replicas is unmet",
  async run(world) {
    const survivor = world.pick(world.cluster.nodes);
    const victims = world.cluster.nodes.filter((node) => node !== survivor);
    const before = world.watch.now("sluice_kafka_errors_total", { error: "NOT_ENOUGH_REPLICAS" });
    await Promise.all(victims.map((node) => node.kill("SIGKILL")));
    await world.hold(25_000);
    await world.watch.look();
    const refused = world.watch.now("sluice_kafka_errors_total", { error: "NOT_ENOUGH_REPLICAS" }) - before;
    return `broker ${survivor.id} alone; NOT_ENOUGH_REPLICAS ${refused} times, ${world.watch.ledger().spooled} events spooled`;
  },
  heal: restartBrokers,
};

export const rollingRestart: Fault = {
  name: "rolling-restart",
  about: "each broker restarted in order, one after the other",
  async run(world) {
    const began = performance.now();
    for (const node of world.cluster.nodes) {
      world.signal.throwIfAborted();
      await node.restart();
      await world.calm();
    }
    return `${world.cluster.nodes.length} brokers in ${Math.round((performance.now() - began) / 1000)} s`;
  },
  heal: restartBrokers,
};

export const brokerHangs: Fault = {
  name: "broker-hang",
  about: "SIGSTOP of a broker that leads partitions, for 30 s",
  async run(world) {
    const topic = world.pick(world.topics);
    const leader = await world.leaderOf(topic, 0);
    await leader.kill("SIGSTOP");
    await world.hold(30_000);
    return `broker ${leader.id}, leader of ${topic}/0`;
  },
  async heal({ cluster }) {
    for (const node of cluster.nodes) await node.kill("SIGCONT");
  },
};

export const reassignment: Fault = {
  name: "reassign",
  about: "partitions are taken from their leaders' brokers, and given back as copies",
  async run(world) {
    const topic = world.pick(world.topics);
    const partitions = await world.partitionsOf(topic);
    const without = partitions.map(({ partitionIndex, leaderId, replicaNodes }) => {
      return [partitionIndex, replicaNodes.filter((id) => id !== leaderId)] as const;
    });
    await reassignReplicas(world.bootstrap, topic, new Map(without));
    await world.until(`the partitions of ${topic} have moved`, async () => {
      const moved = await world.partitionsOf(topic).catch(() => []);
      return moved.length > 0 && moved.every(({ replicaNodes }) => replicaNodes.length === REPLICAS - 1);
    });
    await world.hold(5_000);
    return `${partitions.length} partitions of ${topic}`;
  },
  heal: restoreReplicas,
};

export const topicRecreated: Fault = {
  name: "topic-recreate",
  about: "a topic is deleted and created again",
  async run(world) {
    const { doomed, cluster, recreations } = world;
    const deletedAtMs = Date.now();
    await deleteTopic(world.bootstrap, doomed);
    await sleep(TOPIC_GONE_MS);
    const goneAtMs = Date.now();
    // In between, whoever asks is told that there is no such topic.
    await world.hold(5_000).catch(() => undefined);
    await cluster.createTopic(doomed, TOPIC_OPTIONS);
    recreations.push({ topic: doomed, deletedAtMs, goneAtMs, createdAtMs: Date.now() });
    world.signal.throwIfAborted();
    return `${doomed}, away for ${((Date.now() - deletedAtMs) / 1000).toFixed(1)} s`;
  },
  async heal() {},
};
