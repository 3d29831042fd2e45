import assert from "node:assert/strict";
import test from "node:test";
import { Pacer } from "../../bench/load/pacer.ts";

test("a closed loop sends at once, as soon as a sender is free", () => {
  const pacer = new Pacer(0);
  const due: number[] = [];
  const before = performance.now();
  for (let i = 0; i < 3; i++) pacer.free({ send: (dueMs) => due.push(dueMs) });
  assert.equal(due.length, 3);
  assert.ok(due.every((ms) => ms >= before));
});

test("an open loop's requests are due at even distances, however late a sender is free", async () => {
  const pacer = new Pacer(1000);
  pacer.start();
  const due: number[] = [];
  await new Promise((resolve) => setTimeout(resolve, 60));
  while (due.length < 40) pacer.free({ send: (dueMs) => due.push(dueMs) });
  pacer.stop();
  for (let i = 1; i < due.length; i++) assert.ok(Math.abs(due[i]! - due[i - 1]! - 1) < 0.001);
  assert.ok(due[0]! < performance.now() - 30, "the first was due long before there was a sender");
});

test("an open loop's idle sender waits until a request is due", async () => {
  const pacer = new Pacer(200);
  const due = new Promise<number>((resolve) => pacer.free({ send: resolve }));
  const startMs = performance.now();
  pacer.start();
  assert.ok((await due) >= startMs);
  pacer.stop();
});

test("an open loop's idle senders take turns", async () => {
  const pacer = new Pacer(2000);
  const turns: string[] = [];
  const done = Promise.withResolvers<void>();
  for (const name of ["a", "b", "c"]) {
    const sender = {
      send: () => {
        if (turns.push(name) === 9) done.resolve();
        setImmediate(() => pacer.free(sender));
      },
    };
    pacer.free(sender);
  }
  pacer.start();
  await done.promise;
  pacer.stop();
  assert.equal(turns.slice(0, 3).join(""), "abc");
  for (const name of ["a", "b", "c"]) assert.equal(turns.slice(0, 9).filter((turn) => turn === name).length, 3);
});

test("a stopped pacer sends nothing", () => {
  const pacer = new Pacer(0);
  pacer.stop();
  pacer.free({ send: () => assert.fail("it sent") });
});
