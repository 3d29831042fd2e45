// Topics: do they take events now, do they still when a broker is lost, and do they lose what they have taken?
//
// Facts are collected here and judged by a pure function. A topic whose settings may not be read is judged by its partitions.

import { type Admin, ConfigResourceTypes } from "@platformatic/kafka";
import { isUnknownTopic, kafkaReason } from "../kafka.ts";
import { formatSize, plural } from "../table.ts";
import { error, type Finding, ok, unknown, warning } from "./finding.ts";

export interface PartitionFacts {
  readonly leader: number;
  readonly replicas: number;
  readonly inSync: number;
}

/** What a topic is, as far as the doctor cares. */
export interface TopicFacts {
  readonly name: string;
  /** By their number. */
  readonly partitions: readonly PartitionFacts[];
  /** Undefined: this user may not see them. */
  readonly settings: TopicSettings | undefined;
}

/** The settings that are in force, whether the topic has them or its brokers. */
export interface TopicSettings {
  readonly minInSyncReplicas: number;
  readonly maxMessageBytes: number;
  readonly compacted: boolean;
  readonly uncleanElection: boolean;
  /** How far in the future the timestamp of an event may lie; Infinity: anywhere. */
  readonly timestampAfterMaxMs: number;
}

const SETTINGS = {
  minInSync: "min.insync.replicas",
  maxBytes: "max.message.bytes",
  cleanup: "cleanup.policy",
  unclean: "unclean.leader.election.enable",
  timestampType: "message.timestamp.type",
  after: "message.timestamp.after.max.ms",
} as const;
const NUMBERS_SHOWN_MAX = 8;

async function topicSettings(admin: Admin, name: string): Promise<TopicSettings | undefined> {
  try {
    const [resource] = await admin.describeConfigs({
      resources: [
        {
          resourceType: ConfigResourceTypes.TOPIC,
          resourceName: name,
          configurationKeys: Object.values(SETTINGS),
        },
      ],
    });
    const setting = (key: string) => resource?.configs.find((each) => each.name === key)?.value ?? "";
    return {
      minInSyncReplicas: Number(setting(SETTINGS.minInSync) || 1),
      maxMessageBytes: Number(setting(SETTINGS.maxBytes) || 0),
      compacted: setting(SETTINGS.cleanup).includes("compact"),
      uncleanElection: setting(SETTINGS.unclean) === "true",
      // Where the broker writes the timestamps itself, it refuses none.
      timestampAfterMaxMs:
        setting(SETTINGS.timestampType) === "LogAppendTime" ? Infinity : Number(setting(SETTINGS.after) || Infinity),
    };
  } catch {
    return undefined;
  }
}

/** Rejects if there is no such topic, or no answer. */
export async function topicFacts(admin: Admin, name: string): Promise<TopicFacts> {
  const { topics } = await admin.metadata({ topics: [name], forceUpdate: true });
  return {
    name,
    partitions: topics.get(name)!.partitions.map(({ leader, replicas, isr }) => ({
      leader,
      replicas: replicas.length,
      inSync: isr.length,
    })),
    settings: await topicSettings(admin, name),
  };
}

const settingsText = ({ minInSyncReplicas, maxMessageBytes }: TopicSettings) =>
  `, min.insync.replicas ${minInSyncReplicas}, max.message.bytes ${maxMessageBytes}`;

/** `2 of 6 partitions (0, 3)`; undefined if it is none. */
function which(partitions: readonly PartitionFacts[], is: (partition: PartitionFacts) => boolean): string | undefined {
  const found = partitions.flatMap((partition, i) => (is(partition) ? [i] : []));
  if (found.length === 0) return undefined;
  const numbers = found.slice(0, NUMBERS_SHOWN_MAX).join(", ") + (found.length > NUMBERS_SHOWN_MAX ? ", …" : "");
  return `${found.length} of ${plural(partitions.length, "partition")} (${numbers})`;
}

/** @param recordBatchBytesMax RECORD_BATCH_BYTES_MAX. */
export function judgeTopic(facts: TopicFacts, recordBatchBytesMax: number): Finding[] {
  const { name, partitions, settings } = facts;
  const subject = `topic ${name}`;
  const replicas = Math.min(...partitions.map((partition) => partition.replicas));
  const described = `${plural(partitions.length, "partition")}, replication factor ${replicas}`;
  return [
    ok(subject, `${described}${settings === undefined ? "" : settingsText(settings)}`),
    ...availability(facts, replicas),
    ...(settings === undefined
      ? [
          {
            ...unknown(
              subject,
              "its settings cannot be read: min.insync.replicas, unclean.leader.election.enable and max.message.bytes are not known",
              "give this user DESCRIBE_CONFIGS on the topic",
            ),
            check: "topic-settings",
          },
        ]
      : settingFindings(subject, settings, recordBatchBytesMax)),
  ];
}

/** What of the topic takes events, and what does when a broker is lost. */
function availability({ name, partitions, settings }: TopicFacts, replicas: number): Finding[] {
  const subject = `topic ${name}`;
  const min = settings?.minInSyncReplicas ?? 1;
  const findings: Finding[] = [];
  const leaderless = which(partitions, ({ leader }) => leader < 0);
  const blocked = which(partitions, ({ leader, inSync }) => leader >= 0 && inSync < min);
  const behind = which(partitions, (each) => each.leader >= 0 && each.inSync >= min && each.inSync < each.replicas);
  if (leaderless !== undefined)
    findings.push({
      ...error(subject, `${leaderless} have no leader and take nothing`, "bring the missing brokers back"),
      check: "no-leader",
    });
  if (min > replicas)
    findings.push({
      ...error(
        subject,
        `min.insync.replicas ${min} is more than its ${replicas} replicas: nothing can be written`,
        "add replicas, or lower min.insync.replicas",
      ),
      check: "under-min-isr",
    });
  else if (blocked !== undefined)
    findings.push({
      ...error(
        subject,
        `${blocked} have fewer replicas in sync than min.insync.replicas ${min} and take nothing`,
        "bring the missing brokers back",
      ),
      check: "under-min-isr",
    });
  if (behind !== undefined)
    findings.push({
      ...warning(
        subject,
        `${behind} are under-replicated: not every replica is in sync`,
        "look for a broker that is down, or slow on its disk or network; then at replica.lag.time.max.ms",
      ),
      why: "the next broker that fails may stop the topic, or take acknowledged events along",
      check: "under-replicated",
    });
  if (replicas === 1 && min === 1)
    findings.push({
      ...warning(
        subject,
        "there is one copy (replication factor 1): a broker that is lost takes acknowledged events along",
        "use replication factor 3 and min.insync.replicas 2 in production",
      ),
      check: "replication-factor",
    });
  else if (settings !== undefined && min === 1)
    findings.push({
      ...warning(
        subject,
        `min.insync.replicas is 1 with ${replicas} replicas: an acknowledged event may have a single copy`,
        "set min.insync.replicas to 2",
      ),
      check: "min-insync-replicas",
    });
  else if (settings !== undefined && min === replicas)
    findings.push({
      ...warning(
        subject,
        `min.insync.replicas is ${min} with ${replicas} replicas: no broker may be down`,
        "add a replica, so that one may fail",
      ),
      check: "min-insync-replicas",
    });
  return findings;
}

function settingFindings(
  subject: string,
  { uncleanElection, maxMessageBytes, compacted }: TopicSettings,
  recordBatchBytesMax: number,
): Finding[] {
  const findings: Finding[] = [];
  if (uncleanElection)
    findings.push({
      ...warning(
        subject,
        "unclean.leader.election.enable is true: a replica that is behind may become leader",
        "set unclean.leader.election.enable to false; the topic then waits for a replica that has everything",
      ),
      why: "what that replica has not got is gone, though it was acknowledged to all in-sync replicas",
      check: "unclean-election",
    });
  if (maxMessageBytes > 0 && maxMessageBytes < recordBatchBytesMax)
    findings.push({
      ...warning(
        subject,
        `max.message.bytes is ${formatSize(maxMessageBytes)}, below the ${formatSize(recordBatchBytesMax)} of a record batch (RECORD_BATCH_BYTES_MAX)`,
        "raise max.message.bytes of the topic, or lower RECORD_BATCH_BYTES_MAX",
      ),
      why: "record batches are sealed early, which costs throughput, and an event larger than that is refused",
      check: "message-bytes",
    });
  if (compacted) findings.push(ok(subject, "is compacted: events without a key fail"));
  return findings;
}

/** The finding on a topic that cannot be looked at. @param otherwise what becomes of the events of one that does not exist. */
export function absentTopic(name: string, thrown: unknown, autoCreate: boolean, otherwise: string): Finding {
  const subject = `topic ${name}`;
  if (!isUnknownTopic(thrown))
    return error(
      subject,
      `cannot be looked at: ${kafkaReason(thrown)}`,
      "check the brokers above, and the right to DESCRIBE",
    );
  return autoCreate
    ? warning(
        subject,
        "does not exist; its first event makes it, where brokers allow that",
        "create it, to choose its partitions and replicas",
      )
    : error(subject, `does not exist: ${otherwise}`, "create it, or set KAFKA_AUTO_CREATE_TOPICS=true");
}
