// Collects what is to be known of consumer groups: state, members, committed offsets and the ends of their partitions, twice.
//
// Everything only reads. Each group is asked by itself, so that one that may not be seen hides no other; a few at a time.
// Groups of the protocol of KIP-848 are described by another API than classic ones, and each API calls those of the other dead.
// Groups that are no consumers' (Connect, share groups) are left out: what their members are given is written in words of
// their own.

import {
  type Admin,
  consumerGroupDescribeV0,
  FindCoordinatorKeyTypes,
  ListOffsetTimestamps,
} from "@platformatic/kafka";
import { kafkaReason } from "../kafka.ts";
import type { GroupFacts, MemberFacts, PartitionLag } from "./groups.ts";

/** Of one look. */
interface Look {
  readonly state: string;
  readonly members: readonly MemberFacts[];
  /** Of partitions, by topic: what is committed. */
  readonly committed: ReadonlyMap<string, ReadonlyMap<number, number>>;
}

export interface GroupsFacts {
  readonly groups: readonly GroupFacts[];
  /** What could not be looked at, and why. */
  readonly unknown: readonly { readonly group: string; readonly reason: string }[];
  /** Groups that were left out, because there are too many. */
  readonly leftOut: number;
}

const GROUPS_MAX = 500;
const AT_A_TIME = 8;
const CONSUMERS = "consumer";

/**
 * Looks at all groups that have to do with these topics.
 * @param partitionCounts by topic.
 * @param pause waits between the two looks. Rejects if groups cannot be listed.
 */
export async function groupsFacts(
  admin: Admin,
  partitionCounts: ReadonlyMap<string, number>,
  pause: () => Promise<void>,
): Promise<GroupsFacts> {
  // The library lists classic ones alone unless it is told.
  const all = await admin.listGroups({ types: ["classic", CONSUMERS] });
  const listed = Array.from(all.values()).filter(({ protocolType }) => protocolType === CONSUMERS);
  const asked = listed.slice(0, GROUPS_MAX);
  const lookAll = async () =>
    await inTurn(asked, async ({ id, groupType }) => await look(admin, id, groupType === CONSUMERS));
  const [endsBefore, before, startedMs] = [await ends(admin, partitionCounts), await lookAll(), performance.now()];
  await pause();
  const [endsAfter, after] = [await ends(admin, partitionCounts), await lookAll()];
  const elapsedMs = performance.now() - startedMs;

  const groups: GroupFacts[] = [];
  const unknown: { group: string; reason: string }[] = [];
  for (const [i, { id }] of asked.entries()) {
    const [first, second] = [before[i]!, after[i]!];
    if ("reason" in first || "reason" in second) {
      unknown.push({ group: id, reason: "reason" in first ? first.reason : (second as Unseen).reason });
      continue;
    }
    const concerned = (topic: string) => partitionCounts.has(topic);
    if (
      ![...first.committed.keys()].some(concerned) &&
      !second.members.some(
        (member) => member.topics.some(concerned) || member.partitions.some((of) => concerned(of.topic)),
      )
    )
      continue;
    groups.push({
      name: id,
      state: [first.state, second.state],
      members: second.members,
      lags: lagsOf(first, second, endsBefore, endsAfter),
      elapsedMs,
    });
  }
  return { groups, unknown, leftOut: listed.length - asked.length };
}

interface Unseen {
  readonly reason: string;
}

async function look(admin: Admin, group: string, isNewProtocol: boolean): Promise<Look | Unseen> {
  try {
    const [described, [offsets]] = await Promise.all([
      isNewProtocol ? describeNew(admin, group) : describeClassic(admin, group),
      admin.listConsumerGroupOffsets({ groups: [group] }),
    ]);
    const committed = new Map(
      (offsets?.topics ?? []).map(({ name, partitions }) => [
        name,
        new Map(
          partitions
            .filter(({ committedOffset }) => committedOffset >= 0n)
            .map(({ partitionIndex, committedOffset }) => [partitionIndex, Number(committedOffset)]),
        ),
      ]),
    );
    return { ...described, committed };
  } catch (thrown) {
    return { reason: kafkaReason(thrown) };
  }
}

type Described = Pick<Look, "state" | "members">;

async function describeClassic(admin: Admin, name: string): Promise<Described> {
  const group = (await admin.describeGroups({ groups: [name] })).get(name)!;
  return {
    // The library writes it in capitals or as Kafka does, by the version of the answer.
    state: group.state,
    members: Array.from(group.members.values(), ({ id, clientId, clientHost, metadata, assignments }) => ({
      id,
      clientId,
      host: clientHost,
      topics: metadata?.topics ?? [],
      partitions: Array.from(assignments?.values() ?? []).flatMap(({ topic, partitions }) =>
        partitions.map((partition) => ({ topic, partition })),
      ),
    })),
  };
}

async function describeNew(admin: Admin, name: string): Promise<Described> {
  const [coordinator] = await admin.findCoordinator({ keyType: FindCoordinatorKeyTypes.GROUP, keys: [name] });
  const connections = await admin.connectToBrokers([coordinator!.nodeId]);
  const { groups } = await consumerGroupDescribeV0.api.async(connections.get(coordinator!.nodeId)!, [name], false);
  const { groupState, members } = groups[0]!;
  return {
    state: groupState,
    members: members.map(({ memberId, clientId, clientHost, subscribedTopicNames, assignment }) => ({
      id: memberId,
      clientId,
      host: clientHost,
      topics: subscribedTopicNames,
      partitions: assignment.topicPartitions.flatMap(({ topicName, partitions }) =>
        partitions.map((partition) => ({ topic: topicName, partition })),
      ),
    })),
  };
}

type Ends = ReadonlyMap<string, ReadonlyMap<number, number>>;

/** Where each partition ends. Topics with a partition that nobody leads are left out: they are told elsewhere. */
async function ends(admin: Admin, partitionCounts: ReadonlyMap<string, number>): Promise<Ends> {
  const found = await inTurn([...partitionCounts], async ([name, count]) => {
    const partitions = Array.from({ length: count }, (_, partitionIndex) => ({
      partitionIndex,
      timestamp: ListOffsetTimestamps.LATEST,
    }));
    return await admin.listOffsets({ topics: [{ name, partitions }] }).catch(() => []);
  });
  return new Map(
    found
      .flat()
      .map(({ name, partitions }) => [
        name,
        new Map(partitions.map(({ partitionIndex, offset }) => [partitionIndex, Number(offset)])),
      ]),
  );
}

function lagsOf(first: Look, second: Look, endsBefore: Ends, endsAfter: Ends): PartitionLag[] {
  return Array.from(second.committed).flatMap(([topic, partitions]) =>
    Array.from(partitions).flatMap(([partition, committed]) => {
      const end = endsAfter.get(topic)?.get(partition);
      if (end === undefined) return [];
      return {
        topic,
        partition,
        committed: [first.committed.get(topic)?.get(partition) ?? committed, committed] as const,
        end: [endsBefore.get(topic)?.get(partition) ?? end, end] as const,
      };
    }),
  );
}

/** The results of what is done for each, a few at a time. */
async function inTurn<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const work = async () => {
    for (let i = next++; i < items.length; i = next++) results[i] = await act(items[i]!);
  };
  await Promise.all(Array.from({ length: Math.min(AT_A_TIME, items.length) }, work));
  return results;
}
