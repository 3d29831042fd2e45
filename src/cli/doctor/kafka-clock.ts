// What Kafka tells of its clocks. Nothing in its protocol asks a broker for the time, and to produce a record would be to change
// something. What tells it all the same:
//
// - DescribeQuorum: the active controller answers with when its replicas last fetched, by its own clock, and of itself with
//   now. That is one node's clock, both ways, to the round trip.
// - The newest timestamp in a topic. One from the future was written by a clock that is ahead: the broker's where the topic
//   says LogAppendTime, a client's elsewhere. A clock that is behind does not show so.

import { type Admin, describeQuorumV1, describeQuorumV2, ListOffsetTimestamps } from "@platformatic/kafka";
import { kafkaReason } from "../kafka.ts";
import { CLOCK_CHECK, type ClockReading, judgeClock, judgeTopicClock } from "./clock.ts";
import { type Finding, unknown } from "./finding.ts";

const METADATA = "__cluster_metadata";
const DESCRIBE_QUORUM = 55;

/** Reads the active controller's clock. Rejects where it does not tell: before Kafka 3.3, or without DESCRIBE on the cluster. */
async function controllerClock(admin: Admin): Promise<ClockReading> {
  const apis = await admin.listApis();
  const version = apis.find(({ apiKey }) => apiKey === DESCRIBE_QUORUM)?.maxVersion ?? -1;
  if (version < 1) throw new Error("this Kafka does not tell the time of its controller");
  const [connection] = (await admin.connectToBrokers()).values();
  const { api } = version === 1 ? describeQuorumV1 : describeQuorumV2;
  const askedMs = Date.now();
  const { topics } = await api.async(connection!, [{ topicName: METADATA, partitions: [{ partitionIndex: 0 }] }]);
  const answeredMs = Date.now();
  const { leaderId, currentVoters } = topics[0]!.partitions[0]!;
  const leader = currentVoters.find(({ replicaId }) => replicaId === leaderId);
  const atMs = Number(leader?.lastFetchTimestamp ?? -1n);
  if (atMs <= 0) throw new Error("the active controller does not tell its time");
  return { whose: `the active controller (node ${leaderId})`, atMs, askedMs, answeredMs, stepMs: 1 };
}

/** @param afterMaxMs as in judgeClock. */
export async function checkClocks(
  admin: Admin,
  topics: ReadonlyMap<string, number>,
  afterMaxMs: number,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  try {
    findings.push(judgeClock(await controllerClock(admin), afterMaxMs));
  } catch (thrown) {
    findings.push({
      ...unknown(
        "clock",
        `the brokers' clocks cannot be compared with this host's: ${kafkaReason(thrown)}`,
        "give this user DESCRIBE on the cluster (Kafka 3.3 or newer tells the time of its controller)",
      ),
      check: CLOCK_CHECK,
    });
  }
  for (const [name, count] of topics) {
    const partitions = Array.from({ length: count }, (_, partitionIndex) => ({
      partitionIndex,
      timestamp: ListOffsetTimestamps.MAX,
    }));
    // Brokers before 3.0 do not know this question, and a partition without a leader has no answer.
    const listed = await admin.listOffsets({ topics: [{ name, partitions }] }).catch(() => []);
    const stamps = listed.flatMap((topic) => topic.partitions.map(({ timestamp }) => Number(timestamp)));
    findings.push(...judgeTopicClock({ name, newestMs: Math.max(-1, ...stamps), nowMs: Date.now() }));
  }
  return findings;
}
