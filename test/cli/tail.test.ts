import assert from "node:assert/strict";
import test from "node:test";
import { eventLine, type TailEvent } from "../../src/cli/tail/event.ts";
import { Files, run } from "./support.ts";

const event: TailEvent = {
  topic: "t",
  partition: 3,
  offset: 9_007_199_254_740_993n,
  timestamp: Date.UTC(2001, 0, 1, 0, 47),
  key: Buffer.from("DTW"),
  value: Buffer.from('{"n": 1.0}'),
  headers: [{ key: "h", value: Buffer.from("ü") }],
};

test("an event is one JSON object, with bytes that are text as text", () => {
  assert.equal(
    eventLine(event, false),
    '{"topic":"t","partition":3,"offset":9007199254740993,"timestamp":"2001-01-01T00:47:00.000Z","key":"DTW","value":"{\\"n\\": 1.0}","headers":[{"key":"h","value":"ü"}]}',
  );
});

test("what is not text is base64, and what is not there is null", () => {
  const bytes = Buffer.from([0xff, 0x00]);
  const line = eventLine(
    {
      ...event,
      partition: undefined,
      offset: undefined,
      key: bytes,
      value: null,
      headers: [{ key: "h", value: null }],
    },
    false,
  );
  assert.deepEqual(JSON.parse(line), {
    topic: "t",
    partition: null,
    timestamp: "2001-01-01T00:47:00.000Z",
    key: { base64: "/wA=" },
    value: null,
    headers: [{ key: "h", value: null }],
  });
});

test("a value that is JSON is embedded when that is asked for, digit by digit", () => {
  const value = (text: string) =>
    /"value":(.*),"headers"/.exec(eventLine({ ...event, value: Buffer.from(text) }, true))![1];
  assert.equal(value('{"n": 1.0, "big": 12345678901234567890}'), '{"n": 1.0, "big": 12345678901234567890}');
  assert.equal(value('{\n  "n": 1\n}'), '{"n":1}');
  assert.equal(value("not JSON"), '"not JSON"');
  assert.equal(value(""), '""');
});

test("a line stays one line, whatever is in the event", () => {
  const nasty = 'a\nb\u2028"\\\u0000';
  const line = eventLine({ ...event, topic: nasty, key: Buffer.from(nasty), value: Buffer.from(nasty) }, true);
  assert.ok(!line.includes("\n"));
  assert.equal((JSON.parse(line) as { key: string }).key, nasty);
});

test("a data directory that is not there is one line", async () => {
  using files = new Files();
  const env = { DATA_DIR: `${files.directory}/none` };
  assert.deepEqual(await run(["tail", "--topic", "t"], { env }), {
    code: 1,
    stdout: "",
    stderr: `sluice tail: DATA_DIR: there is no directory ${files.directory}/none; give the one of the service, or KAFKA_BROKERS to read from Kafka\n`,
  });
});

test("a spool without events prints nothing, and says which one was read", async () => {
  using files = new Files();
  const env = { DATA_DIR: files.directory };
  assert.deepEqual(await run(["tail", "--topic", "t"], { env }), {
    code: 0,
    stdout: "",
    stderr: `sluice tail: no event of topic t was read from the spool in ${files.directory} (DATA_DIR); set KAFKA_BROKERS to read from Kafka\n`,
  });
});

test("a follower ends when it is asked to", async () => {
  using files = new Files();
  const env = { DATA_DIR: files.directory };
  const signal = AbortSignal.timeout(50);
  assert.deepEqual(await run(["tail", "--topic", "t", "-f"], { env, signal }), { code: 0, stdout: "", stderr: "" });
});
