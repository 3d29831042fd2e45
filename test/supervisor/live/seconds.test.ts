import assert from "node:assert/strict";
import test from "node:test";
import { BROKER_SERIES } from "../../../src/admin/live/model.ts";
import {
  BROKERS_MAX,
  type BrokerValues,
  LiveSeconds,
  MEASURED_SERIES,
  type ServiceValues,
} from "../../../src/supervisor/live/seconds.ts";
import { told } from "../../../src/telemetry/columns.ts";

const service = (value: number) =>
  Object.fromEntries(MEASURED_SERIES.map((name) => [name, value])) as Record<string, number> as ServiceValues;
const broker = (value: number) =>
  Object.fromEntries(BROKER_SERIES.map((name) => [name, value])) as Record<string, number> as BrokerValues;

test("seconds are told from a time on, and as far back as they are kept", () => {
  const seconds = new LiveSeconds(5);
  for (let i = 1; i <= 8; i++) seconds.record(i * 1000, service(i), new Map());
  assert.equal(seconds.lastMs, 8000);
  assert.deepEqual(seconds.range(0).t, [4000, 5000, 6000, 7000, 8000]);
  assert.deepEqual(seconds.range(6000).t, [7000, 8000]);
  assert.deepEqual(seconds.range(6000).service.eventsPerSecond, [7, 8]);
  assert.deepEqual(seconds.range(8000).t, []);
});

test("a broker is unknown before it was seen and while nobody knows it", () => {
  const seconds = new LiveSeconds(5);
  seconds.record(1000, service(1), new Map());
  seconds.record(2000, service(1), new Map([["a:1", broker(2)]]));
  seconds.record(3000, service(Number.NaN), new Map());
  const { brokers, service: told } = seconds.range(0);
  assert.deepEqual(brokers["a:1"]?.inFlight, [null, 2, null]);
  assert.deepEqual(told.spoolBytes, [1, 1, null]);
});

test("a clock that was set back begins the history anew: times ascend", () => {
  const seconds = new LiveSeconds(5);
  for (const atMs of [5000, 6000, 2000, 3000]) seconds.record(atMs, service(1), new Map());
  assert.deepEqual(seconds.range(0).t, [2000, 3000]);
});

test("brokers beyond the bound are counted, and get the place of one that is long gone", () => {
  const seconds = new LiveSeconds(3);
  const many = new Map(Array.from({ length: BROKERS_MAX + 2 }, (_, i) => [`b:${i}`, broker(i)] as const));
  seconds.record(1000, service(1), many);
  assert.equal(seconds.brokersLeftOut, 2);
  assert.equal(Object.keys(seconds.range(0).brokers).length, BROKERS_MAX);
  for (let i = 2; i < 7; i++) seconds.record(i * 1000, service(1), new Map([["b:0", broker(7)]]));
  seconds.record(7000, service(1), new Map([["new:1", broker(9)]]));
  assert.equal(seconds.brokersLeftOut, 0);
  assert.deepEqual(seconds.range(6000).brokers["new:1"]?.requestP99, [9]);
  assert.deepEqual(seconds.range(6000).brokers["b:0"]?.requestP99, [null]);
});

test("values are told with five digits or nine places, and what is no number as not known", () => {
  const pairs: readonly (readonly [number, number | null])[] = [
    [0, 0],
    [1.234567, 1.2346],
    [-1234567.8, -1234568],
    [0.0012345678, 0.0012346],
    [0.000123456, 0.000123456],
    [1e-12, 0],
    [123456.7, 123457],
    [Number.NaN, null],
    [Number.POSITIVE_INFINITY, null],
  ];
  for (const [value, expected] of pairs) assert.equal(told(value), expected);
});
