// What goes wrong, each kind on its own: a loop that waits, does harm, waits, and takes some of it back.
//
// `heal` takes all of it back. What was done to the network stays done to the connections that it hit: who uses a half-open
// one has to find out.

import type { Chance } from "../kafka/support/random.ts";
import type { FakeBroker, Fault, ProduceRequest } from "../support/fake-broker.ts";
import { NO_DISK_FAULTS } from "./disk.ts";
import { NO_NETWORK_FAULTS } from "./network.ts";
import { NOWHERE, TOPICS, type Trouble } from "./plan.ts";
import type { Slot } from "./slot.ts";
import type { World } from "./world.ts";

/** Told instead of storing; told although it may be stored; and told by a broker that has lost its mind. */
const NOT_STORED = [3, 5, 6, 19, 35, 74] as const;
const UNKNOWN = [7, 20, 56, -1] as const;
const SEQUENCE = [45, 59] as const;
const DENIED = [17, 29, 31] as const;

const DEFAULT_MESSAGE_BYTES = "1048588";

type Loop = (world: World) => Promise<void>;

const LOOPS: Partial<Record<Trouble, Loop>> = {
  network: networkPhases,
  brokers: brokerTrouble,
  outage: outages,
  leaders: leaderMoves,
  "producer-state": forgetfulBrokers,
  topics: topicChanges,
  disk: diskPhases,
  "full-disk": fullDisk,
  kill: (world) => deaths(world, "kill"),
  "power-cut": (world) => deaths(world, "power-cut"),
  drain: drains,
  stop: stops,
  "without-brokers": withoutBrokers,
};

export function trouble(world: World): void {
  const { plan, cluster, fate } = world;
  const denied = new Set<string>();
  const produce = plan.troubles.has("produce") ? 0.02 + 0.2 * plan.severity : 0;
  const requests = plan.troubles.has("requests") ? 0.02 + 0.3 * plan.severity : 0;
  cluster.onProduce = (request) => {
    const process = request.clientId ?? "";
    for (const { producerId } of request.partitions) world.producers.set(producerId, process);
    world.fire("produce", process);
    const fault = world.troubled ? faultOf(request) : undefined;
    noteProduce(world, request, fault);
    const wrong = world.wire.produce(request, fault, world.scheduler.nowMs);
    if (wrong !== undefined) world.history.violate(wrong);
    return fault;
  };
  const faultOf = (request: ProduceRequest): Fault => {
    const topic = request.partitions.find((each) => denied.has(each.topic))?.topic;
    if (topic !== undefined) return { action: "error", code: fate.pick(DENIED), only: (each) => each.topic === topic };
    return fate.hit(produce) ? produceFault(world) : { delayMs: fate.next() * 4 };
  };
  cluster.onRequest = () => {
    if (!world.troubled || !fate.hit(requests)) return { delayMs: fate.next() * 2 };
    world.count("request fault");
    return fate.pick<() => Fault>([
      () => ({ action: "disconnect", when: "before" }),
      () => ({ action: "drop-response" }),
      () => ({ action: "error", code: fate.pick([-1, 7, 15, 41]) }),
      () => {
        world.count("denied");
        return { action: "error", code: 29 };
      },
      () => ({ delayMs: fate.next() * 3_000 }),
    ])();
  };
  if (plan.troubles.has("topics")) void denials(world, denied);
  for (const [kind, loop] of Object.entries(LOOPS)) if (plan.troubles.has(kind as Trouble)) void loop(world);
  if (plan.startsWithoutCluster) void away(world, fate.next() * plan.troubledMs);
}

/** All is well from now on. */
export async function heal(world: World): Promise<void> {
  const { cluster, network, disk } = world;
  network.faults = NO_NETWORK_FAULTS;
  disk.faults = NO_DISK_FAULTS;
  disk.free();
  for (const broker of cluster.brokers) {
    broker.resume();
    await broker.start();
  }
  for (const topic of Object.keys(TOPICS)) {
    if (cluster.partitions(topic) === 0) world.createTopic(topic);
    cluster.configure(topic, "max.message.bytes", DEFAULT_MESSAGE_BYTES);
  }
  // PERSISTED events for it may have been taken while no broker could say that it does not exist.
  world.createTopic(NOWHERE, 1);
  const hadBrokers = world.withBrokers;
  world.withBrokers = true;
  for (const slot of world.slots) {
    const { life } = slot;
    if (!hadBrokers || life?.config.kafkaBrokers.length === 0 || life?.config.workers !== world.workers) {
      if (life?.started === true) void slot.drain();
      else slot.end("killed");
    }
  }
}

// --- Kafka --------------------------------------------------------------------------------------------------------------

function noteProduce(world: World, { nodeId, clientId, connection, partitions }: ProduceRequest, fault?: Fault): void {
  const batches = partitions.map(
    ({ topic, partition, producerId, epoch, baseSequence, count }) =>
      `${topic}/${partition} ${producerId}:${epoch}:${baseSequence}+${count}`,
  );
  world.note(
    `${clientId}`,
    `produces to ${nodeId} (${connection}): ${batches.join(", ")} ${JSON.stringify(fault ?? {})}`,
  );
}

function produceFault(world: World): Fault {
  const { fate, cluster } = world;
  const delayMs = fate.hit(0.3) ? fate.next() * 1_000 : 0;
  const topics = Object.keys(TOPICS);
  const name = fate.pick(topics);
  const only = fate.hit(0.5) ? undefined : ({ topic }: { readonly topic: string }) => topic === name;
  const error = (code: number, when: "before" | "after"): Fault => ({
    action: "error",
    code,
    when,
    delayMs,
    ...(only === undefined ? {} : { only }),
  });
  const kind = fate.pick([
    "drop",
    "before",
    "after",
    "not stored",
    "unknown",
    "stored",
    "late",
    "throttle",
    "rare",
  ] as const);
  world.count(`produce ${kind}`);
  switch (kind) {
    case "drop":
      return { action: "drop-response", delayMs };
    case "before":
    case "after":
      return { action: "disconnect", when: kind, delayMs };
    case "not stored":
      return error(fate.pick(NOT_STORED), "before");
    case "unknown":
      return error(fate.pick(UNKNOWN), "before");
    case "stored":
      return error(fate.pick(UNKNOWN), "after");
    case "late":
      return { delayMs: fate.next() ** 3 * 15_000 };
    case "throttle":
      return { throttleMs: Math.ceil(fate.next() * 500) };
    case "rare":
      return fate.pick<() => Fault>([
        () => {
          world.count("sequence answered");
          return error(fate.pick(SEQUENCE), "before");
        },
        () => {
          world.count("fenced answered");
          return error(47, "before");
        },
        () => {
          world.count("limits changed");
          return error(fate.pick([10, 18]), "before");
        },
        () => {
          world.count("corrupt answered");
          return error(2, "before");
        },
        () => {
          world.count("duplicate answered");
          return error(46, "after");
        },
        () => {
          // The leader moves while the batch waits for its replicas: it is stored, and the answer says "not me".
          world.count("moved after storing");
          const partition = fate.below(cluster.partitions(name));
          if (cluster.partitions(name) > 0) cluster.moveLeader(name, partition, 1 + fate.below(cluster.brokers.length));
          return error(6, "after");
        },
      ])();
  }
}

async function brokerTrouble(world: World): Promise<void> {
  const { fate, cluster } = world;
  for await (const _ of every(world, 6_000)) {
    const broker = fate.pick(cluster.brokers);
    switch (fate.below(4)) {
      case 0:
        world.count("broker disconnects");
        broker.disconnect();
        break;
      case 1:
        await hang(world, broker, fate.next() * 15_000);
        break;
      default:
        await fail(world, broker, fate.next() * 10_000);
    }
  }
}

async function hang(world: World, broker: FakeBroker, ms: number): Promise<void> {
  world.count("broker hangs");
  world.note("kafka", `broker ${broker.nodeId} hangs`);
  broker.pause();
  await world.scheduler.sleep(ms);
  broker.resume();
}

/** A broker stops; others may take over what it led, a moment later. */
async function fail(world: World, broker: FakeBroker, ms: number): Promise<void> {
  const { fate, cluster, scheduler } = world;
  world.count("broker stops");
  world.note("kafka", `broker ${broker.nodeId} stops`);
  await broker.stop();
  await scheduler.sleep(ms * fate.next());
  const others = cluster.brokers.filter((other) => other !== broker);
  if (others.length > 0) {
    for (const topic of Object.keys(TOPICS)) {
      for (let partition = 0; partition < cluster.partitions(topic); partition++) {
        if (cluster.leader(topic, partition) === broker.nodeId && fate.hit(0.8)) {
          cluster.moveLeader(topic, partition, fate.pick(others).nodeId);
        }
      }
    }
  }
  await scheduler.sleep(ms * fate.next());
  await broker.start();
}

async function outages(world: World): Promise<void> {
  for await (const _ of every(world, 30_000)) await away(world, world.fate.next() * 180_000);
}

async function away(world: World, ms: number): Promise<void> {
  const { fate, cluster } = world;
  world.count("outage");
  const hangs = fate.hit(0.4);
  world.note("kafka", `all brokers ${hangs ? "hang" : "are away"}`);
  await Promise.all(
    cluster.brokers.map(async (broker) => {
      if (hangs) return hang(world, broker, ms);
      await broker.stop();
      await world.scheduler.sleep(ms);
      await broker.start();
    }),
  );
}

async function leaderMoves(world: World): Promise<void> {
  const { fate, cluster } = world;
  for await (const _ of every(world, 500)) {
    const topic = fate.pick(Object.keys(TOPICS));
    const partitions = cluster.partitions(topic);
    if (partitions === 0) continue;
    world.count("leader moves");
    cluster.moveLeader(topic, fate.below(partitions), 1 + fate.below(cluster.brokers.length));
  }
}

async function forgetfulBrokers(world: World): Promise<void> {
  const { fate, cluster } = world;
  for await (const _ of every(world, 4_000)) {
    const topic = fate.pick(Object.keys(TOPICS));
    const partitions = cluster.partitions(topic);
    if (partitions === 0) continue;
    world.count("producer state lost");
    const partition = fate.below(partitions);
    cluster.forgetProducer(topic, partition);
    world.logs.forgotten(topic, partition);
  }
}

async function topicChanges(world: World): Promise<void> {
  const { fate, cluster } = world;
  for await (const _ of every(world, 8_000)) {
    const topic = fate.pick(Object.keys(TOPICS));
    if (cluster.partitions(topic) === 0) continue;
    switch (fate.below(3)) {
      case 0:
        world.count("topic deleted");
        world.note("kafka", `topic ${topic} is deleted`);
        cluster.deleteTopic(topic);
        await world.scheduler.sleep(fate.next() * 40_000);
        if (cluster.partitions(topic) === 0) world.createTopic(topic, 1 + fate.below(6));
        break;
      case 1:
        world.count("partitions added");
        cluster.addPartitions(topic, 1 + fate.below(2));
        world.logs.refresh(topic, false);
        break;
      default:
        world.count("limits changed");
        cluster.configure(topic, "max.message.bytes", String(fate.pick([300, 1_000, 5_000])));
        await world.scheduler.sleep(fate.next() * 10_000);
        cluster.configure(topic, "max.message.bytes", DEFAULT_MESSAGE_BYTES);
    }
  }
}

async function denials(world: World, denied: Set<string>): Promise<void> {
  const { fate } = world;
  for await (const _ of every(world, 10_000)) {
    const topic = fate.pick(Object.keys(TOPICS));
    world.count("denied");
    denied.add(topic);
    await world.scheduler.sleep(fate.next() * 5_000);
    denied.delete(topic);
  }
}

// --- Network and disk ---------------------------------------------------------------------------------------------------

async function networkPhases(world: World): Promise<void> {
  const { fate, network, plan } = world;
  const rate = (most: number): number => (fate.hit(0.6) ? most * plan.severity * fate.next() : 0);
  for await (const _ of every(world, 2_000)) {
    world.count("network phase");
    network.faults = { cut: rate(0.05), blackhole: rate(0.02), stall: rate(0.1), unreachable: rate(0.3) };
    await world.scheduler.sleep(fate.next() * 8_000);
    network.faults = NO_NETWORK_FAULTS;
  }
}

async function diskPhases(world: World): Promise<void> {
  const { fate, disk, plan } = world;
  const rate = (most: number): number => (fate.hit(0.5) ? most * (0.2 + plan.severity) * fate.next() : 0);
  for await (const _ of every(world, 2_000)) {
    world.count("disk phase");
    disk.faults = { write: rate(0.3), sync: rate(0.3), metadata: rate(0.2), read: rate(0.1), stall: rate(0.05) };
    await world.scheduler.sleep(fate.next() * 5_000);
    disk.faults = NO_DISK_FAULTS;
  }
}

async function fullDisk(world: World): Promise<void> {
  const { fate, disk } = world;
  for await (const _ of every(world, 5_000)) {
    world.count("disk full");
    disk.fill(fate.below(2_000));
    await world.scheduler.sleep(fate.next() * 8_000);
    disk.free();
  }
}

// --- Processes ----------------------------------------------------------------------------------------------------------

async function deaths(world: World, how: "kill" | "power-cut"): Promise<void> {
  const { fate } = world;
  const act = (slot: Slot): void => {
    if (!world.troubled || slot.life?.process.alive !== true) return;
    world.count(how);
    if (how === "kill") return slot.end("killed");
    // The machine goes with all that run on it.
    for (const each of world.slots) each.end("power cut");
    world.disk.cutPower();
  };
  for await (const _ of every(world, 8_000)) {
    const slot = fate.pick(world.slots);
    // Most moments are alike, so half of the deaths are next to one that is not.
    if (fate.hit(0.5) || slot.life === undefined) act(slot);
    else {
      const delayMs = fate.hit(0.3) ? 0 : fate.next() * 6;
      const what = fate.pick(["write", "sync", "produce"]);
      world.arm(what, slot.life.process.name, () => {
        world.scheduler.after(delayMs, { alive: true, stoppedUntilMs: 0 }, () => act(slot));
      });
    }
  }
}

async function drains(world: World): Promise<void> {
  const { fate } = world;
  for await (const _ of every(world, 12_000)) {
    world.count("drain");
    // With the last worker gone, its spool is for the others.
    if (world.slots.length > 1 && fate.hit(0.3) && world.workers > 1) {
      world.workers--;
      world.note("world", `there are ${world.workers} workers from now on`);
      const gone = world.slots.at(-1)!;
      gone.closed = true;
      if (fate.hit(0.5)) gone.end("killed");
      else await gone.drain();
      await world.slots[0]!.drain();
    } else {
      await fate.pick(world.slots).drain();
    }
  }
}

async function stops(world: World): Promise<void> {
  const { fate } = world;
  for await (const _ of every(world, 6_000)) {
    const { life } = fate.pick(world.slots);
    if (life === undefined) continue;
    world.count("process stands still");
    life.process.stop(fate.next() ** 2 * 20_000);
  }
}

async function withoutBrokers(world: World): Promise<void> {
  world.withBrokers = false;
  world.count("without brokers");
  await world.scheduler.sleep(world.plan.troubledMs * world.fate.next());
  world.withBrokers = true;
  for (const slot of world.slots) {
    if (world.fate.hit(0.5)) await slot.drain();
    else slot.end("killed");
  }
}

/** Again and again while there is trouble, after pauses of about so long. */
async function* every(world: World, meanMs: number): AsyncGenerator<void> {
  const mean = meanMs / (0.5 + world.plan.severity);
  for (;;) {
    await pause(world, mean, world.fate);
    if (!world.troubled) return;
    yield;
  }
}

async function pause(world: World, meanMs: number, fate: Chance): Promise<void> {
  await world.scheduler.sleep(-Math.log(1 - fate.next()) * meanMs);
}
