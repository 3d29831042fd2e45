import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { chart } from "../../../src/admin/pages/chart.ts";
import { html } from "../../../src/admin/pages/html.ts";
import { quantityOf, ticksTo, type Unit } from "../../../src/admin/pages/units.ts";

const UNITS: readonly Unit[] = ["cores", "seconds", "bytes", "count", "per second", "share"];

test("a template's values are text, in elements and in attributes", () => {
  const evil = `</p><script>&"'`;
  assert.equal(html`<p title="${evil}">${evil}</p>`.toString().match(/[<>]/g)?.length, 4);
  assert.equal(html`<b>${[html`<i>${1}</i>`, undefined, "<"]}</b>`.toString(), "<b><i>1</i>&lt;</b>");
});

test("numbers are told in the unit that suits them", () => {
  const told = [
    quantityOf(0.934, "cores"),
    quantityOf(1, "cores"),
    quantityOf(0.0125, "seconds"),
    quantityOf(12.34, "seconds"),
    quantityOf(94 * 1024 ** 2, "bytes"),
    quantityOf(12_345, "per second"),
    quantityOf(0.25, "share"),
    quantityOf(0, "seconds"),
  ];
  assert.deepEqual(told, ["0.934 cores", "1 core", "12.5 ms", "12.3 s", "94 MiB", "12,345/s", "25 %", "0 s"]);
});

test("the ticks of an axis begin at 0, are few, and reach every value", () => {
  const values = fc.double({ min: 0, max: 1e15, noNaN: true });
  fc.assert(
    fc.property(values, fc.constantFrom(...UNITS), (max, unit) => {
      const ticks = ticksTo(max, unit);
      assert.equal(ticks[0], 0);
      assert.ok(ticks.length >= 2 && ticks.length <= 7, `${ticks.length} ticks for ${max}`);
      assert.ok(ticks.at(-1)! >= max * 0.9999);
      assert.ok(ticks.every(Number.isFinite));
    }),
  );
});

const options = { title: "CPU", unit: "cores", fromMs: 0, toMs: 10_000, atMs: 5_000, worker: "0" } as const;
const pathsOf = (text: string) => Array.from(text.matchAll(/ d="([^"]*)"/g), ([, d]) => d!);

test("a line has a gap where nothing is known for long, and passes over single values that are missing", () => {
  const t = [0, 1000, 2000, 3000, 9000, 10_000];
  const line = { name: "0", t, values: [1, null, 1, Number.NaN, 1, 1] };
  const [d] = pathsOf(chart({ ...options, lines: [line] }).toString());
  assert.equal(d?.match(/M/g)?.length, 2);
  assert.doesNotMatch(d, /NaN/);
});

test("a peak of one second is not lost among many", () => {
  const t = Array.from({ length: 10_000 }, (_, i) => i);
  const peak = { name: "0", t, values: t.map((at) => (at === 4321 ? 100 : 1)) };
  const text = chart({ ...options, lines: [peak] }).toString();
  const heights = Array.from(pathsOf(text)[0]!.matchAll(/[ML][\d.]+ ([\d.]+)/g), ([, y]) => Number(y));
  assert.ok(Math.min(...heights) < 15);
  assert.ok(heights.length < 500);
});

test("a chart without any value is empty, not broken", () => {
  const text = chart({ ...options, worker: undefined, lines: [{ name: "0", t: [], values: [] }] }).toString();
  assert.doesNotMatch(text, /NaN|Infinity|undefined/);
});
