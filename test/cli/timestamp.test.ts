import assert from "node:assert/strict";
import test from "node:test";
import { parseTimestamp } from "../../src/cli/send/timestamp.ts";

test("dates are read as UTC unless they say another zone", () => {
  const at = Date.UTC(2001, 0, 1, 0, 47);
  for (const text of [
    "2001/01/01 00:47",
    "2001-01-01 00:47",
    "2001-01-01T00:47",
    "2001-01-01T00:47:00Z",
    "2001-01-01T00:47:00.000z",
    "2001-01-01T02:47:00+02:00",
    "2000-12-31T15:17:00-0930",
    " 2001/01/01 00:47:00 ",
  ])
    assert.equal(parseTimestamp(text), at, text);
  assert.equal(parseTimestamp("2001-01-01"), Date.UTC(2001, 0, 1));
  assert.equal(parseTimestamp("2001-01-01T00:00:00.1239Z"), Date.UTC(2001, 0, 1) + 123);
});

test("numbers are seconds or milliseconds, by their size", () => {
  assert.equal(parseTimestamp(978_310_020), 978_310_020_000);
  assert.equal(parseTimestamp(978_310_020_123), 978_310_020_123);
  assert.equal(parseTimestamp("978310020.5"), 978_310_020_500);
  assert.equal(parseTimestamp(0), 0);
});

test("what no calendar has is no timestamp", () => {
  for (const value of [
    "2001/02/30",
    "2001-13-01",
    "2001-01-01 24:00",
    "2001-01-01 00:60",
    "yesterday",
    "",
    "12:30",
    null,
    true,
    {},
    Number.NaN,
    Infinity,
  ])
    assert.equal(parseTimestamp(value), undefined, JSON.stringify(value));
});
