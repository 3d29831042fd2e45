// Consumer groups: do they keep up, and does every member do its share?
//
// A pure judgement of two looks at each group, about a second apart. Two looks tell lag that goes away from lag that grows;
// they cannot tell a consumer that commits every five seconds from one that is stuck, so a lag that "does not move" is a
// warning and never an error, and a stalled member is told only where another member of its group did commit meanwhile.

import { formatCount, plural } from "../table.ts";
import { type Finding, ok, warning } from "./finding.ts";

/** One topic-partition of a group. Offsets are before and after. */
export interface PartitionLag {
  readonly topic: string;
  readonly partition: number;
  readonly committed: readonly [before: number, after: number];
  readonly end: readonly [before: number, after: number];
}

export interface MemberFacts {
  readonly id: string;
  readonly clientId: string;
  readonly host: string;
  /** The topics that it wants. */
  readonly topics: readonly string[];
  /** What it has been given. */
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[];
}

export interface GroupFacts {
  readonly name: string;
  /** As Kafka calls it, before and after: Stable, Empty, Dead, PreparingRebalance, ... */
  readonly state: readonly [before: string, after: string];
  readonly members: readonly MemberFacts[];
  /** Of the partitions that it has committed something of. */
  readonly lags: readonly PartitionLag[];
  readonly elapsedMs: number;
}

/** A lag below this is what every consumer has between two commits; so is one of what comes in so many seconds. */
const LAG_MIN = 1000;
const LAG_SECONDS_MIN = 10;
const SHOWN_MAX = 5;
/** A member that has this share of a group's lag has it for a reason of its own. */
const LAG_SHARE_MAX = 0.8;
/** A member with this many times the mean has too many partitions. */
const UNEVEN = 1.5;
const AT_REST: ReadonlySet<string> = new Set(["Empty", "Dead"]);
const SETTLED: ReadonlySet<string> = new Set(["Stable", ...AT_REST]);

const lagOf = ({ committed, end }: PartitionLag): number => Math.max(0, end[1] - committed[1]);
const lagBefore = ({ committed, end }: PartitionLag): number => Math.max(0, end[0] - committed[0]);
const sum = (lags: readonly PartitionLag[], of: (lag: PartitionLag) => number): number =>
  lags.reduce((total, lag) => total + of(lag), 0);
/** What is behind from so many events on, by what is written: Java's consumers commit every five seconds. */
const lagMin = (lags: readonly PartitionLag[], elapsedMs: number): number =>
  Math.max(LAG_MIN, (sum(lags, ({ end }) => end[1] - end[0]) / elapsedMs) * 1000 * LAG_SECONDS_MIN);
const moved = ({ committed }: PartitionLag): boolean => committed[1] !== committed[0];
const signed = (count: number): string => `${count > 0 ? "+" : ""}${formatCount(count)}`;
const nameOf = ({ clientId, host, id }: MemberFacts): string => `${clientId}${host} (${id.slice(-12)})`;

/** The partitions with the most lag: `clicks/3 1,200 (+300)`. */
function worst(lags: readonly PartitionLag[]): string {
  const behind = lags.filter((lag) => lagOf(lag) > 0).sort((a, b) => lagOf(b) - lagOf(a));
  const shown = behind
    .slice(0, SHOWN_MAX)
    .map((lag) => `${lag.topic}/${lag.partition} ${formatCount(lagOf(lag))} (${signed(lagOf(lag) - lagBefore(lag))})`);
  const rest = behind.length - shown.length;
  return shown.join(", ") + (rest > 0 ? `, and ${plural(rest, "more partition")}` : "");
}

/** @param partitionCounts of the topics that were looked at; members are held against these alone. */
export function judgeGroup(group: GroupFacts, partitionCounts: ReadonlyMap<string, number>): Finding[] {
  const { name, state, members, lags } = group;
  const subject = `group ${name}`;
  const lag = sum(lags, lagOf);
  const findings = [
    ...idleMembers(group, partitionCounts),
    ...stateFindings(group, lag),
    ...lagFindings(group, lag),
    ...unevenFindings(group, lag),
  ];
  if (findings.length > 0) return findings;
  return [ok(subject, `${state[1]}, ${plural(members.length, "member")}, lag ${formatCount(lag)}`)];
}

/** Of a topic that has fewer partitions than members that want it. */
function idleMembers({ name, members }: GroupFacts, partitionCounts: ReadonlyMap<string, number>): Finding[] {
  return Array.from(partitionCounts).flatMap(([topic, partitions]) => {
    const wanting = members.filter((member) => member.topics.includes(topic));
    if (wanting.length <= partitions) return [];
    const share = partitions === 1 ? "share the only partition" : `share ${partitions} partitions`;
    const idle = wanting.filter((member) => member.partitions.length === 0).length;
    const meaning = idle === 0 ? "" : `; ${idle} of them ${idle === 1 ? "has" : "have"} nothing to do`;
    return {
      ...warning(
        `group ${name}`,
        `${plural(wanting.length, "member")} ${share} of topic ${topic}${meaning}`,
        `give ${topic} at least ${wanting.length} partitions (keys then go to other partitions), or run ${plural(partitions, "consumer")}`,
      ),
      why: "a partition is read by one member of a group at a time: more members than partitions read no faster",
      check: "fewer-partitions-than-members",
    };
  });
}

/** Of a group without members, or one that does not come to rest. */
function stateFindings({ name, state, members, lags, elapsedMs }: GroupFacts, lag: number): Finding[] {
  const subject = `group ${name}`;
  const [before, after] = state;
  if (AT_REST.has(after)) {
    if (lag === 0) return [];
    const more = sum(lags, ({ end }) => end[1] - end[0]);
    return [
      {
        ...warning(
          subject,
          `is ${after}: it has no members, and ${plural(lag, "event")} ${lag === 1 ? "waits" : "wait"} for it${more > 0 ? `, ${formatCount(more)} more in ${seconds(elapsedMs)}` : ""}: ${worst(lags)}`,
          "start its consumers, or delete the group if nobody needs it (kafka-consumer-groups.sh --delete)",
        ),
        why: "nobody reads for it; what waits longer than the topic's retention is lost to it",
        check: "group-without-members",
      },
    ];
  }
  if (SETTLED.has(before) || SETTLED.has(after)) return [];
  return [
    {
      ...warning(
        subject,
        `is ${after} with ${plural(members.length, "member")}, for ${seconds(elapsedMs)} or longer`,
        "look for members that come and go, or that take longer than max.poll.interval.ms or session.timeout.ms",
      ),
      why: "while a group rebalances, its members read nothing",
      check: "group-rebalancing",
    },
  ];
}

function lagFindings({ name, state, lags, elapsedMs }: GroupFacts, lag: number): Finding[] {
  if (lag < lagMin(lags, elapsedMs) || AT_REST.has(state[1])) return [];
  const written = sum(lags, ({ end }) => end[1] - end[0]);
  const read = sum(lags, ({ committed }) => committed[1] - committed[0]);
  const growth = lag - sum(lags, lagBefore);
  const trend = growth > 0 ? "grows" : growth < 0 ? "shrinks" : "neither grows nor shrinks";
  return [
    {
      ...warning(
        `group ${name}`,
        `is ${plural(lag, "event")} behind, and that ${trend} (${seconds(elapsedMs)}: ${formatCount(written)} written, ${formatCount(read)} committed): ${worst(lags)}`,
        growth < 0
          ? "wait, and look again"
          : "look at what its consumers wait for; then more consumers, up to the number of partitions",
      ),
      why: "events reach whoever reads them that much later; beyond the topic's retention they are lost to the group",
      check: "group-lag",
    },
  ];
}

/** Of members that have more than the others, in partitions or in lag, and of those that do nothing. */
function unevenFindings({ name, members, lags, elapsedMs }: GroupFacts, lag: number): Finding[] {
  if (members.length < 2) return [];
  const subject = `group ${name}`;
  const findings: Finding[] = [];
  const counts = members.map(({ partitions }) => partitions.length);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  const total = counts.reduce((all, each) => all + each, 0);
  const topics = new Set(members.flatMap((member) => member.topics)).size;
  // An assignor that goes by topic may give a member one more of each.
  if (most - least > Math.max(1, topics) && most >= (UNEVEN * total) / members.length)
    findings.push({
      ...warning(
        subject,
        `its members have uneven shares: from ${least} to ${most} of ${plural(total, "partition")}; most has ${nameOf(members[counts.indexOf(most)]!)}`,
        "use the cooperative-sticky or uniform assignor, and let all members subscribe to the same topics",
      ),
      why: "the member with the most is the one that falls behind first",
      check: "group-uneven-partitions",
    });
  const lagsOf = (member: MemberFacts) =>
    lags.filter((each) => member.partitions.some((of) => of.topic === each.topic && of.partition === each.partition));
  const withPartitions = members.filter(({ partitions }) => partitions.length > 0);
  for (const member of withPartitions) {
    const own = lagsOf(member);
    const ownLag = sum(own, lagOf);
    if (ownLag === 0 || withPartitions.length < 2) continue;
    const others = withPartitions.filter((each) => each !== member);
    if (!own.some(moved) && ownLag >= lagMin(own, elapsedMs) && others.some((other) => lagsOf(other).some(moved)))
      findings.push({
        ...warning(
          subject,
          `member ${nameOf(member)} committed nothing in ${seconds(elapsedMs)} while others did; ${plural(ownLag, "event")} ${ownLag === 1 ? "waits" : "wait"} in its partitions: ${worst(own)}`,
          "look whether that process hangs or waits; end it, and its partitions go to others",
        ),
        why: "a member that hangs keeps its partitions as long as its heartbeat goes on",
        check: "group-stalled-member",
      });
    else if (lag >= lagMin(lags, elapsedMs) && ownLag / lag >= LAG_SHARE_MAX)
      findings.push({
        ...warning(
          subject,
          `member ${nameOf(member)} has ${Math.round((ownLag / lag) * 100)} % of the lag of ${plural(withPartitions.length, "member")} with partitions: ${worst(own)}`,
          "if it is one partition, spread the keys or let events without order go without a key; else look at that member's host",
        ),
        why: "more members do not help a partition that gets too much, or a member that is slow",
        check: "group-uneven-lag",
      });
  }
  return findings;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
