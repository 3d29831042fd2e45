import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import {
  InputError,
  JsonArraySplitter,
  LineSplitter,
  type Piece,
  RECORD_BYTES_MAX,
  type Splitter,
} from "../../src/cli/send/splitter.ts";

/** The records of a text that arrives in chunks of these lengths, over and over. */
function pieces(splitter: Splitter, text: string | Buffer, lengths: readonly number[] = [1 << 30]): Piece[] {
  const bytes = Buffer.from(text);
  const out: Piece[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length]!;
    // A copy, so that nothing can lean on what comes after the chunk.
    splitter.push(Buffer.from(bytes.subarray(at, at + length)), out);
    at += length;
  }
  splitter.end(out);
  return out;
}

const texts = (found: readonly Piece[]) => found.map(({ bytes }) => bytes.toString());
const spaces = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
const chunkLengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });

test("the elements of any JSON array come out as they were, whatever the chunks", () => {
  const element = fc.tuple(spaces, fc.json({ maxDepth: 3 }), spaces);
  fc.assert(
    fc.property(fc.array(element, { maxLength: 8 }), spaces, chunkLengths, (elements, around, lengths) => {
      const body = elements.map(([before, json, after]) => before + json + after).join(",");
      const text = `${around}[${elements.length === 0 ? around : body}]${around}`;
      const found = pieces(new JsonArraySplitter(), text, lengths);
      assert.deepEqual(
        texts(found),
        elements.map(([, json]) => json),
      );
    }),
  );
});

test("the elements are those that JSON.parse finds, with indentation as without", () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue({ maxDepth: 3 }), { maxLength: 8 }), chunkLengths, (values, lengths) => {
      const text = JSON.stringify(values, null, 2);
      const found = texts(pieces(new JsonArraySplitter(), text, lengths)).map((each) => JSON.parse(each) as unknown);
      assert.deepEqual(found, JSON.parse(text));
    }),
  );
});

test("an element is told with the line it begins in", () => {
  const text = '[\n  {"a":\n 1},\n\n  2, 3,\n"x"\n]';
  assert.deepEqual(
    pieces(new JsonArraySplitter(), text, [3]).map(({ line, bytes }) => [line, bytes.toString()]),
    [
      [2, '{"a":\n 1}'],
      [5, "2"],
      [5, "3"],
      [6, '"x"'],
    ],
  );
});

test("a broken element costs itself and not its neighbours", () => {
  assert.deepEqual(texts(pieces(new JsonArraySplitter(), '[1, nonsense, {"a" 2}, 3]')), [
    "1",
    "nonsense",
    '{"a" 2}',
    "3",
  ]);
});

test("a missing element is an empty record", () => {
  assert.deepEqual(texts(pieces(new JsonArraySplitter(), "[1,,2]")), ["1", "", "2"]);
  assert.deepEqual(texts(pieces(new JsonArraySplitter(), "[1,]")), ["1", ""]);
  assert.deepEqual(texts(pieces(new JsonArraySplitter(), "[,]")), ["", ""]);
});

test("what is no whole array is told, and what came before it is kept", () => {
  const out: Piece[] = [];
  const cut = new JsonArraySplitter();
  cut.push(Buffer.from('[1,\n{"a":'), out);
  assert.throws(
    () => {
      cut.end();
    },
    new InputError(2, "the JSON array is cut off: its ] is missing"),
  );
  assert.deepEqual(texts(out), ["1"]);

  assert.throws(() => pieces(new JsonArraySplitter(), "[1]\n[2]"), {
    name: "InputError",
    line: 2,
    message: /more after the end/,
  });
  assert.throws(() => pieces(new JsonArraySplitter(), "{}"), {
    name: "InputError",
    line: 1,
    message: /does not begin with \[/,
  });
});

test("lines come out as they were, whatever the chunks", () => {
  const line = fc.string({ unit: "grapheme" }).filter((text) => text.trim() !== "" && !/[\r\n]/.test(text));
  fc.assert(
    fc.property(
      fc.array(line),
      fc.constantFrom("\n", "\r\n", "\n\n"),
      fc.boolean(),
      chunkLengths,
      (lines, end, last, lengths) => {
        const text = lines.join(end) + (last ? end : "");
        const found = texts(pieces(new LineSplitter(), text, lengths));
        // Only JSON's white space is taken off.
        assert.deepEqual(
          found,
          lines.map((each) => each.replace(/^[ \t\r]+|[ \t\r]+$/g, "")).filter((each) => each !== ""),
        );
      },
    ),
  );
});

test("lines are counted with the empty ones", () => {
  assert.deepEqual(
    pieces(new LineSplitter(), "a\n\n \nb\n", [2]).map(({ line, bytes }) => [line, bytes.toString()]),
    [
      [1, "a"],
      [4, "b"],
    ],
  );
});

test("a record that never ends is not held for ever", () => {
  const chunk = Buffer.alloc(RECORD_BYTES_MAX / 2, "x");
  for (const splitter of [new LineSplitter(), new JsonArraySplitter()]) {
    const out: Piece[] = [];
    splitter.push(Buffer.from(splitter instanceof JsonArraySplitter ? "[" : ""), out);
    splitter.push(chunk, out);
    splitter.push(chunk, out);
    assert.throws(
      () => {
        splitter.push(Buffer.from("x"), out);
      },
      new InputError(1, "a record of more than 16 MiB begins here"),
    );
  }
});
