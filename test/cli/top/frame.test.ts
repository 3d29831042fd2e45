import assert from "node:assert/strict";
import test from "node:test";
import { renderFrame } from "../../../src/cli/top/frame.ts";
import { appendHistory } from "../../../src/cli/top/history.ts";
import { columns, paint, span } from "../../../src/cli/top/line.ts";
import { plainLine } from "../../../src/cli/top/plain.ts";
import { bar, sparkline } from "../../../src/cli/top/sparkline.ts";
import { AT_MS, history, snapshot } from "./live-scene.ts";

const WHERE = "127.0.0.1:9464";
const frame = (width: number, height = Infinity, of = snapshot()) =>
  renderFrame(of, { width, height, colour: false, where: WHERE });

test("a frame has everything that the page has, at 80 and at 120 characters", () => {
  for (const width of [80, 120]) {
    const lines = frame(width);
    for (const line of lines) assert.ok(line.length <= width, line);
    for (const part of [
      /^sluice 1\.2\.3 on host-1 \(127\.0\.0\.1:9464\) {2}ready {2}2 of 2 workers {2}up 3 h 0 min/,
      /^nothing is held up$/,
      /^events received +1\/s/,
      /^acknowledge p50 +1 s/,
      /^acknowledge p99 +1 s/,
      /^ {2}admit p99 +1 s/,
      /^ {2}queue p99 +1 s/,
      /^ {2}produce p99 +1 s/,
      /^admitted +1 B of 1,000 B/,
      /^to Kafka +queued 1 B/,
      /^127\.0\.0\.1:9092 +1\/s +1 s +1 s/,
      /^worker 0 +up +100 %/,
      /^worker 1 +up .* 50 %$/,
      /^spool +1 B of 1,000 B/,
      /^ledger /,
      /^10:10:12 +worker 0: high CPU +it spins$/,
      /^billing \(10\.0\.0\.7\) +2 +8 +0 B +1 min +0,1$/,
    ])
      assert.ok(
        lines.some((line) => part.test(line)),
        `${part} at ${width}:\n${lines.join("\n")}`,
      );
  }
  // What is only worth its room on a wide one.
  assert.match(frame(120)[0]!, /10:11:12 UTC$/);
  assert.ok(frame(120).some((line) => / pid +heap +ack p99 /.test(line)));
});

test("a busy worker's share is not cut off at 120 characters, nor at 80", () => {
  const told = snapshot();
  const busy = {
    ...told.history.processes["1"]!,
    cpu: [0.983],
    eventLoopDelayMax: [0.0123],
    rssBytes: [1.23 * 1024 ** 3],
    heapBytes: [22.3 * 1024 ** 2],
    eventsPerSecond: [123_456],
    acknowledgedP99: [0.0384],
    connections: [120],
    load: [2],
  };
  const lines = (width: number) =>
    frame(width, Infinity, {
      ...told,
      processes: [{ name: "1", up: true, pid: 1_234_567 }],
      history: { ...told.history, processes: { 1: busy } },
    });
  for (const width of [80, 120]) assert.ok(lines(width).some((line) => /^worker 1 .* 123,456\/s .* 100 %$/.test(line)));
});

test("a small terminal gets no more than it has room for, the most important first", () => {
  for (const [width, height] of [
    [80, 24],
    [40, 10],
    [10, 3],
    [1, 1],
  ] as const) {
    const lines = frame(width, height);
    assert.ok(lines.length <= height);
    for (const line of lines) assert.ok(line.length <= width, line);
  }
  assert.match(frame(40, 2)[0]!, /^sluice 1\.2\.3 on host-1 .*…$/);
  assert.equal(frame(40, 2)[1], "nothing is held up");
  // Blank lines go before anything else does.
  const small = frame(80, 26);
  assert.equal(small.includes(""), false);
  assert.ok(small.some((line) => line.startsWith("10:10:12")));
});

test("what is wrong stands at the top, and says so without colour", () => {
  const base = snapshot();
  const lines = frame(
    120,
    Infinity,
    snapshot({
      service: {
        ...base.service,
        ready: false,
        workersUp: 1,
        problems: [{ worker: "1", reason: "no broker answers" }],
      },
      bottleneck: {
        stage: "produce",
        sentence: "produce: broker b:9092 takes 240 ms a request",
        broker: "b:9092",
        worker: null,
        notes: ["worker 0 has 90 % of the load"],
      },
      processes: [{ name: "1", up: false, pid: null }],
    }),
  );
  assert.match(lines[0]!, /NOT READY {2}1 of 2 workers/);
  assert.deepEqual(lines.slice(1, 4), [
    "produce: broker b:9092 takes 240 ms a request",
    "! worker 1: no broker answers",
    "  worker 0 has 90 % of the load",
  ]);
  assert.ok(lines.some((line) => /^worker 1 +DOWN/.test(line)));
  const [, , trouble] = renderFrame(base, {
    width: 80,
    height: 24,
    colour: false,
    where: WHERE,
    trouble: "it is gone",
  });
  assert.equal(trouble, "it is gone");
});

test("what nobody knows is a dash, not a zero, and a service without brokers has no table of them", () => {
  const unknown = history(AT_MS, [null], [], ["0"]);
  const lines = frame(120, Infinity, snapshot({ history: unknown, brokers: [], callers: [], incidents: [] }));
  assert.ok(lines.some((line) => /^acknowledge p99 +-$/.test(line)));
  for (const heading of ["broker", "caller", "incident"]) assert.ok(!lines.some((line) => line.startsWith(heading)));
});

test("names cannot move the cursor", () => {
  const evil = "\u001B[2J\u0007evil\u009B";
  const told = snapshot({
    callers: [{ ...snapshot().callers[0]!, identity: evil }],
    incidents: [{ ...snapshot().incidents[0]!, title: evil, why: evil }],
    bottleneck: { ...snapshot().bottleneck, sentence: evil },
  });
  const lines = renderFrame(told, { width: 120, height: Infinity, colour: false, where: WHERE, trouble: evil });
  // oxlint-disable-next-line no-control-regex
  for (const line of lines) assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f]/);
});

test("colour is around words, takes no room, and is left out where it is not wanted", () => {
  const line = [span("abc", "bad"), span("def")];
  assert.equal(paint(line, 10, true), "\u001B[1;31mabc\u001B[0mdef");
  assert.equal(paint(line, 10, false), "abcdef");
  assert.equal(paint(line, 5, true), "\u001B[1;31mabc\u001B[0md…");
  assert.equal(paint(line, 1, false), "…");
});

test("columns are aligned, numbers to the right", () => {
  const lines = columns(
    ["name", "count"],
    [
      ["a", "1"],
      ["long name", span("1,234", "bad")],
    ],
    1,
  );
  assert.deepEqual(
    lines.map((line) => paint(line, 80, false)),
    ["name       count", "a              1", "long name  1,234"],
  );
});

test("a sparkline keeps the peak of each stretch, leaves out what is not known, and moves by whole columns", () => {
  const t = Array.from({ length: 12 }, (_, i) => 100_000 + i * 1000);
  const values = [0, 0, 8, 0, null, null, 4, 1, 2, 0, 0, 0];
  assert.equal(sparkline(t, values, 6, 12), "▁█ ▅▃▁");
  // One second later nothing has another height.
  assert.equal(sparkline([...t, 112_000], [...values, 0], 6, 12), "█ ▅▃▁▁");
  assert.equal(sparkline([], [], 3, 12), "   ");
  assert.equal(sparkline(t, values, 0, 12), "");
});

test("a bar is as wide as its share", () => {
  assert.deepEqual(
    [bar(0, 4), bar(0.5, 4), bar(1, 4), bar(7, 4), bar(0.03, 4)],
    ["    ", "██  ", "████", "████", "▏   "],
  );
});

test("history grows by what is new, forgets what is old, and knows since when there is a broker", () => {
  const known = history(AT_MS, [1, 2, 3], ["a:1"], ["0"]);
  const next = history(AT_MS + 2000, [3, 4, 5], ["a:1", "b:1"], ["0"]);
  const joined = appendHistory(known, next, 4);
  assert.deepEqual(joined.t, [AT_MS - 1000, AT_MS, AT_MS + 1000, AT_MS + 2000]);
  assert.deepEqual(joined.service.eventsPerSecond, [2, 3, 4, 5]);
  assert.deepEqual(joined.brokers["a:1"]!.inFlight, [2, 3, 4, 5]);
  assert.deepEqual(joined.brokers["b:1"]!.inFlight, [null, null, 4, 5]);
  // What was told before is not told twice.
  assert.deepEqual(appendHistory(joined, next, 4), joined);
  const gone = appendHistory(joined, history(AT_MS + 6000, [1, 1, 1, 1], [], ["0"]), 4);
  assert.deepEqual(Object.keys(gone.brokers), []);
});

test("when the service's clock is set back, the history begins anew instead of standing still", () => {
  const known = history(AT_MS, [1, 2, 3], [], ["0"]);
  const earlier = history(AT_MS - 60_000, [9], [], ["0"]);
  assert.deepEqual(appendHistory(known, earlier, 4), earlier);
});

test("a second in one line", () => {
  assert.equal(
    plainLine(snapshot()),
    "2026-03-01T10:11:12Z  ready 2/2  1/s events  1/s errors  p50 1 s  p99 1 s  1 in flight  1 B queued  1 B spooled  nothing is held up",
  );
});
