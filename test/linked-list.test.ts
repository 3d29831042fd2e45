import assert from "node:assert/strict";
import { test } from "node:test";
import { type Linked, LinkedList } from "../src/linked-list.ts";

class Member implements Linked<Member> {
  previous: Member | undefined;
  next: Member | undefined;
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

function listOf(names: string): { list: LinkedList<Member>; members: Member[] } {
  const list = new LinkedList<Member>();
  const members = names.split("").map((name) => new Member(name));
  for (const member of members) list.add(member);
  return { list, members };
}

const namesIn = (list: LinkedList<Member>): string =>
  list
    .toArray()
    .map(({ name }) => name)
    .join("");

test("members are in the order in which they were added, wherever others are removed", () => {
  for (const [removed, left] of [
    [0, "bc"],
    [1, "ac"],
    [2, "ab"],
  ] as const) {
    const { list, members } = listOf("abc");
    assert.equal(list.remove(members[removed]!), true);
    assert.equal(namesIn(list), left);
    assert.equal(list.size, 2);
    list.add(members[removed]!);
    assert.equal(namesIn(list), left + "abc"[removed]);
  }
});

test("a list knows its members, the only one too, and no others", () => {
  const { list, members } = listOf("abc");
  for (const member of members) assert.equal(list.has(member), true);
  const other = new Member("other");
  assert.equal(list.has(other), false);
  assert.equal(list.remove(other), false);
  list.remove(members[0]!);
  list.remove(members[2]!);
  assert.equal(list.has(members[1]!), true, "it has no neighbours");
  assert.equal(list.remove(members[1]!), true);
  assert.equal(list.has(members[1]!), false);
  assert.equal(list.first, undefined);
});

test("a list that is cleared links to nothing, and neither do those that were in it", () => {
  const { list, members } = listOf("abc");
  list.clear();
  assert.equal(list.size, 0);
  assert.equal(list.first, undefined);
  for (const { previous, next } of members) assert.deepEqual([previous, next], [undefined, undefined]);
  list.add(members[1]!);
  assert.equal(namesIn(list), "b");
});

test("a member may be removed while the list is walked", () => {
  const { list } = listOf("abcd");
  const seen: string[] = [];
  for (let member = list.first, following; member !== undefined; member = following) {
    following = member.next;
    seen.push(member.name);
    if (member.name === "b" || member.name === "d") list.remove(member);
  }
  assert.equal(seen.join(""), "abcd");
  assert.equal(namesIn(list), "ac");
});
