// What stands behind the targets: a real Kafka broker, or the stand-in that only acknowledges.

import { join } from "node:path";
import { Admin } from "@platformatic/kafka";
import { startKafka } from "../scripts/kafka.ts";
import { Child } from "../scripts/child.ts";
import { ROOT } from "./targets.ts";

export type BrokerName = "kafka" | "standin";

export const TOPIC = "bench";
const PARTITIONS = 6;
const STANDIN_READY_MS = 15_000;

export interface Broker extends AsyncDisposable {
  readonly bootstrap: string;
  /** Resolves when the topic is there and empty; to be called before a row's targets start. */
  freshTopic(): Promise<void>;
}

export async function startBroker(name: BrokerName, signal: AbortSignal): Promise<Broker> {
  signal.throwIfAborted();
  return name === "kafka" ? await startRealBroker() : await startStandin(signal);
}

async function startRealBroker(): Promise<Broker> {
  const cluster = await startKafka();
  let created = false;
  return {
    bootstrap: cluster.bootstrap,
    // A row writes gigabytes: without deleting them, a run fills the disk and the page cache of the rows after it.
    async freshTopic() {
      if (created) await deleteTopic(cluster.bootstrap);
      await cluster.createTopic(TOPIC, { partitions: PARTITIONS, configs: { "file.delete.delay.ms": "0" } });
      created = true;
    },
    [Symbol.asyncDispose]: () => cluster.stop(),
  };
}

async function deleteTopic(bootstrap: string): Promise<void> {
  const admin = new Admin({ clientId: "sluice-bench", bootstrapBrokers: [bootstrap] });
  try {
    await admin.deleteTopics({ topics: [TOPIC] });
  } finally {
    await admin.close();
  }
}

async function startStandin(signal: AbortSignal): Promise<Broker> {
  await using stack = new AsyncDisposableStack();
  const args = [join(ROOT, "bench/standin.ts"), `${TOPIC}=${PARTITIONS}`];
  const child = stack.use(
    new Child({ name: "the stand-in broker", command: process.execPath, args, cwd: ROOT, env: {} }),
  );
  const { bootstrap } = await child.ready(STANDIN_READY_MS, signal);
  if (typeof bootstrap !== "string") throw new Error("the stand-in's ready line has no bootstrap");
  const owned = stack.move();
  return {
    bootstrap,
    freshTopic: async () => {},
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
