import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import test, { type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { Report } from "../../src/cli/send/tally.ts";
import type { PublishRequest } from "../../src/gen/sluice/v1/ingest_pb.js";
import { badRequest, type FakeHandlers, FakeService } from "../client/fake-service.ts";
import { Files, run } from "./support.ts";

async function service(t: TestContext, handlers: FakeHandlers = {}): Promise<FakeService> {
  const fake = await new FakeService(handlers).start();
  t.after(() => {
    fake.stop();
  });
  return fake;
}

const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? null : Buffer.from(bytes).toString());
const requests = (fake: FakeService): PublishRequest[] => fake.calls.flatMap((call) => call.requests);
const report = (stdout: string) => JSON.parse(stdout) as Report;

test("every record arrives once, in order, with its key and its time", async (t) => {
  const fake = await service(t);
  using files = new Files();
  const records = Array.from({ length: 25 }, (_, i) => ({ user: `u${i % 3}`, at: `2001/01/01 00:${10 + i}`, i }));
  const file = files.write("events.json", JSON.stringify(records));
  const { code, stdout, stderr } = await run([
    "send",
    "--topic",
    "clicks",
    "--key",
    "user",
    "--timestamp",
    "at",
    "--batch",
    "10",
    "--durability",
    "persisted",
    "--address",
    fake.address,
    "--json",
    file,
  ]);
  assert.equal(stderr, "");
  assert.equal(code, 0);
  const sent = requests(fake);
  assert.deepEqual(
    sent.map(({ topic, durability, events }) => [topic, durability, events.length]),
    [
      ["clicks", 2, 10],
      ["clicks", 2, 10],
      ["clicks", 2, 5],
    ],
  );
  const events = sent.flatMap((request) => request.events);
  assert.deepEqual(
    events.map(({ key, value, timestamp }) => [text(key), text(value), Number(timestamp!.seconds)]),
    records.map((record, i) => [record.user, JSON.stringify(record), Date.UTC(2001, 0, 1, 0, 10 + i) / 1000]),
  );
  const told = report(stdout);
  assert.deepEqual([told.sent, told.stored, told.failed, told.batches, told.durability], [25, 25, 0, 3, "PERSISTED"]);
  assert.ok(told.acknowledgementMs!.p50 > 0 && told.acknowledgementMs!.p99 >= told.acknowledgementMs!.p50);
});

test("records that cannot be read are told with file and line, the others are sent, and the exit code is 1", async (t) => {
  const fake = await service(t);
  using files = new Files();
  const file = files.write("bad.ndjson", '{"k":1}\nnope\n{"x":1}\n{"k":null}\n{"k":{"a":1}}\n');
  const { code, stdout, stderr } = await run(["send", "--topic", "t", "--key", "k", "--address", fake.address, file]);
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`^${file}:2: not valid JSON: .*\n${file}:3: there is no field "k" for --key\n$`));
  assert.deepEqual(
    requests(fake).flatMap(({ events }) => events.map(({ key }) => text(key))),
    ["1", null, '{"a":1}'],
  );
  assert.match(stdout, /^ {2}sent +3 events in 1 batch, /m);
  assert.match(stdout, /^ {2}not sent +2 records that could not be read$/m);
});

test("a timestamp that is none is told", async (t) => {
  const fake = await service(t);
  const { stderr } = await run(["send", "--topic", "t", "--timestamp", "at", "--address", fake.address], {
    stdin: '{"at":"yesterday"}\n{"at":1}\n',
  });
  assert.equal(
    stderr,
    'standard input:1: "at" is "yesterday", which is no timestamp; give 2001-01-31T00:47:00Z, 2001/01/31 00:47 (UTC), or a number of seconds or milliseconds\n',
  );
});

test("events that fail are counted by reason, with an example", async (t) => {
  const fake = await service(t, {
    stream: (call, request) => {
      if (call.requests.length === 1) call.refused(request, badRequest("events[0]", "is odd"));
      else
        call.answer({
          sequence: request.sequence,
          stored: 1,
          durability: 1,
          failures: [{ index: 1, reason: 1, message: "no topic x" }],
        });
    },
  });
  const { code, stdout } = await run(["send", "--topic", "t", "--batch", "2", "--address", fake.address], {
    stdin: "1\n2\n3\n4\n",
  });
  assert.equal(code, 1);
  assert.match(stdout, /^ {2}stored +1 \(REPLICATED\)$/m);
  assert.match(stdout, /^ {2}failed +3$/m);
  assert.match(stdout, /^ +2 invalid_argument: events\[0\]: is odd$/m);
  assert.match(stdout, /^ +1 unknown_topic: no topic x$/m);
});

test("events whose batch has no answer have an unknown outcome", async (t) => {
  const fake = await service(t, {
    stream: (call, request, index) => {
      if (index === 0) call.end(14, "gone");
      else call.stored(request);
    },
  });
  const { code, stdout } = await run(
    ["send", "--topic", "t", "--batch", "2", "--rate", "20", "--json", "--address", fake.address],
    {
      stdin: "1\n2\n3\n4\n",
    },
  );
  assert.equal(code, 1);
  const { sent, stored, failures } = report(stdout);
  assert.deepEqual([sent, stored, failures["unknown_outcome"]?.count], [4, 2, 2]);
});

test("what every batch would meet ends it", async (t) => {
  const fake = await service(t, {
    stream: (call, request) => {
      call.refused(request, { ...badRequest("durability", "set KAFKA_BROKERS"), code: 9 });
    },
  });
  const stdin = new PassThrough();
  stdin.write("1\n");
  const ran = run(["send", "--topic", "t", "--batch", "1", "--address", fake.address], { stdin });
  while (requests(fake).length === 0) await pause(2);
  await pause(20);
  stdin.end("2\n".repeat(500));
  const { code, stderr } = await ran;
  assert.equal(code, 1);
  assert.equal(
    stderr,
    "sluice send: stopped, because every batch would fail like this one: durability: set KAFKA_BROKERS\n",
  );
  assert.ok(requests(fake).length < 500);
});

test("a slow input is not held back until a batch is full", async (t) => {
  const fake = await service(t);
  const stdin = new PassThrough();
  const ran = run(["send", "--topic", "t", "--address", fake.address, "-"], { stdin });
  stdin.write('{"a":1}\n{"a":2}\n');
  while (requests(fake).length === 0) await pause(5);
  assert.equal(requests(fake)[0]!.events.length, 2);
  stdin.end();
  assert.equal((await ran).code, 0);
});

test("a shutdown ends the reading, and what was sent is answered", async (t) => {
  const fake = await service(t);
  const stdin = new PassThrough();
  const shutdown = new AbortController();
  const ran = run(["send", "--topic", "t", "--json", "--address", fake.address], { stdin, signal: shutdown.signal });
  stdin.write('{"a":1}\n');
  while (requests(fake).length === 0) await pause(5);
  shutdown.abort();
  const { code, stdout, stderr } = await ran;
  assert.equal(code, 1);
  assert.equal(stderr, "sluice send: stopped before the end of the input\n");
  assert.equal(report(stdout).stored, 1);
});

test("events with the same key stay on one stream", async (t) => {
  const fake = await service(t);
  const lines = Array.from({ length: 400 }, (_, i) => JSON.stringify({ k: `key-${i % 20}`, i }));
  const { code } = await run(
    ["send", "--topic", "t", "--key", "k", "--streams", "4", "--batch", "7", "--address", fake.address],
    {
      stdin: lines.join("\n"),
    },
  );
  assert.equal(code, 0);
  const streamsOf = new Map<string, Set<number>>();
  const order = new Map<string, number[]>();
  for (const [stream, call] of fake.calls.entries())
    for (const { key, value } of call.requests.flatMap(({ events }) => events)) {
      const name = text(key)!;
      streamsOf.set(name, (streamsOf.get(name) ?? new Set()).add(stream));
      order.set(name, [...(order.get(name) ?? []), (JSON.parse(text(value)!) as { i: number }).i]);
    }
  assert.ok(fake.calls.length > 1);
  assert.equal(streamsOf.size, 20);
  for (const [key, streams] of streamsOf) assert.equal(streams.size, 1, key);
  for (const numbers of order.values())
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
});

test("a service that is not there is one line", async () => {
  const fake = await new FakeService().start();
  fake.stop();
  assert.deepEqual(await run(["send", "--topic", "t", "--address", fake.address], { stdin: "1\n" }), {
    code: 1,
    stdout: "",
    stderr: `sluice send: nothing answers at ${fake.address}; start a service with \`sluice serve\`, or name one with --address\n`,
  });
});

test("a record that is too large fails alone", async (t) => {
  const fake = await service(t);
  const { code, stdout } = await run(
    ["send", "--topic", "t", "--message-bytes-max", "2MiB", "--address", fake.address],
    { stdin: `1\n"${"x".repeat(2 * 1024 ** 2)}"\n2\n` },
  );
  assert.equal(code, 1);
  assert.deepEqual(
    requests(fake).flatMap(({ events }) => events.map(({ value }) => text(value))),
    ["1", "2"],
  );
  assert.match(stdout, /^ +1 resource_exhausted: the batch has \d+ bytes, and a message may have 2097152/m);
});
