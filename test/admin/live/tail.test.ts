import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout } from "node:timers/promises";
import {
  BYTES_PER_SECOND,
  EVENTS_PER_SECOND,
  LINE_LENGTH_MAX,
  type TailedSecond,
  tailTopic,
} from "../../../src/admin/live/tail.ts";
import type { TailedEvent, TopicTail } from "../../../src/admin/state.ts";

class Stream {
  closed = false;
  ended = false;
  readonly sent: string[] = [];
  #listener = () => {};

  send(text: string): void {
    this.sent.push(text);
  }
  end(): void {
    this.ended = true;
  }
  onClosed(listener: () => void): void {
    this.#listener = listener;
  }
  close(): void {
    this.closed = true;
    this.#listener();
  }
  get seconds(): TailedSecond[] {
    return this.sent.map((text) => JSON.parse(/^data: (.*)$/m.exec(text)![1]!) as TailedSecond);
  }
}

const event = (text: string): TailedEvent => ({ line: () => text });

/** A clock that goes on when somebody waits. */
function clock() {
  let nowMs = 0;
  return {
    now: () => nowMs,
    pause: async (ms: number) => {
      nowMs += ms;
    },
  };
}

test("of a topic that has more than fits, a few a second are shown, and it is read no faster than that", async () => {
  const stream = new Stream();
  const time = clock();
  let made = 0;
  const readAtMs: number[] = [];
  const skips: boolean[] = [];
  const read: TopicTail = async function* (_topic, skip) {
    for (let i = 0; i < 3; i++) {
      skips.push(skip());
      readAtMs.push(time.now());
      yield Array.from({ length: 1000 }, (_, j) => ({ line: () => `${(made += 1)} ${i}/${j}` }));
    }
  };
  await tailTopic({ read, ...time }, "t", stream);
  assert.deepEqual(readAtMs, [0, 1000, 2000]);
  // From the second time on it goes on at the end of the topic.
  assert.deepEqual(skips, [false, true, true]);
  assert.deepEqual(
    stream.seconds.slice(0, 3).map(({ lines, leftOut }) => [lines.length, leftOut]),
    Array.from({ length: 3 }, () => [EVENTS_PER_SECOND, 1000 - EVENTS_PER_SECOND]),
  );
  assert.equal(made, 3 * EVENTS_PER_SECOND);
  assert.ok(stream.ended);
});

test("long events are cut, and a second has a bound in bytes", async () => {
  const stream = new Stream();
  const read: TopicTail = async function* () {
    yield Array.from({ length: EVENTS_PER_SECOND }, () => event("x".repeat(100_000)));
  };
  await tailTopic({ read, ...clock() }, "t", stream);
  const [second] = stream.seconds;
  assert.equal(second!.lines.length, BYTES_PER_SECOND / LINE_LENGTH_MAX);
  assert.ok(second!.lines.every((line) => line.length === LINE_LENGTH_MAX + 1 && line.endsWith("…")));
});

test("what cannot be read is told as a problem, and then it is over", async () => {
  const stream = new Stream();
  // oxlint-disable-next-line require-yield -- it fails before
  const read: TopicTail = async function* () {
    throw new Error('topic "t" does not exist');
  };
  await tailTopic({ read, ...clock() }, "t", stream);
  assert.deepEqual(stream.sent, ['event: problem\ndata: "topic \\"t\\" does not exist"\n\n']);
  assert.ok(stream.ended);
});

test("of a quiet topic something is sent now and then, so that a client whose host has gone is noticed", async () => {
  const stream = new Stream();
  const time = clock();
  const read: TopicTail = async function* () {
    await time.pause(14_000);
    await setTimeout(600);
    assert.deepEqual(stream.sent, []);
    await time.pause(1_000);
    while (stream.sent.length === 0) await setTimeout(20);
    yield [];
  };
  await tailTopic({ read, ...time }, "t", stream);
  assert.deepEqual(stream.sent, [":\n\n"]);
});

test("when the client has gone, reading ends", async () => {
  const stream = new Stream();
  let ended = false;
  const read: TopicTail = async function* (_topic, _skip, signal) {
    try {
      yield [event("one")];
      stream.close();
      assert.ok(signal.aborted);
      yield [event("two")];
      assert.fail("it is asked for more");
    } finally {
      ended = true;
    }
  };
  await tailTopic({ read, ...clock() }, "t", stream);
  assert.ok(ended);
});
