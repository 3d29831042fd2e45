// The dashboards: what is committed is what the generator writes, and Grafana can read it.

import assert from "node:assert/strict";
import { globSync } from "node:fs";
import test from "node:test";
import { DASHBOARDS, dashboards } from "../../scripts/dashboards.ts";
import { scrapeDefinitions } from "../../src/supervisor/metrics.ts";
import { type Dashboard, panelsOf, queriesOf } from "./support/dashboards.ts";
import { metricsOf, read, ROOT, rules, seriesNames } from "./support/rules.ts";

const all = [...dashboards()].map(([path, text]) => ({ path, text, dashboard: JSON.parse(text) as Dashboard }));

test("the dashboards are what `npm run dashboards` writes", () => {
  assert.deepEqual(globSync(`${DASHBOARDS}/*.json`, { cwd: ROOT }).sort(), all.map(({ path }) => path).sort());
  for (const { path, text } of all) assert.equal(read(path), text, path);
});

test("each has an address of its own, which is its file's name, and a schema that Grafana knows", () => {
  for (const { path, dashboard } of all) {
    assert.equal(path, `${DASHBOARDS}/${dashboard.uid}.json`);
    assert.match(dashboard.uid, /^[a-z-]{1,40}$/);
    assert.ok(dashboard.schemaVersion >= 36);
  }
});

test("panels have ids of their own, a description, and places that do not overlap", () => {
  for (const { path, dashboard } of all) {
    const panels = panelsOf(dashboard);
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length, path);
    const taken = new Set<string>();
    for (const { title, type, description = "", gridPos, targets = [] } of panels) {
      if (type !== "row") assert.ok(description.length > 3 && targets.length > 0, `${path}: ${title}`);
      assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title);
      assert.ok(gridPos.x >= 0 && gridPos.x + gridPos.w <= 24, title);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.ok(!taken.has(`${x} ${y}`), `${path}: ${title} lies over another panel`);
          taken.add(`${x} ${y}`);
        }
    }
  }
});

test("panels ask for metrics that the catalogue has or that are recorded", () => {
  const known = new Set([...seriesNames(), ...rules().map(({ name }) => name)]);
  for (const { path, text } of all)
    for (const { title, query } of queriesOf(text))
      for (const metric of metricsOf(query)) assert.ok(known.has(metric), `${path}: ${title}: ${metric}`);
});

test("every metric of the catalogue has a panel that is called as it is", () => {
  const titles = new Set(all.flatMap(({ dashboard }) => panelsOf(dashboard).map(({ title }) => title)));
  assert.deepEqual(
    scrapeDefinitions().filter(({ name }) => !titles.has(name)),
    [],
  );
});
