import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { loadConfig } from "../../src/config.ts";
import {
  DEFAULT_TRIGGERS,
  TRIGGER_KINDS,
  type TriggerKind,
  type TriggerSettings,
  triggers,
} from "../../src/config/triggers.ts";
import { type Trigger, Triggers } from "../../src/incidents/triggers.ts";
import { HistoryReader, type Limits, PRICES } from "../../src/telemetry/history-reader.ts";
import { History, type HistoryValues, UNKNOWN } from "../../src/telemetry/history.ts";

const START = 1_700_000_000_000;
const LIMITS: Limits = {
  openFds: 1_000,
  heapBytes: 1_000,
  connections: 1_000,
  connectionStreams: 100,
  admittedBytes: 1_000,
};
const HEALTHY = { ...UNKNOWN, cpu: 0.1, cpuOfLoad: 1, eventLoopDelayMax: 0.01, heapBytes: 100, openFds: 50 };

function settings(text: string): TriggerSettings {
  const read = triggers.parse(text);
  assert.ok("value" in read, "right" in read ? read.right : "");
  return read.value;
}

/** One second after the other, on a clock of the test's. */
class Watch {
  readonly fired: Trigger[] = [];
  readonly history = new History(["0", "1", "supervisor"]);
  readonly triggers: Triggers;
  /** Since this began. */
  nowMs = 0;
  /** What wall time is ahead by. */
  wallMs = START;
  memoryBytes = 10_000;
  hostReads = 0;
  /** Whether what all have together is looked at, too. */
  all = true;

  constructor(of: TriggerSettings) {
    const { history } = this;
    this.triggers = new Triggers(
      {
        history,
        host: () => ({ memoryBytes: (this.hostReads++, this.memoryBytes) }),
        onTrigger: (trigger) => this.fired.push(trigger),
      },
      of,
      "supervisor",
    );
  }

  /** So many seconds of one process. */
  seconds(count: number, known: Partial<HistoryValues> = {}, worker = "0"): void {
    for (let i = 0; i < count; i++) {
      this.nowMs += 1_000;
      const values = { ...HEALTHY, ...known };
      const ended = { atMs: this.wallMs + this.nowMs, monotonicMs: this.nowMs };
      this.history.record(worker, ended, values);
      this.triggers.evaluate(worker, ended, values, LIMITS);
      if (this.all) this.triggers.evaluateAll(ended);
    }
  }

  assertSilent(message?: string): void {
    assert.equal(this.fired.length, 0, message ?? this.fired[0]?.why);
  }

  get kinds(): TriggerKind[] {
    return this.fired.map(({ kind }) => kind);
  }
}

test("a value that is far above its own mean fires once it has held, and says why", () => {
  const watch = new Watch(settings("event_loop=min:0.1;diff:4;abs:off;hold:3s"));
  watch.seconds(60, { eventLoopDelayMax: 0.1 });
  watch.seconds(2, { eventLoopDelayMax: 0.6 });
  watch.assertSilent();
  watch.seconds(1, { eventLoopDelayMax: 0.75 });
  const [trigger] = watch.fired;
  assert.equal(watch.fired.length, 1);
  assert.equal(trigger!.kind, "event_loop");
  assert.equal(trigger!.worker, "0");
  assert.equal(trigger!.value, 0.75);
  assert.ok(Math.abs(trigger!.mean! - 0.1) < 1e-6, "the last ten seconds are not in the mean");
  assert.ok(Math.abs(trigger!.limit - 0.5) < 1e-6);
  assert.equal(trigger!.atMs, START + 63_000);
  assert.equal(
    trigger!.why,
    "worker 0: the longest turn of the event loop is 0.75 s for 3 s (0.5 s or more is too much); the mean of the minutes before is 0.1 s",
  );
});

test("below the minimum nothing fires, however far above the mean it is", () => {
  const watch = new Watch(settings("event_loop=min:0.25;diff:0.1;abs:off;hold:1s"));
  watch.seconds(60, { eventLoopDelayMax: 0.001 });
  watch.seconds(60, { eventLoopDelayMax: 0.24 });
  watch.assertSilent();
});

test("an absolute value fires without a mean, and for what grows as slowly as its mean", () => {
  const watch = new Watch(settings("default"));
  watch.seconds(11);
  watch.seconds(2, { heapBytes: 870 });
  watch.assertSilent();
  watch.seconds(1, { heapBytes: 870 });
  assert.deepEqual(watch.kinds, ["heap"]);
  assert.match(watch.fired[0]!.why, /^worker 0: the heap, of its limit, is 87 % for 3 s \(at least 85 %\)/);

  const slow = new Watch(settings("default"));
  for (let bytes = 100; bytes < 850; bytes++) slow.seconds(3, { heapBytes: bytes });
  slow.assertSilent();
  slow.seconds(3, { heapBytes: 850 });
  assert.deepEqual(slow.kinds, ["heap"]);
});

test("a single bad second between good ones fires nothing", () => {
  const watch = new Watch(settings("default"));
  watch.seconds(60);
  for (let i = 0; i < 30; i++) {
    watch.seconds(2, { eventLoopDelayMax: 2 });
    watch.seconds(1, { eventLoopDelayMax: 0.01 });
  }
  watch.assertSilent();
});

test("one turn that is longer than the time to hold is enough", () => {
  const watch = new Watch(settings("default"));
  watch.seconds(60);
  watch.nowMs += 3_000;
  watch.seconds(1, { eventLoopDelayMax: 4 });
  assert.deepEqual(watch.kinds, ["event_loop"]);
});

test("one bad value after a gap has not held for as long as the gap", () => {
  const watch = new Watch(settings("default"));
  watch.seconds(60);
  watch.nowMs += 14_000;
  watch.seconds(1, { heapBytes: 900, eventLoopDelayMax: 2 });
  watch.assertSilent();
  watch.seconds(1, { heapBytes: 100, eventLoopDelayMax: 0.01 });
  watch.seconds(3, { heapBytes: 900 });
  assert.deepEqual(watch.kinds, ["heap"]);
});

test("what lasted while nobody could look counts from then on", () => {
  const watch = new Watch(settings("default"));
  watch.seconds(60);
  watch.seconds(2, { heapBytes: 900 });
  watch.nowMs += 14_000;
  watch.triggers.resumed(watch.nowMs);
  watch.seconds(2, { heapBytes: 900, eventLoopDelayMax: 14 });
  watch.assertSilent();
  watch.seconds(1, { heapBytes: 900 });
  assert.deepEqual(watch.kinds, ["heap"]);
});

test("after it has fired it is silent for its cool-down, each worker for itself", () => {
  const watch = new Watch(settings("event_loop=abs:1;hold:1s;cooldown:1m"));
  watch.seconds(20);
  watch.seconds(20, {}, "1");
  watch.seconds(59, { eventLoopDelayMax: 2 });
  assert.equal(watch.fired.length, 1);
  watch.seconds(1, { eventLoopDelayMax: 2 }, "1");
  assert.deepEqual(
    watch.fired.map(({ worker }) => worker),
    ["0", "1"],
  );
  watch.seconds(2, { eventLoopDelayMax: 2 });
  assert.deepEqual(
    watch.fired.map(({ worker }) => worker),
    ["0", "1", "0"],
  );
});

test("a trouble that stays fires ever less often, and anew once it was over for a while", () => {
  const watch = new Watch(settings("event_loop=abs:1;hold:1s;cooldown:1m"));
  const firedAt = () => watch.fired.map(({ atMs }) => (atMs - START) / 1_000);
  watch.seconds(20);
  watch.seconds(700, { eventLoopDelayMax: 2 });
  assert.deepEqual(firedAt(), [21, 81, 201, 441]);
  // Good for less than a cool-down, again and again, is the same trouble.
  for (let i = 0; i < 8; i++) {
    watch.seconds(50);
    watch.seconds(10, { eventLoopDelayMax: 2 });
  }
  assert.equal(watch.fired.length, 5);
  watch.fired.length = 0;
  watch.seconds(1_000);
  const goodMs = watch.nowMs;
  watch.seconds(62, { eventLoopDelayMax: 2 });
  assert.deepEqual(firedAt(), [goodMs / 1_000 + 1, goodMs / 1_000 + 61]);
});

test("a wall clock that is set, back or forward, changes nothing but the time that is told", () => {
  for (const stepMs of [-3_600_000, 3_600_000]) {
    const watch = new Watch(settings("event_loop=min:0.1;diff:4;abs:off;hold:3s;cooldown:1m"));
    watch.seconds(60, { eventLoopDelayMax: 0.1 });
    watch.seconds(2, { eventLoopDelayMax: 0.7 });
    watch.wallMs += stepMs;
    watch.assertSilent();
    watch.seconds(1, { eventLoopDelayMax: 0.7 });
    assert.equal(watch.fired.length, 1);
    assert.ok(Math.abs(watch.fired[0]!.mean! - 0.1) < 1e-6, "the mean is still that of the minutes before");
    assert.equal(watch.fired[0]!.atMs, START + stepMs + 63_000);
    watch.seconds(58, { eventLoopDelayMax: 0.1 });
    watch.seconds(3, { eventLoopDelayMax: 0.7 });
    assert.equal(watch.fired.length, 2, "the cool-down is over when it would have been");
    watch.triggers.ended("0");
    watch.wallMs -= stepMs;
    watch.seconds(70, { eventLoopDelayMax: 0.1 });
    watch.seconds(3, { eventLoopDelayMax: 0.7 });
    assert.equal(watch.fired.length, 3, "a process is not young for longer");
  }
});

test("a trigger that is off, and all of them, stay silent", () => {
  for (const text of ["event_loop=off", "none"]) {
    const watch = new Watch(settings(text));
    watch.seconds(20);
    watch.seconds(30, { eventLoopDelayMax: 20 });
    watch.assertSilent(text);
  }
});

test("work that explains the CPU fires nothing, and CPU that no work explains does", () => {
  const watch = new Watch(settings("default"));
  watch.seconds(120, { cpu: 0.01, cpuOfLoad: 0 });
  watch.seconds(30, { cpu: 1.2, cpuOfLoad: 5 });
  watch.assertSilent("an idle service got load");
  watch.seconds(300, { cpu: 0.01, cpuOfLoad: 0 });
  watch.seconds(5, { cpu: 1, cpuOfLoad: 0.05 });
  assert.deepEqual(watch.kinds, ["cpu"]);
});

/** What the work of a second explains. */
function cpuOfLoad(work: { readonly batches: number; readonly calls: number; readonly events: number }): number {
  const counts: Record<string, number> = {
    sluice_batches_total: work.batches,
    sluice_grpc_calls_total: work.calls,
    sluice_events_received_total: work.events,
    sluice_publish_bytes_total: work.events * 200,
  };
  let second = 0;
  const reader = new HistoryReader((name) => ({ name, series: [[["OK"], second * (counts[name] ?? 0)]] }), PRICES);
  reader.read(1_000);
  second = 1;
  return reader.read(2_000).cpuOfLoad;
}

test("a handler that spins under moderate load is seen, and full load is not", () => {
  for (const calls of [500, 3_300, 5_000, 10_000, 25_000]) {
    const watch = new Watch(settings("default"));
    const of = cpuOfLoad({ batches: calls, calls, events: calls });
    watch.seconds(60, { cpu: 0.05, cpuOfLoad: of });
    watch.seconds(31, { cpu: 0.99, cpuOfLoad: of });
    assert.deepEqual(watch.kinds, ["cpu"], `${calls} calls a second`);
    watch.seconds(30, { cpu: 0.99, cpuOfLoad: of });
    assert.equal(watch.fired.length, 1, "both measures of CPU are one trigger");
  }
  // Requests of one event that take 15 µs each, batches of 100 that take 150 µs.
  for (const work of [
    { batches: 66_000, calls: 66_000, events: 66_000 },
    { batches: 66_000, calls: 0, events: 66_000 },
    { batches: 6_600, calls: 6_600, events: 660_000 },
    { batches: 6_600, calls: 0, events: 660_000 },
  ]) {
    const watch = new Watch(settings("default"));
    watch.seconds(60, { cpu: 0.01, cpuOfLoad: 0 });
    watch.seconds(120, { cpu: 1.05, cpuOfLoad: cpuOfLoad(work) });
    watch.assertSilent();
  }
});

test("the first seconds of full load, with code that is not compiled yet, are no incident", () => {
  const watch = new Watch(settings("default"));
  watch.seconds(60, { cpu: 0.01, cpuOfLoad: 0 });
  watch.seconds(20, { cpu: 1.05, cpuOfLoad: 1 });
  watch.seconds(60, { cpu: 1.05, cpuOfLoad: 3 });
  watch.assertSilent();
  watch.seconds(60, { cpu: 0.01, cpuOfLoad: 0 });
  watch.seconds(31, { cpu: 1, cpuOfLoad: 0.7 });
  assert.deepEqual(watch.kinds, ["cpu"]);
  assert.match(watch.fired[0]!.why, /of which its load explains less than half, is 1 cores for 30 s/);
});

test("nothing fires in the first seconds of a process, nor of its successor", () => {
  const watch = new Watch(settings("event_loop=abs:1;hold:1s;cooldown:1s"));
  watch.seconds(9, { eventLoopDelayMax: 5 });
  watch.assertSilent();
  watch.seconds(20);
  watch.triggers.ended("0");
  watch.seconds(9, { eventLoopDelayMax: 5 });
  watch.assertSilent();
});

test("without a mean of its own yet, a value is only held against absolute ones", () => {
  const watch = new Watch(settings("event_loop=abs:off"));
  watch.seconds(11);
  watch.seconds(8, { eventLoopDelayMax: 20 });
  watch.assertSilent();
});

test("memory is that of all processes against what they may take, and names the one that grew", () => {
  const watch = new Watch(settings("default"));
  for (let i = 0; i < 60; i++) {
    watch.seconds(1, { ownMemoryBytes: 3_000 }, "0");
    watch.nowMs -= 1_000;
    watch.seconds(1, { ownMemoryBytes: 1_000 }, "1");
  }
  for (let i = 0; i < 5; i++) {
    watch.seconds(1, { ownMemoryBytes: 3_100 }, "0");
    watch.nowMs -= 1_000;
    watch.seconds(1, { ownMemoryBytes: 2_900 }, "1");
  }
  assert.deepEqual(watch.kinds, ["rss"]);
  assert.equal(watch.fired[0]!.worker, "1");
  assert.equal(watch.fired[0]!.value, 0.6);
  assert.ok(Math.abs(watch.fired[0]!.mean! - 0.4) < 1e-6);
});

test("pages that processes share are counted for none, and the limits are read once, however many processes there are", () => {
  const watch = new Watch(settings("default"));
  watch.all = false;
  for (let second = 0; second < 60; second++) {
    for (const worker of ["0", "1", "supervisor"]) {
      watch.seconds(1, { rssBytes: 4_000, ownMemoryBytes: 400 }, worker);
      watch.nowMs -= 1_000;
    }
    watch.nowMs += 1_000;
    watch.triggers.evaluateAll({ atMs: START + watch.nowMs, monotonicMs: watch.nowMs });
  }
  watch.assertSilent();
  assert.ok(watch.hostReads > 40 && watch.hostReads <= 60);
});

test("a few errors are no incident, whatever their share is", () => {
  const watch = new Watch(settings("default"));
  watch.seconds(60, { errorRatio: 0, errorsPerSecond: 0 });
  watch.seconds(60, { errorRatio: 1, errorsPerSecond: 3 });
  watch.assertSilent();
  watch.seconds(3, { errorRatio: 0.6, errorsPerSecond: 300 });
  assert.deepEqual(watch.kinds, ["error_rate"]);
});

test("the supervisor's own CPU and event loop are nobody's incident, its memory and files are", () => {
  const watch = new Watch(settings("default"));
  watch.seconds(60, {}, "supervisor");
  watch.seconds(20, { cpu: 2, cpuOfLoad: 0, eventLoopDelayMax: 3 }, "supervisor");
  watch.assertSilent();
  watch.seconds(3, { openFds: 990 }, "supervisor");
  assert.deepEqual(watch.kinds, ["fds"]);
  assert.match(watch.fired[0]!.why, /^the supervisor: /);
});

test("each kind has one value that sets it off", () => {
  const worst: Partial<Record<TriggerKind, Partial<HistoryValues>>> = {
    cpu: { cpu: 1, cpuOfLoad: 0 },
    event_loop: { eventLoopDelayMax: 2 },
    rss: { ownMemoryBytes: 9_500 },
    heap: { heapBytes: 900 },
    fds: { openFds: 900 },
    connections: { connections: 900 },
    streams: { connectionStreamsMax: 95 },
    acknowledged_p99: { acknowledgedP99: 4 },
    kafka_queue: { kafkaQueuedBytes: 950 },
    error_rate: { errorRatio: 0.6, errorsPerSecond: 100 },
  };
  for (const kind of TRIGGER_KINDS) {
    const watch = new Watch(DEFAULT_TRIGGERS);
    watch.seconds(60, { ownMemoryBytes: 100 });
    watch.seconds(6, worst[kind]);
    assert.deepEqual(watch.kinds, [kind]);
  }
});

test("what is not known fires nothing", () => {
  const watch = new Watch(settings("default"));
  watch.seconds(60);
  const unknown = Object.fromEntries(Object.keys(UNKNOWN).map((name) => [name, Number.NaN]));
  watch.seconds(30, unknown);
  watch.assertSilent();
});

test("INCIDENT_TRIGGERS changes what it names and nothing else", () => {
  const read = settings("cpu=off, rss=min:0.5;diff:0.4;abs:0.95;hold:2s;cooldown:1h,fds=abs:off");
  assert.equal(read.cpu, undefined);
  assert.deepEqual(read.rss, { min: 0.5, diff: 0.4, abs: 0.95, holdMs: 2_000, coolDownMs: 3_600_000 });
  assert.deepEqual(read.fds, { ...DEFAULT_TRIGGERS.fds, abs: undefined });
  assert.deepEqual(read.heap, DEFAULT_TRIGGERS.heap);
  assert.deepEqual(settings("default"), DEFAULT_TRIGGERS);
  assert.ok(Object.values(settings("none")).every((setting) => setting === undefined));
});

test("a mistake in INCIDENT_TRIGGERS is one line that names the option, what was given and what is right", () => {
  const example = "for example cpu=off,rss=min:0.5;diff:0.4;abs:0.9;hold:3s;cooldown:10m";
  for (const [given, right] of [
    ["memory=off", `one of ${TRIGGER_KINDS.join(", ")} instead of "memory"`],
    ["cpu", "cpu=off, or settings of cpu"],
    ["cpu=", "cpu=off, or settings of cpu"],
    ["cpu=min:lots", 'a number of 0 or more for min of cpu instead of "lots"'],
    ["cpu=max:3", 'min, diff, abs, hold or cooldown with a value for cpu instead of "max:3"'],
    ["cpu=min:1;", 'min, diff, abs, hold or cooldown with a value for cpu instead of ""'],
    ["cpu=cooldown:5", 'a duration from 1s to 24h with its unit (ms, s, m or h) for cooldown of cpu instead of "5"'],
    ["cpu=off,,", `one of ${TRIGGER_KINDS.join(", ")} instead of ""`],
  ] as const) {
    const loaded = loadConfig({ INCIDENT_TRIGGERS: given });
    assert.deepEqual(loaded, {
      ok: false,
      errors: [`INCIDENT_TRIGGERS: ${JSON.stringify(given)} is not right; give ${right}, ${example}`],
    });
  }
});

test("the table in docs/operations.md has the defaults of every trigger", () => {
  const text = readFileSync(join(import.meta.dirname, "../../docs/operations.md"), "utf8");
  const rows = Array.from(
    text.matchAll(/^\| `(\w+)` +\|.*\| ([\d.]+|off) +\| ([\d.]+|off) +\| ([\d.]+|off) +\| (\d+)s +\|$/gm),
    ([, ...cells]) => cells,
  );
  const told = (value: number | undefined) => (value === undefined ? "off" : String(value));
  assert.deepEqual(
    rows,
    TRIGGER_KINDS.map((kind) => {
      const { min, diff, abs, holdMs } = DEFAULT_TRIGGERS[kind]!;
      return [kind, told(min), told(diff), told(abs), String(holdMs / 1000)];
    }),
  );
});
