// What can happen to the service, its workers and its disk.

import { restartBrokers } from "./broker-faults.ts";
import type { Fault } from "./fault.ts";
import type { World } from "./world.ts";

/** A client has noticed by then that its call is gone. */
const CALLS_END_MS = 1_000;

async function restartService({ service, signal }: World): Promise<void> {
  await service.start(signal);
}

async function killService({ service, upheavals, watch }: World): Promise<void> {
  await watch.look();
  const fromMs = Date.now();
  await service.kill();
  upheavals.push({ fromMs, toMs: Date.now() + CALLS_END_MS, killed: true });
  watch.lifeEnded();
}

export const serviceKilled: Fault = {
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

export const workerKilled: Fault = {
  name: "worker-kill",
  about: "kill -9 of one worker; the supervisor starts it again",
  async run(world) {
    const { service, upheavals, watch } = world;
    const { workers } = service;
    if (workers.length === 0) return "NOT DONE: this system does not tell the workers' process ids";
    const before = watch.now("sluice_worker_restarts_total");
    const fromMs = Date.now();
    process.kill(world.pick(workers), "SIGKILL");
    upheavals.push({ fromMs, toMs: fromMs + CALLS_END_MS, killed: true });
    await world.until("the worker is started again", () => watch.now("sluice_worker_restarts_total") > before);
    return `one of ${workers.length}`;
  },
  heal: restartService,
};

export const serviceRestarted: Fault = {
  name: "service-restart",
  about: "SIGTERM to the service, which drains, and a new start",
  async run({ service, upheavals, watch, signal }) {
    await watch.look();
    const fromMs = Date.now();
    await service.restart(signal);
    upheavals.push({ fromMs, toMs: Date.now(), killed: false });
    const took = (Date.now() - fromMs) / 1000;
    watch.lifeEnded();
    await watch.look();
    return `${took.toFixed(1)} s, ${watch.ledger().recovered} events left in the spool`;
  },
  heal: restartService,
};

export const serviceKilledWithBacklog: Fault = {
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

export const diskFull: Fault = {
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
