// The brokers' own settings: what a topic gets that is made without settings of its own.
//
// Also the acknowledgements that the service asks for: acks=all with both Kafka clients and in every configuration, so what
// "all" means is left to min.insync.replicas. What other producers of the cluster ask for cannot be seen from outside.

import { type Admin, ConfigResourceTypes } from "@platformatic/kafka";
import { kafkaReason } from "../kafka.ts";
import { formatSize, plural } from "../table.ts";
import { type Finding, ok, unknown, warning } from "./finding.ts";

export interface BrokerSettings {
  readonly broker: string;
  readonly defaultReplicationFactor: number;
  readonly minInSyncReplicas: number;
  readonly uncleanElection: boolean;
  /** Infinity: not known. */
  readonly messageMaxBytes: number;
}

const KEYS = [
  "default.replication.factor",
  "min.insync.replicas",
  "unclean.leader.election.enable",
  "message.max.bytes",
] as const;

export interface JudgeOptions {
  /** KAFKA_AUTO_CREATE_TOPICS: brokers' defaults then are those of the service's topics. */
  readonly autoCreate: boolean;
  readonly brokers: number;
  /** RECORD_BATCH_BYTES_MAX. */
  readonly recordBatchBytesMax: number;
}

/** Brokers that agree are one finding. */
export function judgeBrokers(settings: readonly BrokerSettings[], options: JudgeOptions): Finding[] {
  const groups = Map.groupBy(settings, (each) => JSON.stringify({ ...each, broker: undefined }));
  return Array.from(groups.values()).flatMap((same) => {
    const subject = `broker ${same.map(({ broker }) => broker).join(", ")}`;
    return judge(subject, same[0]!, options);
  });
}

function judge(
  subject: string,
  { defaultReplicationFactor: factor, minInSyncReplicas: min, uncleanElection, messageMaxBytes }: BrokerSettings,
  { autoCreate, brokers, recordBatchBytesMax }: JudgeOptions,
): Finding[] {
  const findings: Finding[] = [];
  const finding = (check: string, message: string, remedy: string, why: string) => {
    findings.push({ ...warning(subject, message, remedy), check, why });
  };
  const described = `default.replication.factor ${factor}, min.insync.replicas ${min}, message.max.bytes ${messageMaxBytes === Infinity ? "not known" : formatSize(messageMaxBytes)}`;
  if (uncleanElection)
    finding(
      "unclean-election",
      "unclean.leader.election.enable is true: a replica that is behind may become leader",
      "set unclean.leader.election.enable to false",
      "of topics without a setting of their own, acknowledged events are lost then",
    );
  if (messageMaxBytes < recordBatchBytesMax)
    finding(
      "message-bytes",
      `message.max.bytes is ${formatSize(messageMaxBytes)}, below the ${formatSize(recordBatchBytesMax)} of a record batch (RECORD_BATCH_BYTES_MAX)`,
      "raise message.max.bytes, or lower RECORD_BATCH_BYTES_MAX",
      "of topics without a setting of their own, record batches are sealed early, and larger events are refused",
    );
  if (autoCreate && factor === 1)
    finding(
      "replication-factor",
      `default.replication.factor is 1, with ${plural(brokers, "broker")}, and KAFKA_AUTO_CREATE_TOPICS is true`,
      // A cluster of one has no second copy to offer, and a factor beyond its brokers makes no topic at all.
      brokers === 1
        ? "in production use three brokers, and set default.replication.factor to 3"
        : `set default.replication.factor to ${Math.min(brokers, 3)}, or create topics before their first event`,
      "topics that the service creates have one copy: a broker that is lost takes acknowledged events along",
    );
  else if (autoCreate && min === 1)
    finding(
      "min-insync-replicas",
      "min.insync.replicas is 1, and KAFKA_AUTO_CREATE_TOPICS is true",
      "set min.insync.replicas to 2",
      "of topics that the service creates, an acknowledged event may have a single copy",
    );
  return findings.length > 0 ? findings : [ok(subject, described)];
}

/** The service's own part. */
export function acknowledgements(kafkaClient: string): Finding {
  return {
    ...ok(
      "acknowledgements",
      `the ${kafkaClient} client asks for acks=all, whatever is configured: min.insync.replicas of each topic says what that means`,
    ),
    check: "acks",
  };
}

/** The settings of all brokers of the cluster, each from itself. */
export async function checkBrokerSettings(admin: Admin, options: Omit<JudgeOptions, "brokers">): Promise<Finding[]> {
  try {
    const { brokers } = await admin.metadata({ topics: [] });
    const settings = await Promise.all(
      Array.from(brokers, async ([id, { host, port }]): Promise<BrokerSettings> => {
        const [resource] = await admin.describeConfigs({
          resources: [
            { resourceType: ConfigResourceTypes.BROKER, resourceName: String(id), configurationKeys: [...KEYS] },
          ],
        });
        const setting = (key: (typeof KEYS)[number]) => resource?.configs.find(({ name }) => name === key)?.value ?? "";
        return {
          broker: `${host}:${port}`,
          defaultReplicationFactor: Number(setting("default.replication.factor") || 1),
          minInSyncReplicas: Number(setting("min.insync.replicas") || 1),
          uncleanElection: setting("unclean.leader.election.enable") === "true",
          messageMaxBytes: Number(setting("message.max.bytes") || Infinity),
        };
      }),
    );
    return judgeBrokers(settings, { ...options, brokers: brokers.size });
  } catch (thrown) {
    return [
      unknown(
        "brokers",
        `their settings cannot be read: ${kafkaReason(thrown)}`,
        "give this user DESCRIBE_CONFIGS on the cluster",
      ),
    ];
  }
}
