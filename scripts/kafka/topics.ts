// What is asked of a running cluster: is everybody there, and make, move, measure or delete a topic. Small requests over @platformatic/kafka's
// codecs; a JVM for Kafka's own command line tools would take two seconds each.

import { setTimeout as sleep } from "node:timers/promises";

import {
  alterPartitionReassignmentsV0,
  Connection,
  createTopicsV7,
  deleteTopicsV6,
  listOffsetsV7,
  metadataV12,
  ResponseError,
} from "@platformatic/kafka";

export interface TopicOptions {
  readonly partitions?: number;
  /** Default: the brokers' default.replication.factor. */
  readonly replicationFactor?: number;
  readonly configs?: Readonly<Record<string, string>>;
}

export type ClusterMetadata = Awaited<ReturnType<typeof metadataV12.api.async>>;

const REQUEST_TIMEOUT_MS = 10_000;
const RETRY_MS = 100;
const UNKNOWN_TOPIC = 3;
/** ListOffsets takes these for times. */
const LATEST = -1n;
const EARLIEST = -2n;

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

/** Deletes the topic and waits until no broker knows it any more. */
export async function deleteTopic(bootstrap: string, name: string): Promise<void> {
  const addresses = bootstrap.split(",");
  const topics = [{ name, topicId: null }];
  await withConnection(addresses[0]!, (connection) =>
    deleteTopicsV6.api.async(connection, topics, REQUEST_TIMEOUT_MS),
  ).catch((error: unknown) => {
    throw new Error(`cannot delete topic ${name}: ${reason(error)}`, { cause: error });
  });
  const deadline = performance.now() + REQUEST_TIMEOUT_MS;
  for (const address of addresses) {
    while (!(await isUnknown(address, name))) {
      if (performance.now() > deadline) throw new Error(`topic ${name} is still known at ${address}`);
      await sleep(RETRY_MS);
    }
  }
}

/** Asks for other replicas of each partition, by its index; the brokers copy and switch when the copies are complete. */
export async function reassignReplicas(
  bootstrap: string,
  name: string,
  replicas: ReadonlyMap<number, readonly number[]>,
): Promise<void> {
  const partitions = Array.from(replicas, ([partitionIndex, ids]) => ({ partitionIndex, replicas: [...ids] }));
  await withConnection(bootstrap.split(",")[0]!, (connection) =>
    alterPartitionReassignmentsV0.api.async(connection, REQUEST_TIMEOUT_MS, true, [{ name, partitions }]),
  ).catch((error: unknown) => {
    throw new Error(`cannot reassign topic ${name}: ${reason(error)}`, { cause: error });
  });
}

/** How many offsets each partition holds: of a topic that is not compacted and has no transactions, its records. */
export async function countRecords(bootstrap: string, name: string): Promise<number> {
  const metadata = await askMetadata(bootstrap.split(",")[0]!, [name]);
  const byLeader = Map.groupBy(metadata.topics[0]!.partitions, ({ leaderId }) => leaderId);
  let records = 0n;
  for (const [leaderId, partitions] of byLeader) {
    const leader = metadata.brokers.find(({ nodeId }) => nodeId === leaderId);
    if (leader === undefined) throw new Error(`partitions of topic ${name} have no leader`);
    const offsets = async (timestamp: bigint): Promise<bigint> => {
      const asked = partitions.map(({ partitionIndex, leaderEpoch }) => {
        return { partitionIndex, currentLeaderEpoch: leaderEpoch, timestamp };
      });
      const { topics } = await withConnection(`${leader.host}:${leader.port}`, (connection) =>
        listOffsetsV7.api.async(connection, -1, 0, [{ name, partitions: asked }]),
      );
      return topics[0]!.partitions.reduce((sum, { offset }) => sum + offset, 0n);
    };
    records += (await offsets(LATEST)) - (await offsets(EARLIEST));
  }
  return Number(records);
}

async function isUnknown(address: string, name: string): Promise<boolean> {
  const thrown: unknown = await askMetadata(address, [name]).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof ResponseError)) return false;
  const { topics } = thrown["response"] as ClusterMetadata;
  return topics[0]?.errorCode === UNKNOWN_TOPIC;
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
