import assert from "node:assert/strict";
import test from "node:test";
import { parseLoadOptions } from "../../bench/load/options.ts";
import { parseLoadResult } from "../../bench/load/result.ts";

test("the load client speaks to loopback only", () => {
  for (const addr of ["127.0.0.1:50051", "127.1.2.3:1", "localhost:80", "[::1]:50051"]) {
    assert.notEqual(parseLoadOptions(["--addr", addr]), "help");
  }
  for (const addr of ["10.0.0.1:50051", "example.org:443", "127.0.0.1", "127.evil.example:1", "0.0.0.0:1", ""]) {
    assert.throws(() => parseLoadOptions(["--addr", addr]), /--addr: give HOST:PORT of a server on loopback/);
  }
});

test("an option that is no number in its range is an error that names it", () => {
  const addr = ["--addr", "127.0.0.1:1"];
  assert.throws(() => parseLoadOptions([...addr, "--callers", "0"]), /^Error: --callers: give a whole number from 1/);
  assert.throws(() => parseLoadOptions([...addr, "--batch", "1.5"]), /--batch/);
  assert.throws(() => parseLoadOptions([...addr, "--seconds", ""]), /--seconds/);
  assert.throws(() => parseLoadOptions([...addr, "--mode", "bidi"]), /--mode: give unary or stream/);
});

test("one topic is named, or several in turns", () => {
  const addr = ["--addr", "127.0.0.1:1"];
  const topicsOf = (...args: string[]) => {
    const options = parseLoadOptions([...addr, ...args]);
    assert.ok(options !== "help");
    return options.topics;
  };
  assert.deepEqual(topicsOf(), ["bench"]);
  assert.deepEqual(topicsOf("--topic", "a,b"), ["a", "b"]);
});

const RESULT = {
  requests_per_s: 10,
  events_per_s: 1000,
  mb_per_s: 1,
  p50_ms: 1.5,
  p99_ms: 2.5,
  p999_ms: 3.5,
  errors: 0,
  failed: 0,
  first_error: null,
  client_cores: 0.1,
  server_cores: 0.9,
  rss_mb: 100,
  events_per_cpu_s: 1111,
  requests_per_cpu_s: 11,
};

test("a load generator's last line is its result, numbers in strings included", () => {
  assert.deepEqual(parseLoadResult(`warming up\n${JSON.stringify(RESULT)}\n`), RESULT);
  assert.deepEqual(parseLoadResult(JSON.stringify({ ...RESULT, server_cores: "0.90", client_cores: "0.10" })), RESULT);
});

test("a server that used no time that can be measured has a rate of 0 per CPU-second", () => {
  const { events_per_cpu_s: _events, requests_per_cpu_s: _requests, ...rest } = RESULT;
  assert.deepEqual(parseLoadResult(JSON.stringify(rest)), { ...RESULT, events_per_cpu_s: 0, requests_per_cpu_s: 0 });
});

test("a result without a number or without JSON is an error", () => {
  const { p99_ms: _p99, ...rest } = RESULT;
  assert.throws(() => parseLoadResult(JSON.stringify(rest)), /has no number "p99_ms"/);
  assert.throws(() => parseLoadResult("panic: no route\n"), /is not JSON: "panic: no route"/);
});
