// What stands behind the targets: a real Kafka broker, or the stand-in that only acknowledges.

import { join } from "node:path";
import { Admin } from "@platformatic/kafka";
import { startKafka } from "../scripts/kafka.ts";
import { Child } from "../scripts/child.ts";
import { TOPICS_MAX } from "./scenarios.ts";
import { ROOT } from "./targets.ts";

export type BrokerName = "kafka" | "standin";

const PARTITIONS = 6;
const STANDIN_READY_MS = 15_000;

export interface Broker extends AsyncDisposable {
  readonly bootstrap: string;
  /** Resolves when that many topics are there and empty; to be called before a row's targets start. */
  freshTopics(count: number): Promise<void>;
}

/** The names of a load's topics. */
export function topicNames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => (index === 0 ? "bench" : `bench-${index + 1}`));
}

export async function startBroker(name: BrokerName, signal: AbortSignal): Promise<Broker> {
  signal.throwIfAborted();
  return name === "kafka" ? await startRealBroker() : await startStandin(signal);
}

async function startRealBroker(): Promise<Broker> {
  const cluster = await startKafka();
  let topics: readonly string[] = [];
  return {
    bootstrap: cluster.bootstrap,
    // A row writes gigabytes: without deleting them, a run fills the disk and the page cache of the rows after it.
    async freshTopics(count) {
      if (topics.length > 0) await deleteTopics(cluster.bootstrap, topics);
      topics = topicNames(count);
      for (const topic of topics) {
        await cluster.createTopic(topic, { partitions: PARTITIONS, configs: { "file.delete.delay.ms": "0" } });
      }
    },
    [Symbol.asyncDispose]: () => cluster.stop(),
  };
}

async function deleteTopics(bootstrap: string, topics: readonly string[]): Promise<void> {
  const admin = new Admin({ clientId: "sluice-bench", bootstrapBrokers: [bootstrap] });
  try {
    await admin.deleteTopics({ topics: [...topics] });
  } finally {
    await admin.close();
  }
}

async function startStandin(signal: AbortSignal): Promise<Broker> {
  await using stack = new AsyncDisposableStack();
  const args = [join(ROOT, "bench/standin.ts"), ...topicNames(TOPICS_MAX).map((topic) => `${topic}=${PARTITIONS}`)];
  const child = stack.use(
    new Child({ name: "the stand-in broker", command: process.execPath, args, cwd: ROOT, env: {} }),
  );
  const { bootstrap } = await child.ready(STANDIN_READY_MS, signal);
  if (typeof bootstrap !== "string") throw new Error("the stand-in's ready line has no bootstrap");
  const owned = stack.move();
  return {
    bootstrap,
    freshTopics: async () => {},
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
