import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { time } from "@datadog/pprof";
import { SampleLabels } from "../../src/profiling/labels.ts";
import { callerOf } from "../../src/telemetry/attribution.ts";
import { type Cut, Profiler } from "../../src/profiling/profiler.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { burnFirst, burnSecond } from "./burn.ts";
import { decode, flatten } from "./read.ts";

const PUBLISH = "/sluice.v1.EventIngest/Publish";
const cuts: Cut[] = [];
const profiler = new Profiler({ intervalMicros: 2_000, cut: (cut) => cuts.push(cut) });

before(() => {
  profiler.start();
});

after(() => {
  profiler.stop();
});

test("label sets are made once for each method, caller and topic", () => {
  const labels = new SampleLabels(new FakeClock());
  const first = labels.origin(PUBLISH, "10.0.0.1:4000");
  assert.equal(labels.origin(PUBLISH, "10.0.0.1:4001"), first);
  assert.notEqual(labels.origin(PUBLISH, "10.0.0.2:4000"), first);
  assert.notEqual(labels.origin("/other", "10.0.0.1:4000"), first);
  const [a, b] = [first.of("a"), first.of("b")];
  assert.deepEqual(a, { method: PUBLISH, topic: "a", caller: "10.0.0.1", stage: "receive" });
  assert.equal(first.of("a"), a);
  assert.equal(first.of("b"), b);
  assert.deepEqual(labels.ofTopic("settle", "a"), { topic: "a", stage: "settle" });
  assert.deepEqual(labels.ofAll("write"), { stage: "write" });
});

test("more callers and topics than are remembered are labelled all the same", () => {
  const labels = new SampleLabels(new FakeClock());
  for (let i = 0; i < 5_000; i++) {
    const origin = labels.origin(PUBLISH, `10.0.${i >> 8}.${i & 255}:1`);
    assert.equal(origin.of(`t${i}`)["caller"], `10.0.${i >> 8}.${i & 255}`);
  }
  const origin = labels.origin(PUBLISH, "10.0.0.1:1");
  for (let i = 0; i < 5_000; i++) assert.equal(origin.of(`t${i}`)["topic"], `t${i}`);
});

test("a caller is an address without its port", () => {
  assert.deepEqual(["127.0.0.1:5000", "[::1]:5000", "[2001:db8::1]:443", "unknown:0", "client-a"].map(callerOf), [
    "127.0.0.1",
    "::1",
    "2001:db8::1",
    "unknown",
    "client-a",
  ]);
});

test("what is marked lasts until the end of the turn, and what is entered until it is left", () => {
  const clock = new FakeClock();
  const labels = new SampleLabels(clock);
  const receive = labels.origin(PUBLISH, "10.0.0.1:1").of("a");
  const settle = labels.ofTopic("settle", "b");
  labels.mark(receive);
  assert.equal(time.getContext(), receive);
  const previous = labels.enter(settle);
  assert.equal(time.getContext(), settle);
  labels.leave(previous);
  assert.equal(time.getContext(), receive);
  labels.mark(receive);
  assert.equal(clock.immediates, 1);
  clock.runImmediates();
  assert.deepEqual(time.getContext(), {});
  labels.leave(labels.enter(settle));
  assert.deepEqual(time.getContext(), {});
  assert.equal(clock.immediates, 0);
});

test("samples have the labels that were on when they were taken, and others have none", async () => {
  const clock = new FakeClock();
  const labels = new SampleLabels(clock);
  await profiler.cut();
  cuts.length = 0;
  const endMs = performance.now() + 500;
  while (performance.now() < endMs) {
    labels.mark(labels.origin(PUBLISH, "10.0.0.1:1").of("a"));
    burnFirst();
    clock.runImmediates();
    burnSecond();
  }
  await profiler.cut();
  const samples = cuts.flatMap(({ encoded }) => flatten(decode(encoded)));
  const share = (name: string, topic: string | undefined) => {
    const own = samples.filter(({ stack }) => stack[0]?.name === name);
    const cpu = (of: typeof own) => of.reduce((sum, { values }) => sum + values["cpu"]!, 0);
    assert.ok(own.length > 0, name);
    return cpu(own.filter(({ labels: each }) => each["topic"] === topic)) / cpu(own);
  };
  assert.ok(share("burnFirst", "a") > 0.9, `${share("burnFirst", "a")}`);
  assert.ok(share("burnSecond", undefined) > 0.9, `${share("burnSecond", undefined)}`);
});

test("labels do no harm when nobody samples any more", () => {
  const labels = new SampleLabels(new FakeClock());
  profiler.stop();
  labels.mark(labels.ofTopic("settle", "a"));
  profiler.start();
});
