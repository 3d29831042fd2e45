// What is asked of a running cluster: is everybody there, and make a topic. Small requests over @platformatic/kafka's
// codecs; a JVM for Kafka's own command line tools would take two seconds each.

import { setTimeout as sleep } from "node:timers/promises";

import { Connection, createTopicsV7, metadataV12, ResponseError } from "@platformatic/kafka";

export interface TopicOptions {
  readonly partitions?: number;
  /** Default: the brokers' default.replication.factor. */
  readonly replicationFactor?: number;
  readonly configs?: Readonly<Record<string, string>>;
}

export type ClusterMetadata = Awaited<ReturnType<typeof metadataV12.api.async>>;

const REQUEST_TIMEOUT_MS = 10_000;
const RETRY_MS = 100;

/** Asks one broker for metadata; of all topics, unless some are named. */
export async function askMetadata(address: string, topics: string[] | null = null): Promise<ClusterMetadata> {
  return await withConnection(address, (connection) => metadataV12.api.async(connection, topics, false, false));
}

/**
 * Creates the topic and waits until every broker knows a leader of every partition.
 * Rejects with one line that holds Kafka's reason, for example that the topic exists.
 */
export async function createTopic(bootstrap: string, name: string, options: TopicOptions = {}): Promise<void> {
  const addresses = bootstrap.split(",");
  const partitions = options.partitions ?? 1;
  const configs = Object.entries(options.configs ?? {}).map(([key, value]) => ({ name: key, value }));
  const replicationFactor = options.replicationFactor ?? -1;
  const topic = { name, numPartitions: partitions, replicationFactor, assignments: [], configs };
  await withConnection(addresses[0]!, (connection) =>
    createTopicsV7.api.async(connection, [topic], REQUEST_TIMEOUT_MS, false),
  ).catch((error: unknown) => {
    throw new Error(`cannot create topic ${name}: ${reason(error)}`, { cause: error });
  });
  const deadline = performance.now() + REQUEST_TIMEOUT_MS;
  for (const address of addresses) {
    while (!(await isLed(address, name, partitions))) {
      if (performance.now() > deadline) throw new Error(`topic ${name} has partitions without a leader at ${address}`);
      await sleep(RETRY_MS);
    }
  }
}

async function isLed(address: string, name: string, partitions: number): Promise<boolean> {
  // The answer is an error as long as the broker does not know the topic, or one of its leaders.
  const metadata = await askMetadata(address, [name]).catch(() => undefined);
  return metadata?.topics[0]?.partitions.length === partitions;
}

async function withConnection<T>(address: string, ask: (connection: Connection) => Promise<T>): Promise<T> {
  const [host = "", port = ""] = address.split(":");
  const timeouts = { connectTimeout: REQUEST_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS };
  const connection = new Connection("sluice-kafka", timeouts);
  try {
    await connection.connect(host, Number(port));
    return await ask(connection);
  } finally {
    await connection.close();
  }
}

function reason(error: unknown): string {
  if (error instanceof ResponseError) return error.errors.map((each: Error) => each.message).join("; ");
  return error instanceof Error ? error.message : String(error);
}
