// Everything the producer asks of Kafka beside Produce, through the public codecs of @platformatic/kafka over our connection.
//
// The versions are those of Kafka 2.8 and later, newest first; what a broker offers is asked once for each connection.

import {
  type API,
  apiVersionsV0,
  apiVersionsV3,
  AuthenticationError,
  ConfigResourceTypes,
  type Connection as LibraryConnection,
  createTopicsV7,
  describeConfigsV4,
  initProducerIdV4,
  metadataV10,
  metadataV11,
  metadataV12,
  ResponseError,
  saslAuthenticateV2,
  saslHandshakeV1,
  saslPlain,
  saslScramSha,
} from "@platformatic/kafka";
import { Code, IngestError } from "../../errors.ts";
import { ErrorCode, errorName } from "../errors.ts";
import type { SaslOptions } from "../options.ts";
import type { Connection } from "./connection.ts";
import { PRODUCE_API_KEY, PRODUCE_VERSION_MAX, PRODUCE_VERSION_MIN } from "./produce.ts";

const CLIENT_SOFTWARE = "sluice";

/** What both sides speak, for the APIs whose version matters. */
export interface Versions {
  readonly produce: number;
  readonly metadata: number;
}

/** From the first one that tells a topic's id, by which one that was created again is known. */
const METADATA = { 12: metadataV12, 11: metadataV11, 10: metadataV10 } as const;

/**
 * The library's APIs throw if any one thing in a response failed; the response then travels in the error, and it is what we
 * want: who fails and who does not is told apart by its error codes.
 */
async function call<A extends unknown[], R>(api: API<A, R>, connection: Connection, ...args: A): Promise<R> {
  try {
    return await api.async(connection as unknown as LibraryConnection, ...args);
  } catch (thrown) {
    if (thrown instanceof ResponseError) return thrown["response"] as R;
    throw thrown instanceof IngestError
      ? thrown
      : new IngestError(Code.UNAVAILABLE, `broker ${connection.host}:${connection.port}: ${String(thrown)}`, {
          retryable: true,
          cause: thrown,
        });
  }
}

/** @throws IngestError UNAVAILABLE, also if the broker is too old or too new: brokers are replaced while events wait. */
export async function negotiate(connection: Connection): Promise<Versions> {
  let response = await call(apiVersionsV3.api, connection, CLIENT_SOFTWARE, "1");
  if (response.errorCode === ErrorCode.UNSUPPORTED_VERSION)
    response = await call(apiVersionsV0.api, connection, CLIENT_SOFTWARE, "1");
  const best = (apiKey: number, name: string, min: number, max: number): number => {
    const offered = response.apiKeys.find((api) => api.apiKey === apiKey);
    const version = Math.min(max, offered?.maxVersion ?? -1);
    if (offered !== undefined && version >= Math.max(min, offered.minVersion)) return version;
    const offer = offered === undefined ? "nothing" : `${offered.minVersion} to ${offered.maxVersion}`;
    throw new IngestError(
      Code.UNAVAILABLE,
      `broker ${connection.host}:${connection.port} offers ${name} ${offer}, needed is ${min} to ${max}: use Kafka 2.8 or later`,
      { retryable: true },
    );
  };
  const produce = best(PRODUCE_API_KEY, "Produce", PRODUCE_VERSION_MIN, PRODUCE_VERSION_MAX);
  const metadata = best(metadataV12.api.key, "Metadata", metadataV10.api.version, metadataV12.api.version);
  // Of these one version each is spoken: the one that all releases since 2.8 offer.
  best(initProducerIdV4.api.key, "InitProducerId", 4, 4);
  best(describeConfigsV4.api.key, "DescribeConfigs", 4, 4);
  return { produce, metadata };
}

/** @throws IngestError UNAVAILABLE, also if the credentials or the mechanism are refused: an operator mends that while events wait. */
export async function authenticate(connection: Connection, sasl: SaslOptions): Promise<void> {
  const { mechanism, username, password } = sasl;
  const refused = (why: string, cause?: unknown): IngestError =>
    new IngestError(
      Code.UNAVAILABLE,
      `broker ${connection.host}:${connection.port} refuses SASL ${mechanism}: ${why} (KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD)`,
      { retryable: true, cause },
    );
  const handshake = await call(saslHandshakeV1.api, connection, mechanism);
  if (handshake.errorCode !== 0) throw refused(`it offers ${handshake.mechanisms?.join(", ") ?? "none"}`);
  const library = connection as unknown as LibraryConnection;
  const { api } = saslAuthenticateV2;
  try {
    if (mechanism === "PLAIN") {
      await saslPlain.authenticate(api, library, username, password);
    } else {
      const hash = mechanism === "SCRAM-SHA-256" ? "SHA-256" : "SHA-512";
      await saslScramSha.authenticate(api, library, hash, username, password);
    }
  } catch (thrown) {
    // SCRAM wraps what the second message of its two ran into.
    const cause = thrown instanceof AuthenticationError ? (thrown.cause ?? thrown) : thrown;
    if (cause instanceof IngestError) throw cause;
    if (!(cause instanceof ResponseError))
      throw refused(cause instanceof Error ? cause.message : String(cause), thrown);
    const { errorCode, errorMessage } = cause["response"] as { errorCode: number; errorMessage: string | null };
    throw refused(errorMessage ?? errorName(errorCode), thrown);
  }
}

export interface ClusterView {
  readonly brokers: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[];
  readonly controllerId: number;
  readonly topics: readonly TopicView[];
}

export interface TopicView {
  readonly name: string;
  /** Another one when the topic was created again. */
  readonly topicId: string;
  /** One of Kafka's own topics, which no producer may write to. */
  readonly isInternal: boolean;
  readonly errorCode: number;
  /** By their index. The leader is -1 while there is none. */
  readonly partitions: ReadonlyMap<number, { readonly leader: number; readonly leaderEpoch: number }>;
}

/** Never lets the broker create a topic as a side effect: that is `createTopic`'s, where a setting says so. */
export async function fetchMetadata(
  connection: Connection,
  versions: Versions,
  topics: readonly string[],
): Promise<ClusterView> {
  const { api } = METADATA[versions.metadata as keyof typeof METADATA];
  const response = await call(
    api as typeof metadataV12.api,
    connection,
    topics.map((name) => ({ name })),
    false,
  );
  return {
    brokers: response.brokers,
    controllerId: response.controllerId,
    topics: response.topics.map((topic) => ({
      name: topic.name ?? "",
      topicId: topic.topicId,
      isInternal: topic.isInternal,
      errorCode: topic.errorCode,
      partitions: new Map(
        topic.partitions.map(({ partitionIndex, leaderId, leaderEpoch }) => [
          partitionIndex,
          { leader: leaderId, leaderEpoch },
        ]),
      ),
    })),
  };
}

export interface ProducerIdView {
  readonly errorCode: number;
  readonly producerId: bigint;
  readonly epoch: number;
}

/** @throws IngestError UNAVAILABLE if there is no answer. */
export async function initProducerId(connection: Connection): Promise<ProducerIdView> {
  const response = await call(initProducerIdV4.api, connection, null, 0, -1n, -1);
  return { errorCode: response.errorCode, producerId: response.producerId, epoch: response.producerEpoch };
}

/** The named settings of topics, as far as this client may see them. */
export async function describeTopicConfigs(
  connection: Connection,
  topics: readonly string[],
  names: readonly string[],
): Promise<Map<string, ReadonlyMap<string, string>>> {
  const resources = topics.map((resourceName) => ({
    resourceType: ConfigResourceTypes.TOPIC,
    resourceName,
    configurationKeys: [...names],
  }));
  const response = await call(describeConfigsV4.api, connection, resources, false, false);
  const visible = response.results.filter(({ errorCode }) => errorCode === 0);
  return new Map(
    visible.map(({ resourceName, configs }) => [
      resourceName,
      new Map(configs.map(({ name, value }) => [name, value ?? ""])),
    ]),
  );
}

/** Creates a topic with the cluster's default partitions and replication factor. @returns the error code; 0 or 36 (it exists) are fine. */
export async function createTopic(connection: Connection, name: string, timeoutMs: number): Promise<number> {
  const topic = { name, numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] };
  const response = await call(createTopicsV7.api, connection, [topic], timeoutMs, false);
  return response.topics[0]?.errorCode ?? -1;
}
