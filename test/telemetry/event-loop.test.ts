import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { bucketsOf, EVENT_LOOP_BOUNDS_MS, EventLoopDelay } from "../../src/telemetry/event-loop.ts";

const SPIN_MS = 300;

test("a socket's callback that takes long is seen, although no timer was due for long", async () => {
  const server = net.createServer((socket) => {
    socket.on("data", () => {
      const endMs = performance.now() + SPIN_MS;
      while (performance.now() < endMs);
      socket.end("done");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
  await once(socket, "connect");
  const delay = new EventLoopDelay();
  delay.start();
  await setTimeout(200);
  delay.endSecond(1_000);
  socket.write("x");
  await once(socket, "data");
  // What saw it tells so in the next turns.
  await setTimeout(120);
  const { max } = delay.endSecond(2_000)!;
  delay.stop();
  socket.destroy();
  server.close();
  assert.ok(max > SPIN_MS / 1000 - 0.11, `${max}`);
});

test("each turn is in the bucket of its delay, and none is counted twice", async () => {
  const delay = new EventLoopDelay();
  delay.start();
  await setTimeout(50);
  delay.endSecond(1_000);
  for (const spinMs of [0, 0, 0, 0, 0, 40, 40, 100, 0, 0]) {
    const endMs = performance.now() + spinMs;
    while (performance.now() < endMs);
    await setTimeout(1);
  }
  const { turns, max, buckets } = delay.endSecond(2_000)!;
  delay.stop();
  assert.equal(buckets.length, EVENT_LOOP_BOUNDS_MS.length + 1);
  assert.equal(
    buckets.reduce((sum, each) => sum + each, 0),
    turns,
  );
  // A busy machine makes turns longer, never shorter.
  assert.ok(max > 0.09 && buckets.slice(6).reduce((sum, each) => sum + each, 0) >= 1, buckets.join());
});

test("buckets are exact for any values, at their bounds, too, and few values are looked at", () => {
  const ms = 1e6;
  let state = 1;
  const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  for (const values of [
    [5],
    [1 * ms, 1 * ms + 1, 2 * ms, 1024 * ms, 1024 * ms + 1],
    Array.from({ length: 1_000 }, () => 2 ** (random() * 12 - 1) * ms),
    Array.from({ length: 1_000 }, () => 0.3 * ms),
    Array.from({ length: 1_000 }, (_, i) => (i === 999 ? 300 * ms : 3 * ms)),
  ]) {
    values.sort((a, b) => a - b);
    const bounds = [0, ...EVENT_LOOP_BOUNDS_MS, Infinity];
    const expected = bounds
      .slice(1)
      .map((bound, i) => values.filter((ns) => ns > bounds[i]! * ms && ns <= bound * ms).length);
    let looks = 0;
    const buckets = bucketsOf(values.length, (rank) => {
      looks += 1;
      return values[rank - 1]!;
    });
    assert.deepEqual(buckets, expected);
    assert.ok(looks <= 2 + 11 * (1 + Math.ceil(Math.log2(values.length))), `${looks} looks`);
  }
});
