// Alerts, their runbook, their tests and the catalogue of metrics say the same.

import assert from "node:assert/strict";
import test from "node:test";
import { dashboards } from "../../scripts/dashboards.ts";
import { scrapeDefinitions } from "../../src/supervisor/metrics.ts";
import { expression, metricsOf, read, ruleFiles, rules, seriesNames } from "./support/rules.ts";

const alerts = rules().filter(({ kind }) => kind === "alert");
const recorded = new Set(rules().flatMap(({ kind, name }) => (kind === "record" ? [name] : [])));

test("every alert has a severity, a summary, a description and its section of the runbook", () => {
  assert.ok(alerts.length > 20, "there are alerts");
  for (const { name, body } of alerts) {
    assert.match(name, /^Sluice[A-Z]\w+$/);
    assert.match(body, /^ +labels: \{ severity: (?:critical|warning|info) \}$/m, name);
    assert.match(body, /^ +summary: \S/m, name);
    assert.match(body, /^ +description: \S/m, name);
    assert.match(body, new RegExp(`^ +runbook_url: docs/runbook\\.md#${name.toLowerCase()}$`, "m"), name);
  }
  assert.equal(new Set(alerts.map(({ name }) => name)).size, alerts.length, "no alert has the name of another");
});

test("the runbook has a section for each alert and none for what is no alert, and each says what it means and what to do", () => {
  const sections = read("docs/runbook.md").split(/^### /m).slice(1);
  const titles = sections.map((section) => section.slice(0, section.indexOf("\n")));
  assert.deepEqual([...titles].sort(), alerts.map(({ name }) => name).sort());
  for (const [i, section] of sections.entries())
    for (const part of ["Means", "Look at", "Do"])
      assert.equal(section.split(`\n**${part}.** `).length, 2, `${titles[i]}: ${part}`);
});

test("links within the runbook lead somewhere", () => {
  const runbook = read("docs/runbook.md");
  const anchors = Array.from(runbook.matchAll(/^#+ (.*)$/gm), ([, title]) => title!.toLowerCase().replaceAll(" ", "-"));
  for (const [, anchor] of runbook.matchAll(/\]\(#([^)]+)\)/g)) assert.ok(anchors.includes(anchor!), anchor);
});

test("alerts and recording rules ask for metrics that the catalogue has", () => {
  const known = seriesNames();
  for (const rule of rules()) {
    const metrics = metricsOf(expression(rule));
    assert.ok(metrics.length > 0 || expression(rule).includes("up{"), rule.name);
    for (const metric of metrics) assert.ok(known.has(metric) || recorded.has(metric), `${rule.name}: ${metric}`);
  }
});

test("rules select by labels that the metrics have", () => {
  const definitions = new Map(scrapeDefinitions().map((definition) => [definition.name, definition]));
  for (const rule of rules()) {
    for (const [, name, matchers] of expression(rule).matchAll(/\b(\w+)\{([^}]*)\}/g)) {
      const { labels, perWorker } = definitions.get(name!.replace(/_(?:bucket|sum|count)$/, "")) ?? {
        labels: [],
        perWorker: false,
      };
      const known = ["job", ...labels, ...(perWorker ? ["worker"] : [])];
      const asked = Array.from(matchers!.matchAll(/(\w+)(?:=|!=)/g), ([, label]) => label!);
      if (definitions.has(name!))
        assert.deepEqual(
          asked.filter((label) => !known.includes(label)),
          [],
          rule.name,
        );
    }
  }
});

test("descriptions and the runbook name metrics that the catalogue has", () => {
  const known = [...seriesNames(), ...recorded];
  const texts = [...alerts.map(({ body }) => body), read("docs/runbook.md"), read("docs/operations.md")];
  for (const text of texts)
    for (const metric of metricsOf(text.replaceAll('"', " ")))
      assert.ok(
        known.some((name) => name === metric || name.replace(/_(?:bucket|sum|count)$/, "") === metric),
        metric,
      );
});

test("every recorded metric is used by an alert or a dashboard, and is told of its level and operation", () => {
  const users = [...rules().map(expression), ...dashboards().values()].join("\n");
  for (const name of recorded) {
    assert.match(name, /^\w+:\w+:\w+$/);
    assert.ok(users.includes(name), name);
  }
});

test("every alert is tested when it has to fire and when it has to be silent", () => {
  const tests = ruleFiles("tests").map(read).join("\n");
  const [fires, silent] = [new Set<string>(), new Set<string>()];
  for (const [, name, none] of tests.matchAll(/alertname: (\w+)\n +exp_alerts:( \[\])?\n/g))
    (none === undefined ? fires : silent).add(name!);
  const names = alerts.map(({ name }) => name).sort();
  assert.deepEqual({ fires: [...fires].sort(), silent: [...silent].sort() }, { fires: names, silent: names });
});
