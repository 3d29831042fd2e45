// The faults: what each does to the world, what it wants to have seen there, and how the world is put right again.
//
// `run` resolves with a line for people that says what it saw; `heal` is called in any case, also when `run` was cut short,
// and has to be harmless where nothing is broken.

import { setTimeout as sleep } from "node:timers/promises";
import { deleteTopic, reassignReplicas } from "../kafka/topics.ts";
import { REPLICAS, TOPIC_OPTIONS, type World } from "./world.ts";

export interface Fault {
  readonly name: string;
  /** For people: what happens. */
  readonly about: string;
  run(world: World): Promise<string>;
  heal(world: World): Promise<void>;
}

/** A broker may still answer a request that it had when it lost the topic. */
const TOPIC_GONE_MS = 1_000;

async function restartBrokers({ cluster }: World): Promise<void> {
  for (const node of cluster.nodes) if (node.pid === undefined) await node.restart();
}

/** Starts the service again; while it was away, its topics' partitions may have found other leaders. */
async function restartService({ service, signal }: World): Promise<void> {
  await service.start(signal);
}

async function killService({ service, serviceKills, watch }: World): Promise<void> {
  await watch.look();
  await service.kill();
  serviceKills.push(Date.now());
  watch.lifeEnded();
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

const leaderKilled: Fault = {
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

const twoBrokersKilled: Fault = {
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

const rollingRestart: Fault = {
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

const brokerHangs: Fault = {
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

const reassignment: Fault = {
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

const topicRecreated: Fault = {
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

const serviceKilled: Fault = {
  name: "service-kill",
  about: "kill -9 of the service, all of its processes, and a new start",
  async run(world) {
    const { spooled, inFlight } = world.watch.ledger();
    await killService(world);
    await world.hold(2_000);
    return `about ${inFlight} events in flight and ${spooled} spooled`;
  },
  heal: restartService,
};

const workerKilled: Fault = {
  name: "worker-kill",
  about: "kill -9 of one worker; the supervisor starts it again",
  async run(world) {
    const { service, serviceKills, watch } = world;
    const { workers } = service;
    if (workers.length === 0) return "NOT DONE: this system does not tell the workers' process ids";
    const before = watch.now("sluice_worker_restarts_total");
    process.kill(world.pick(workers), "SIGKILL");
    serviceKills.push(Date.now());
    await world.until("the worker is started again", () => watch.now("sluice_worker_restarts_total") > before);
    return `one of ${workers.length}`;
  },
  heal: restartService,
};

const serviceRestarted: Fault = {
  name: "service-restart",
  about: "SIGTERM to the service, which drains, and a new start",
  async run({ service, watch, signal }) {
    await watch.look();
    const began = performance.now();
    await service.restart(signal);
    const took = (performance.now() - began) / 1000;
    watch.lifeEnded();
    await watch.look();
    return `${took.toFixed(1)} s, ${watch.ledger().recovered} events left in the spool`;
  },
  heal: restartService,
};

const serviceKilledWithBacklog: Fault = {
  name: "backlog-kill",
  about: "two of three brokers killed, then the service with what it has spooled; all of them started again",
  async run(world) {
    const survivor = world.pick(world.cluster.nodes);
    await Promise.all(world.cluster.nodes.filter((node) => node !== survivor).map((node) => node.kill("SIGKILL")));
    await world.hold(15_000);
    await world.watch.look();
    const { spooled } = world.watch.ledger();
    await killService(world);
    await world.hold(2_000);
    return `${spooled} events spooled`;
  },
  async heal(world) {
    await restartBrokers(world);
    await restartService(world);
  },
};

const diskFull: Fault = {
  name: "disk-full",
  about: "the disk of the spool is full, then there is room again",
  async run(world) {
    const { watch, disk } = world;
    if (disk.unlimited !== undefined) return await spoolFull(world);
    const refused = (): number => watch.now("sluice_spool_errors_total", { kind: "full" });
    const before = refused();
    await disk.fill();
    await world.until("the service meets the full disk", () => refused() > before, 30_000);
    await world.hold(8_000);
    const met = refused() - before;
    await disk.release();
    const persisted = watch.ledger().persisted;
    await world.until("PERSISTED events are taken again", () => watch.ledger().persisted > persisted, 30_000);
    return `met ${met} times; PERSISTED events are taken again since there is room`;
  },
  async heal({ disk }) {
    await disk.release();
  },
};

/** Where no disk can be limited: the spool's cap, which fills up while Kafka takes nothing. */
async function spoolFull(world: World): Promise<string> {
  const { watch, cluster } = world;
  const refused = (): number => watch.now("sluice_batches_total", { code: "RESOURCE_EXHAUSTED" });
  const failed = (): number => refused() + watch.ledger().failed;
  const before = failed();
  for (const node of cluster.nodes) await node.kill("SIGSTOP");
  try {
    await world.until("the spool is at its cap", () => failed() > before, 90_000);
    await world.hold(3_000);
  } finally {
    for (const node of cluster.nodes) await node.kill("SIGCONT");
  }
  return `NO DISK COULD BE LIMITED (${world.disk.unlimited}); the spool's cap instead, ${failed() - before} refusals`;
}

export const FAULTS: readonly Fault[] = [
  leaderKilled,
  twoBrokersKilled,
  rollingRestart,
  brokerHangs,
  reassignment,
  topicRecreated,
  serviceKilled,
  serviceKilledWithBacklog,
  workerKilled,
  serviceRestarted,
  diskFull,
];
