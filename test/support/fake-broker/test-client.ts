// A client for the double's own tests, made of @platformatic/kafka's codecs: they are not ours, so they can judge it.

import * as kafka from "@platformatic/kafka";

import { FakeCluster, type FakeClusterOptions } from "./cluster.ts";

interface Sequence {
  readonly producerId?: bigint;
  readonly epoch?: number;
  readonly sequence?: number;
}

export interface Outcome {
  readonly errorCode: number;
  readonly baseOffset: bigint;
  readonly throttleTimeMs: number;
  readonly leaderId: number | undefined;
  readonly endpoints: readonly { readonly nodeId: number; readonly port: number }[];
}

interface ProduceResponse {
  readonly responses: readonly {
    readonly partitionResponses: readonly {
      readonly errorCode: number;
      readonly baseOffset: bigint;
      readonly currentLeader?: { readonly leaderId: number };
    }[];
  }[];
  readonly throttleTimeMs: number;
  readonly nodeEndpoints?: Outcome["endpoints"];
}

/** A connection of @platformatic/kafka to one of the brokers. */
export async function dial(cluster: FakeCluster, nodeId = 1, requestTimeout = 5_000): Promise<kafka.Connection> {
  const connection = new kafka.Connection("test", { requestTimeout });
  const broker = cluster.broker(nodeId);
  await connection.connect(broker.host, broker.port);
  return connection;
}

/** Sends one record batch of these values to one partition. */
export async function produce(
  connection: kafka.Connection,
  values: readonly string[],
  { producerId = -1n, epoch = -1, sequence = -1 }: Sequence = {},
  partition = 0,
  api: { async: (...args: never[]) => Promise<unknown> } = kafka.produceV11.api,
): Promise<Outcome> {
  const messages = values.map((value) => ({ topic: "t", partition, value: Buffer.from(value), timestamp: 1n }));
  const sequences = new kafka.NumericMap([[`t:${partition}`, sequence]]);
  const options = { producerId, producerEpoch: epoch, sequences };
  const send = api.async as (...args: unknown[]) => Promise<ProduceResponse>;
  const response = await send(connection, -1, 1_000, messages, options).catch((error: unknown) => {
    if (error instanceof kafka.ResponseError) return (error as unknown as { response: ProduceResponse }).response;
    throw error;
  });
  const result = response.responses[0]!.partitionResponses[0]!;
  return {
    errorCode: result.errorCode,
    baseOffset: result.baseOffset,
    throttleTimeMs: response.throttleTimeMs,
    leaderId: result.currentLeader?.leaderId,
    endpoints: response.nodeEndpoints ?? [],
  };
}

/** Runs `body` with a cluster that has a topic t of two partitions, and a connection to its first broker. */
export async function withCluster(
  options: FakeClusterOptions,
  body: (cluster: FakeCluster, connection: kafka.Connection) => Promise<void>,
): Promise<void> {
  await using cluster = await FakeCluster.start({ topics: { t: 2 }, ...options });
  const connection = await dial(cluster);
  try {
    await body(cluster, connection);
  } finally {
    await connection.close();
  }
}

/** The values of all records stored, as text. */
export function values(cluster: FakeCluster, partition: number, topic = "t"): string[] {
  return cluster
    .log(topic, partition)
    .flatMap(({ bytes }) => kafka.readRecordsBatch(kafka.Reader.from(bytes)).records)
    .map((record) => record.value!.toString());
}
