import assert from "node:assert/strict";
import { Readable } from "node:stream";
import test from "node:test";
import { gzipSync } from "node:zlib";
import { type Format, openSources, readRecords } from "../../src/cli/send/input.ts";
import { Files } from "./support.ts";

/** Every record as [line, value], or [line, problem] with an exclamation mark. */
async function read(content: string | Buffer, name = "standard input", format?: Format): Promise<[number, string][]> {
  const source = { name, bytes: undefined, open: () => Readable.from([Buffer.from(content)]) };
  const found: [number, string][] = [];
  for await (const bunch of readRecords(source, format))
    for (const record of bunch)
      found.push([record.line, "problem" in record ? `! ${record.problem}` : record.value.toString()]);
  return found;
}

test("what an input is, is found out from its first bytes", async () => {
  assert.deepEqual(await read('{"a":1}\n{"a":2}'), [
    [1, '{"a":1}'],
    [2, '{"a":2}'],
  ]);
  assert.deepEqual(await read('\n [{"a":1},\n{"a":2}]'), [
    [2, '{"a":1}'],
    [3, '{"a":2}'],
  ]);
  assert.deepEqual(await read("a,b\n1,x\n2,y\n"), [
    [2, '{"a":"1","b":"x"}'],
    [3, '{"a":"2","b":"y"}'],
  ]);
  assert.deepEqual(await read('"a"\n"b"\n'), [
    [1, '"a"'],
    [2, '"b"'],
  ]);
  assert.deepEqual(await read(""), []);
});

test("the name settles what the first bytes leave open", async () => {
  assert.deepEqual(await read("[1,2]\n[3]\n", "pairs.ndjson"), [
    [1, "[1,2]"],
    [2, "[3]"],
  ]);
  assert.deepEqual(await read('"a"\n"b"\n', "x.csv"), [[2, '{"a":"b"}']]);
  assert.deepEqual(await read("[1,2]", "x.csv", "json"), [
    [1, "1"],
    [1, "2"],
  ]);
});

test("any of them may be gzipped, whatever its name", async () => {
  assert.deepEqual(await read(gzipSync('{"a":1}\n'), "x.ndjson.gz"), [[1, '{"a":1}']]);
  assert.deepEqual(await read(gzipSync("a\n1\n"), "x.csv.gz"), [[2, '{"a":"1"}']]);
  assert.deepEqual(await read(gzipSync("[1]")), [[1, "1"]]);
});

test("a byte order mark is no part of the first record", async () => {
  assert.deepEqual(await read('\uFEFF{"a":1}\n'), [[1, '{"a":1}']]);
  assert.deepEqual(await read("\uFEFF[1]"), [[1, "1"]]);
  assert.deepEqual(await read("\uFEFFa\n1\n"), [[2, '{"a":"1"}']]);
});

test("a record that is wrong is told with its line, and the others are read", async () => {
  assert.deepEqual(await read('{"a":1}\n{"a":\n{"a":3}\n'), [
    [1, '{"a":1}'],
    [2, "! not valid JSON: Unexpected end of JSON input"],
    [3, '{"a":3}'],
  ]);
  assert.deepEqual(await read("[1,,3]"), [
    [1, "1"],
    [1, "! a record is missing here"],
    [1, "3"],
  ]);
  const csv = await read("a,b\n1,2\n3\n4,5\n");
  assert.deepEqual(
    csv.toSorted(([a], [b]) => a - b),
    [
      [2, '{"a":"1","b":"2"}'],
      [3, "! Invalid Record Length: columns length is 2, got 1"],
      [4, '{"a":"4","b":"5"}'],
    ],
  );
});

test("an input that cannot be read on is told once, after what could be read", async () => {
  assert.deepEqual(await read("[1,\n2"), [
    [1, "1"],
    [2, "! the JSON array is cut off: its ] is missing"],
  ]);
  const gzipped = gzipSync('{"a":1}\n{"a":2}\n');
  assert.deepEqual((await read(gzipped.subarray(0, -9))).at(-1), [
    0,
    "! the gzipped data is broken: unexpected end of file",
  ]);
});

test("a number keeps its digits, because a value is the record's own bytes", async () => {
  assert.deepEqual(await read('[{"n": 12345678901234567890, "t": 0.0}]'), [
    [1, '{"n": 12345678901234567890, "t": 0.0}'],
  ]);
});

test("files that cannot be read are told before anything is sent", () => {
  using files = new Files();
  const good = files.write("good.ndjson", "1\n");
  assert.throws(() => openSources([good, `${good}.no`], Readable.from([])), {
    name: "CliError",
    message: `${good}.no: there is no such file`,
  });
  assert.throws(() => openSources([files.directory], Readable.from([])), {
    name: "CliError",
    message: `${files.directory}: is a directory; give files`,
  });
  const [file, stdin] = openSources([good, "-"], Readable.from([]));
  assert.deepEqual([file!.bytes, stdin!.bytes, stdin!.name], [2, undefined, "standard input"]);
});
