import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import test from "node:test";
import { EventStream, messageText } from "../../../src/admin/live/event-stream.ts";
import { LiveEvents, WATCHERS_MAX } from "../../../src/admin/live/events.ts";
import type { LiveSnapshot } from "../../../src/admin/live/model.ts";
import type { LiveState } from "../../../src/admin/state.ts";
import { snapshotOf } from "../no-live.ts";

/** A service whose seconds a test ends. */
class Service implements LiveState {
  readonly tail = undefined;
  readonly watchers = new Set<() => void>();
  readonly asked: number[] = [];
  t: number[] = [1000, 2000];

  live(sinceMs: number): LiveSnapshot {
    this.asked.push(sinceMs);
    return {
      ...snapshotOf(
        this.t.filter((ms) => ms > sinceMs),
        1,
      ),
      atMs: this.t.at(-1)!,
    };
  }

  watchLive(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  second(): void {
    this.t.push(this.t.at(-1)! + 1000);
    for (const watcher of this.watchers) watcher();
  }
}

class Stream {
  closed = false;
  readonly sent: string[] = [];
  readonly #listeners: (() => void)[] = [];

  send(text: string): void {
    this.sent.push(text);
  }
  onClosed(listener: () => void): void {
    this.#listeners.push(listener);
  }
  end(): void {
    this.close();
  }
  close(): void {
    this.closed = true;
    for (const listener of this.#listeners) listener();
  }
  /** The ends of the seconds that each message brought. */
  get seconds(): number[][] {
    return this.sent.map((text) => [...(JSON.parse(/^data: (.*)$/m.exec(text)![1]!) as LiveSnapshot).history.t]);
  }
}

test("who watches is told what it has missed, and then each second once", () => {
  const service = new Service();
  const events = new LiveEvents(service);
  const early = new Stream();
  events.add(early, 1000);
  service.second();
  const late = new Stream();
  events.add(late, 0);
  service.second();
  assert.deepEqual(early.seconds, [[2000], [3000], [4000]]);
  assert.deepEqual(late.seconds, [[1000, 2000, 3000], [4000]]);
});

test("a second is put together once for all who know the same, and not at all while nobody watches", () => {
  const service = new Service();
  const events = new LiveEvents(service);
  service.second();
  assert.deepEqual(service.asked, []);
  assert.equal(service.watchers.size, 0);
  const streams = Array.from({ length: 5 }, () => new Stream());
  for (const stream of streams) events.add(stream, 2000);
  service.asked.length = 0;
  service.second();
  assert.deepEqual(service.asked, [3000]);
  for (const stream of streams) stream.close();
  assert.equal(service.watchers.size, 0);
  service.second();
  assert.deepEqual(service.asked, [3000]);
});

test("who knows everything is told nothing until the next second", () => {
  const service = new Service();
  const stream = new Stream();
  new LiveEvents(service).add(stream, 2000);
  assert.deepEqual(stream.sent, []);
  service.second();
  assert.deepEqual(stream.seconds, [[3000]]);
});

test("who knows of a later time than the service is told everything, and is not kept waiting for it", () => {
  const service = new Service();
  const events = new LiveEvents(service);
  const ahead = new Stream();
  events.add(ahead, 99_000);
  service.second();
  assert.deepEqual(ahead.seconds, [[1000, 2000], [3000]]);
  // The service's clock is set back, and its history begins anew.
  service.t = [];
  service.t.push(500);
  for (const watcher of service.watchers) watcher();
  assert.deepEqual(ahead.seconds.at(-1), [500]);
});

test("the number of those who watch is bounded, and each that leaves makes room", () => {
  const events = new LiveEvents(new Service());
  const streams = Array.from({ length: WATCHERS_MAX }, () => new Stream());
  for (const stream of streams) {
    assert.equal(events.full, false);
    events.add(stream, 0);
  }
  assert.equal(events.full, true);
  streams[3]!.close();
  assert.equal(events.full, false);
});

test("when the service ends, all who watch are told so", () => {
  const service = new Service();
  const events = new LiveEvents(service);
  const streams = [new Stream(), new Stream()];
  for (const stream of streams) events.add(stream, 0);
  events.end();
  assert.ok(streams.every(({ closed }) => closed));
  assert.equal(service.watchers.size, 0);
});

test("a message has its id, and its name if it has one", () => {
  assert.equal(messageText({ id: 7, data: "{}" }), "id: 7\ndata: {}\n\n");
  assert.equal(messageText({ event: "problem", data: '"x"' }), 'event: problem\ndata: "x"\n\n');
});

/** An answer that nobody reads. */
class Unread extends EventEmitter {
  writableLength = 0;
  destroyed = false;
  write(text: string): boolean {
    this.writableLength += text.length;
    return false;
  }
  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }
}

test("a client that is slow to take its history is not dropped for that, or it would begin anew for ever", () => {
  const response = new Unread();
  const stream = new EventStream(response as unknown as ServerResponse, 1000);
  stream.send("x".repeat(5000));
  for (let i = 0; i < 5; i++) stream.send("x".repeat(200));
  assert.equal(response.destroyed, false);
  for (let i = 0; i < 20; i++) stream.send("x".repeat(200));
  assert.ok(response.destroyed);
  assert.ok(response.writableLength < 6_500);
});

test("a client that takes nothing is dropped, with what it has not taken", () => {
  const response = new Unread();
  const stream = new EventStream(response as unknown as ServerResponse, 1000);
  let closed = 0;
  stream.onClosed(() => (closed += 1));
  for (let i = 0; i < 20; i++) stream.send("x".repeat(200));
  assert.ok(response.destroyed);
  assert.ok(response.writableLength <= 1400);
  assert.deepEqual([stream.closed, closed], [true, 1]);
});
