// Kafka: can each broker be reached and logged in to, which Kafka is it, and are the topics fit for what is asked of them?

import {
  type Admin,
  apiVersionsV3,
  ConfigResourceTypes,
  Connection,
  type ConnectionOptions,
} from "@platformatic/kafka";
import { type Address, type Config, formatAddress } from "../../config.ts";
import { isUnknownTopic, kafkaOptions, kafkaReason } from "../kafka.ts";
import { error, type Finding, ok, warning } from "./finding.ts";

const PRODUCE = 0;
const PRODUCE_VERSION_MIN = 9;

/** Which releases have this as the newest version of the Produce API: the one number that tells them apart. */
const RELEASES: readonly (readonly [produceVersion: number, release: string])[] = [
  [13, "4.1 or newer"],
  [12, "4.0"],
  [11, "3.8 or 3.9"],
  [10, "3.7"],
  [9, "2.8 to 3.6"],
];

/** Says which Kafka offers this version of Produce; undefined: one that is too old. */
export function releaseOf(produceVersionMax: number): string | undefined {
  return RELEASES.find(([version]) => produceVersionMax >= version)?.[1];
}

/** One bootstrap broker: connects, logs in, and asks for its APIs. */
async function checkBroker(address: Address, options: ConnectionOptions): Promise<Finding> {
  const subject = `broker ${formatAddress(address)}`;
  const connection = new Connection("sluice-doctor", options);
  try {
    await connection.connect(address.host, address.port);
    const { apiKeys } = await apiVersionsV3.api.async(connection, "sluice-doctor", "1");
    const release = releaseOf(apiKeys.find(({ apiKey }) => apiKey === PRODUCE)?.maxVersion ?? -1);
    if (release === undefined)
      return error(subject, `is older than Kafka 2.8: it has no Produce version ${PRODUCE_VERSION_MIN}`, "upgrade it");
    return ok(subject, `answers, Kafka ${release}`);
  } catch (thrown) {
    return error(
      subject,
      `cannot be used: ${kafkaReason(thrown)}`,
      "check that it runs and is reachable from here, then KAFKA_BROKERS, KAFKA_TLS and the KAFKA_SASL_ options",
    );
  } finally {
    await connection.close().catch(() => {});
  }
}

export async function checkBrokers(config: Config): Promise<Finding[]> {
  const options = kafkaOptions(config);
  return Promise.all(
    config.kafkaBrokers.map((address) =>
      checkBroker(address, {
        connectTimeout: config.kafkaConnectTimeoutMs,
        requestTimeout: config.kafkaRequestTimeoutMs,
        ...(options.tls === undefined ? {} : { tls: options.tls, tlsServerName: true }),
        ...(options.sasl === undefined ? {} : { sasl: options.sasl }),
      }),
    ),
  );
}

/** What a topic is, as far as the doctor cares. */
export interface TopicFacts {
  readonly name: string;
  readonly partitions: readonly { readonly leader: number; readonly replicas: number; readonly inSync: number }[];
  readonly minInSyncReplicas: number;
  readonly maxMessageBytes: number;
  readonly compacted: boolean;
}

async function topicFacts(admin: Admin, name: string): Promise<TopicFacts> {
  const { topics } = await admin.metadata({ topics: [name], forceUpdate: true });
  const configurationKeys = ["min.insync.replicas", "max.message.bytes", "cleanup.policy"];
  const [resource] = await admin.describeConfigs({
    resources: [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: name, configurationKeys }],
  });
  const setting = (key: string) => resource?.configs.find((each) => each.name === key)?.value ?? "";
  return {
    name,
    partitions: topics.get(name)!.partitions.map(({ leader, replicas, isr }) => ({
      leader,
      replicas: replicas.length,
      inSync: isr.length,
    })),
    minInSyncReplicas: Number(setting("min.insync.replicas") || 1),
    maxMessageBytes: Number(setting("max.message.bytes") || 0),
    compacted: setting("cleanup.policy").includes("compact"),
  };
}

export function judgeTopic(facts: TopicFacts): Finding[] {
  const { name, partitions, minInSyncReplicas: min, maxMessageBytes, compacted } = facts;
  const subject = `topic ${name}`;
  const replicas = Math.min(...partitions.map((partition) => partition.replicas));
  const count = `${partitions.length} ${partitions.length === 1 ? "partition" : "partitions"}`;
  const findings = [
    ok(
      subject,
      `${count}, replication factor ${replicas}, min.insync.replicas ${min}, max.message.bytes ${maxMessageBytes}`,
    ),
  ];
  const leaderless = partitions.filter(({ leader }) => leader < 0).length;
  const short = partitions.filter(({ leader, inSync }) => leader >= 0 && inSync < min).length;
  if (leaderless > 0)
    findings.push(
      error(subject, `${leaderless} of ${count} have no leader and take nothing`, "bring the missing brokers back"),
    );
  if (min > replicas)
    findings.push(
      error(
        subject,
        `min.insync.replicas ${min} is more than its ${replicas} replicas: nothing can be written`,
        "add replicas, or lower min.insync.replicas",
      ),
    );
  else if (short > 0)
    findings.push(
      error(
        subject,
        `${short} of ${count} have fewer replicas in sync than min.insync.replicas ${min} and take nothing`,
        "bring the missing brokers back",
      ),
    );
  else if (replicas === 1)
    findings.push(
      warning(
        subject,
        "there is one copy: a broker that is lost takes acknowledged events along",
        "use replication factor 3 and min.insync.replicas 2 in production",
      ),
    );
  else if (min === 1)
    findings.push(
      warning(
        subject,
        "min.insync.replicas is 1: an acknowledged event may have a single copy",
        "set min.insync.replicas to 2",
      ),
    );
  else if (min === replicas)
    findings.push(
      warning(subject, "every replica has to be in sync: no broker may be down", "add a replica, so that one may fail"),
    );
  if (compacted) findings.push(ok(subject, "is compacted: events without a key fail"));
  return findings;
}

/** @param otherwise what becomes of the events of a topic that does not exist. */
export async function checkTopics(
  admin: Admin,
  names: readonly string[],
  autoCreate: boolean,
  otherwise = "its events fail",
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const name of names) {
    try {
      findings.push(...judgeTopic(await topicFacts(admin, name)));
    } catch (thrown) {
      findings.push(
        isUnknownTopic(thrown) ? missingTopic(name, autoCreate, otherwise) : hiddenTopic(name, kafkaReason(thrown)),
      );
    }
  }
  return findings;
}

function missingTopic(name: string, autoCreate: boolean, otherwise: string): Finding {
  const subject = `topic ${name}`;
  return autoCreate
    ? warning(
        subject,
        "does not exist; its first event makes it, where brokers allow that",
        "create it, to choose its partitions and replicas",
      )
    : error(subject, `does not exist: ${otherwise}`, "create it, or set KAFKA_AUTO_CREATE_TOPICS=true");
}

function hiddenTopic(name: string, reason: string): Finding {
  return error(
    `topic ${name}`,
    `cannot be looked at: ${reason}`,
    "check the brokers above, and the right to DESCRIBE and DESCRIBE_CONFIGS",
  );
}
