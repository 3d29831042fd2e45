import assert from "node:assert/strict";
import test from "node:test";
import type { Finding } from "../../../src/cli/doctor/finding.ts";
import { type GroupFacts, judgeGroup, type MemberFacts, type PartitionLag } from "../../../src/cli/doctor/groups.ts";

function member(id: string, partitions: readonly number[]): MemberFacts {
  return {
    id,
    clientId: `client-${id}`,
    host: "/10.0.0.1",
    topics: ["t"],
    partitions: partitions.map((partition) => ({ topic: "t", partition })),
  };
}

/** @param read and written meanwhile. */
function lag(partition: number, behind: number, { read = 0, written = 0 } = {}): PartitionLag {
  const end = 100_000;
  return {
    topic: "t",
    partition,
    committed: [end - behind - read, end - behind],
    end: [end - written, end],
  };
}

function judge(facts: Partial<GroupFacts>, partitions = 4): Finding[] {
  const group: GroupFacts = {
    name: "g",
    state: ["Stable", "Stable"],
    members: [],
    lags: [],
    elapsedMs: 1000,
    ...facts,
  };
  return judgeGroup(group, new Map([["t", partitions]]));
}

const checks = (findings: readonly Finding[]) => findings.map(({ level, check }) => [level, check]);

test("a group that keeps up is ok, with its lag", () => {
  const members = [member("a", [0, 1]), member("b", [2, 3])];
  const [finding, ...rest] = judge({ members, lags: [lag(0, 12, { read: 50, written: 60 })] });
  assert.deepEqual(rest, []);
  assert.equal(finding!.level, "ok");
  assert.equal(finding!.message, "Stable, 2 members, lag 12");
});

test("a topic with fewer partitions than a group has members is found, with both numbers", () => {
  const members = [member("a", [0]), member("b", [1]), member("c", []), member("d", [])];
  const findings = judge({ members }, 2);
  assert.deepEqual(checks(findings), [["warning", "fewer-partitions-than-members"]]);
  assert.equal(findings[0]!.message, "4 members share 2 partitions of topic t; 2 of them have nothing to do");
  assert.match(findings[0]!.remedy!, /at least 4 partitions .* or run 2 consumers$/);
  assert.deepEqual(checks(judge({ members }, 4)).includes(["warning", "fewer-partitions-than-members"]), false);
});

test("lag is told by partition, the worst first, and whether it grows", () => {
  const members = [member("a", [0, 1])];
  const growing = judge({ members, lags: [lag(0, 700, { read: 100, written: 400 }), lag(1, 20_000, { written: 50 })] });
  assert.deepEqual(checks(growing), [["warning", "group-lag"]]);
  assert.equal(
    growing[0]!.message,
    "is 20,700 events behind, and that grows (1.0 s: 450 written, 100 committed): t/1 20,000 (+50), t/0 700 (+300)",
  );
  const shrinking = judge({ members, lags: [lag(0, 5000, { read: 900 })] });
  assert.match(shrinking[0]!.message, /^is 5,000 events behind, and that shrinks /);
  const stuck = judge({ members, lags: [lag(0, 5000)] });
  assert.match(stuck[0]!.message, /^is 5,000 events behind, and that neither grows nor shrinks /);
});

test("what a busy topic's consumers have between two commits, five seconds apart, is no lag, and nobody has stalled for it", () => {
  const members = [member("a", [0]), member("b", [1])];
  const between = lag(0, 80_000, { written: 20_000 });
  const committed = lag(1, 10_000, { read: 90_000, written: 20_000 });
  assert.deepEqual(checks(judge({ members, lags: [between, committed] })), [["ok", undefined]]);
  // Behind by more than that it is.
  const behind = { ...between, committed: [-300_000, -300_000] as const };
  assert.deepEqual(checks(judge({ members, lags: [behind, committed] })), [
    ["warning", "group-lag"],
    ["warning", "group-stalled-member"],
  ]);
});

test("many partitions with lag are counted, not all named", () => {
  const lags = Array.from({ length: 9 }, (_, i) => lag(i, 1000 + i));
  assert.match(
    judge({ members: [member("a", [])], lags }, 9)[0]!.message,
    /t\/8 .*t\/4 1,004 \(0\), and 4 more partitions$/,
  );
});

test("a group without members is found where events wait for it, and not where none do", () => {
  const state = ["Empty", "Empty"] as const;
  const findings = judge({ state, lags: [lag(0, 1, { written: 1 })] });
  assert.deepEqual(checks(findings), [["warning", "group-without-members"]]);
  assert.match(
    findings[0]!.message,
    /^is Empty: it has no members, and 1 event waits for it, 1 more in 1\.0 s: t\/0 1/,
  );
  assert.equal(judge({ state, lags: [lag(0, 0)] })[0]!.level, "ok");
  assert.deepEqual(checks(judge({ state: ["Dead", "Dead"], lags: [lag(0, 5)] })), [
    ["warning", "group-without-members"],
  ]);
});

test("a group that rebalances in both looks is found, one that comes to rest is not", () => {
  const members = [member("a", []), member("b", [])];
  assert.deepEqual(checks(judge({ members, state: ["PreparingRebalance", "CompletingRebalance"] })), [
    ["warning", "group-rebalancing"],
  ]);
  assert.equal(judge({ members, state: ["PreparingRebalance", "Stable"] })[0]!.level, "ok");
});

test("members with uneven numbers of partitions are found, a difference of one is not", () => {
  const uneven = judge({ members: [member("a", [0, 1, 2, 3, 4]), member("b", [5])] }, 6);
  assert.deepEqual(checks(uneven), [["warning", "group-uneven-partitions"]]);
  assert.match(uneven[0]!.message, /from 1 to 5 of 6 partitions; most has client-a\/10\.0\.0\.1 \(a\)/);
  assert.equal(judge({ members: [member("a", [0, 1]), member("b", [2])] }, 3)[0]!.level, "ok");
});

test("a member that has nearly all of the lag is found by its name and partition", () => {
  const members = [member("a", [0, 1]), member("b", [2, 3])];
  const lags = [lag(0, 9000, { read: 10 }), lag(1, 0, { read: 9 }), lag(2, 100, { read: 9 }), lag(3, 0, { read: 9 })];
  const findings = judge({ members, lags });
  assert.deepEqual(checks(findings), [
    ["warning", "group-lag"],
    ["warning", "group-uneven-lag"],
  ]);
  assert.match(findings[1]!.message, /^member client-a.* has 99 % of the lag of 2 members with partitions: t\/0 9,000/);
});

test("a member that commits nothing while others do has stalled", () => {
  const members = [member("a", [0, 1]), member("b", [2, 3])];
  const lags = [lag(0, 2000, { written: 10 }), lag(1, 500), lag(2, 0, { read: 10, written: 10 })];
  assert.deepEqual(checks(judge({ members, lags })), [
    ["warning", "group-lag"],
    ["warning", "group-stalled-member"],
  ]);
  // Where nobody commits, nobody can be told from the others.
  const quiet = judge({ members, lags: [lag(0, 2000), lag(2, 2000)] });
  assert.deepEqual(checks(quiet), [["warning", "group-lag"]]);
});

test("whatever is not ok says why it matters and what to do", () => {
  const members = [member("a", [0, 1, 2, 3, 4]), member("b", []), member("c", [])];
  for (const state of [
    ["Stable", "Stable"],
    ["Empty", "Empty"],
    ["Dead", "Assigning"],
  ] as const)
    for (const { level, why, remedy } of judge({ members, state, lags: [lag(0, 9000)] }, 2))
      assert.ok(level !== "ok" && why !== undefined && remedy !== undefined);
});
