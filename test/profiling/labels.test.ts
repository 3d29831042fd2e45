import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { time } from "@datadog/pprof";
import { SampleLabels } from "../../src/profiling/labels.ts";
import { callerOf, NO_LABELS } from "../../src/telemetry/attribution.ts";
import { type Cut, Profiler } from "../../src/profiling/profiler.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { burnFirst, burnSecond, burnThird, sumFirst, sumSecond } from "./burn.ts";
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
  const labels = new SampleLabels(new FakeClock(), profiler.context);
  const origins = labels.origins(PUBLISH);
  const first = origins.of("10.0.0.1:4000");
  assert.equal(origins.of("10.0.0.1:4001"), first);
  assert.notEqual(origins.of("10.0.0.2:4000"), first);
  assert.notEqual(labels.origins("/other").of("10.0.0.1:4000"), first);
  const [a, b] = [first.of("a"), first.of("b")];
  assert.deepEqual(a, { method: PUBLISH, topic: "a", caller: "10.0.0.1", stage: "receive" });
  assert.equal(first.of("a"), a);
  assert.equal(first.of("b"), b);
  assert.deepEqual(labels.ofTopic("settle", "a"), { topic: "a", stage: "settle" });
  assert.deepEqual(labels.ofAll("write"), { stage: "write" });
});

test("more callers and topics than are remembered are labelled all the same", () => {
  const labels = new SampleLabels(new FakeClock(), profiler.context);
  const origins = labels.origins(PUBLISH);
  for (let i = 0; i < 5_000; i++) {
    const origin = origins.of(`10.0.${i >> 8}.${i & 255}:1`);
    assert.equal(origin.of(`t${i}`)["caller"], `10.0.${i >> 8}.${i & 255}`);
  }
  const origin = origins.of("10.0.0.1:1");
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
  const { context } = profiler;
  const labels = new SampleLabels(clock, context);
  const receive = labels.origins(PUBLISH).of("10.0.0.1:1").of("a");
  const settle = labels.ofTopic("settle", "b");
  labels.mark(receive);
  assert.equal(context.labels, receive);
  const previous = labels.enter(settle);
  assert.equal(context.labels, settle);
  labels.leave(previous);
  assert.equal(context.labels, receive);
  labels.mark(receive);
  assert.equal(clock.immediates, 1);
  clock.runImmediates();
  assert.deepEqual(context.labels, {});
  labels.leave(labels.enter(settle));
  assert.deepEqual(context.labels, {});
  assert.equal(clock.immediates, 0);
});

/** What of the CPU of a function of burn.ts is labelled so, in what was cut last. */
function share(name: string, topic: string | undefined): number {
  const samples = cuts.flatMap(({ encoded }) => flatten(decode(encoded)));
  const own = samples.filter(({ stack }) => stack[0]?.name === name);
  const cpu = (of: typeof own) => of.reduce((sum, { values }) => sum + values["cpu"]!, 0);
  assert.ok(own.length > 0, name);
  return cpu(own.filter(({ labels: each }) => each["topic"] === topic)) / cpu(own);
}

test("samples have the labels that were on when they were taken, and others have none", async () => {
  const clock = new FakeClock();
  const labels = new SampleLabels(clock, profiler.context);
  await profiler.cut();
  cuts.length = 0;
  const endMs = performance.now() + 500;
  while (performance.now() < endMs) {
    labels.mark(labels.origins(PUBLISH).of("10.0.0.1:1").of("a"));
    burnFirst();
    clock.runImmediates();
    burnSecond();
  }
  await profiler.cut();
  assert.ok(share("burnFirst", "a") > 0.9, `${share("burnFirst", "a")}`);
  assert.ok(share("burnSecond", undefined) > 0.9, `${share("burnSecond", undefined)}`);
});

test("labels that change thousands of times between two samples are those of the moment of the sample", async () => {
  const { context } = profiler;
  const [a, b] = [Object.freeze({ topic: "a" }), Object.freeze({ topic: "b" })];
  await profiler.cut();
  cuts.length = 0;
  let changes = 0;
  for (let cut = 0; cut < 4; cut++) {
    // Across cuts, which begin to count samples anew.
    const endMs = performance.now() + 200;
    while (performance.now() < endMs) {
      context.put(a);
      sumFirst();
      context.put(b);
      sumSecond();
      changes += 2;
    }
    context.put(NO_LABELS);
    await profiler.cut();
  }
  assert.ok(changes > 1_000, `${changes}`);
  assert.ok(share("sumFirst", "a") > 0.9, `${share("sumFirst", "a")}`);
  assert.ok(share("sumSecond", "b") > 0.9, `${share("sumSecond", "b")}`);
});

test("a sample's labels stay what they were when others are put on, before the cut and after it", async () => {
  const { context } = profiler;
  await profiler.cut();
  cuts.length = 0;
  const burnt: string[] = [];
  for (let i = 0; i < 8; i++) {
    const topic = `t${i}`;
    context.put(Object.freeze({ topic }));
    // Long enough for several samples, whatever else the machine does.
    const endMicros = process.cpuUsage().user + 30_000;
    while (process.cpuUsage().user < endMicros) burnThird();
    burnt.push(topic);
    if (i % 3 === 2) await profiler.cut();
  }
  context.put(NO_LABELS);
  await profiler.cut();
  const shares = burnt.map((topic) => share("burnThird", topic));
  for (const [i, each] of shares.entries()) assert.ok(each > 0.04 && each < 0.3, `${burnt[i]}: ${each}`);
  assert.ok(share("burnThird", undefined) < 0.1);
});

test("the profiler is handed a holder when it took a sample, not when labels change", async (t) => {
  const { context } = profiler;
  const handed = t.mock.method(time, "setContext");
  await profiler.cut();
  handed.mock.resetCalls();
  const [a, b] = [Object.freeze({ topic: "a" }), Object.freeze({ topic: "b" })];
  const samples = () => (time.getState() as Uint32Array)[time.constants.kSampleCount as number]!;
  const before = samples();
  for (let i = 0; i < 100_000; i++) context.put(i % 2 === 0 ? a : b);
  assert.ok(handed.mock.callCount() <= samples() - before + 1, `${handed.mock.callCount()}`);
  context.put(NO_LABELS);
});

test("labels do no harm when nobody samples any more", () => {
  const labels = new SampleLabels(new FakeClock(), profiler.context);
  profiler.stop();
  labels.mark(labels.ofTopic("settle", "a"));
  profiler.start();
});
