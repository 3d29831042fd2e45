import assert from "node:assert/strict";
import test from "node:test";
import type { LetterDrop } from "../../src/admin/state.ts";
import { Answers } from "../../src/supervisor/answers.ts";
import { dropFromSlots } from "../../src/supervisor/dead-letters.ts";
import { ManualClock } from "../spool/support/manual-clock.ts";

const drop: LetterDrop = {
  letters: ["0-1", "1-7", "3-9", "0-2"],
  logs: { 0: "aa", 1: "bb", 3: "cc" },
  why: "dropped",
  by: "ada",
};

test("each letter is dropped by the worker that holds its log, also for workers that are gone", async () => {
  const asked: unknown[] = [];
  const slot = (name: string) => ({
    name,
    dropLetters: async ({ letters, logs, by }: LetterDrop) => {
      asked.push({ name, letters, logs, by });
      return { dropped: letters.slice(1), events: letters.length, missing: letters.slice(0, 1) };
    },
  });
  assert.deepEqual(await dropFromSlots([slot("0"), slot("1")], drop), {
    dropped: ["0-2", "3-9"],
    events: 4,
    missing: ["0-1", "1-7"],
    problems: [],
  });
  assert.deepEqual(asked, [
    { name: "0", letters: ["0-1", "0-2"], logs: { 0: "aa" }, by: "ada" },
    { name: "1", letters: ["1-7", "3-9"], logs: { 1: "bb", 3: "cc" }, by: "ada" },
  ]);
});

test("a worker that cannot is a problem, and the others drop theirs", async () => {
  const slots = [
    { name: "0", dropLetters: () => Promise.reject(new Error("it does not run now; try again")) },
    {
      name: "1",
      dropLetters: async ({ letters }: LetterDrop) => ({ dropped: letters, events: 2, missing: [] }),
    },
  ];
  assert.deepEqual(await dropFromSlots(slots, { ...drop, letters: [...drop.letters, "x-1"] }), {
    dropped: ["1-7", "3-9"],
    events: 2,
    missing: [],
    problems: ["worker 0: it does not run now; try again", '"x-1" is not the id of a dead letter'],
  });
});

test("a question is settled once: by its answer, by the death of who was asked, or by its deadline", async () => {
  const clock = new ManualClock();
  const answers = new Answers<string>(clock);
  const ids: number[] = [];
  const ask = () => answers.ask(5000, (id) => ids.push(id));
  const answered = ask();
  const late = ask();
  const orphaned = ask();
  assert.equal(new Set(ids).size, 3);
  answers.resolve(ids[0]!, "yes");
  answers.reject(ids[0]!, "too late");
  assert.equal(await answered, "yes");
  const toldLate = assert.rejects(late, /did not answer within 5 s/);
  const toldDead = assert.rejects(orphaned, /it ended/);
  answers.reject(ids[2]!, "it ended");
  await clock.advance(5000);
  await toldLate;
  await toldDead;
  answers.rejectAll("nobody is left");
});
