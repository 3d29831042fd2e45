// The real Prometheus scrapes the real service under load, and is asked everything that dashboards, alerts and recording
// rules ask: nothing may fail, and nothing may be empty. A panel that shows nothing cannot be told from a service that is well.

import assert from "node:assert/strict";
import { dashboards } from "../../scripts/dashboards.ts";
import { judge } from "../../scripts/judges.ts";
import { kafkaTest } from "../support/kafka.ts";
import { eventually } from "../support/service.ts";
import { queriesOf } from "./support/dashboards.ts";
import { EventfulService } from "./support/eventful-service.ts";
import { PrometheusServer } from "./support/prometheus.ts";
import { metricsOf, seriesNames } from "./support/rules.ts";

/** So many scrapes lie between what has happened and the questions: rates and rules need some. */
const SCRAPES = 8;
const SCRAPED_WITHIN_MS = 60_000;

/** What is not there where there is no limit or nobody counts: their help says so. */
const OF_THE_HOST = /\bsluice_(?:cgroup|memory)\w*/;
/** What is empty where all is well. */
const EMPTY_IF_WELL = /^ALERTS\{/;

interface Failure {
  readonly of: string;
  readonly query: string;
  readonly what: string;
}

kafkaTest(
  "every query of every panel, alert and recording rule has an answer on a loaded service",
  async (kafka, context) => {
    const prometheus = await judge("prometheus");
    if (typeof prometheus === "string") {
      context.skip(prometheus);
      return;
    }
    await using service = await EventfulService.start(kafka);
    await using server = await PrometheusServer.start(prometheus, { target: service.adminAddress });
    await scraped(server);

    const there = new Set(
      (await server.query('count by (__name__) ({job="sluice"})')).map(({ labels }) => labels["__name__"]!),
    );
    const missing = [...seriesNames()].filter((name) => !there.has(name));
    assert.deepEqual(
      missing.filter((name) => !OF_THE_HOST.test(name)),
      [],
      "metrics of the catalogue that have no series",
    );

    const failures: Failure[] = [];
    const ask = async (of: string, query: string): Promise<void> => {
      try {
        const samples = await server.query(query);
        const isOfHost = OF_THE_HOST.test(query) && missing.some((name) => OF_THE_HOST.test(name));
        if (samples.length === 0 && !isOfHost) failures.push({ of, query, what: "nothing" });
        else if (samples.length > 0 && samples.every(({ value }) => Number.isNaN(value)))
          failures.push({ of, query, what: "not a number" });
      } catch (error) {
        failures.push({ of, query, what: String(error) });
      }
    };
    let asked = 0;
    for (const [file, text] of dashboards()) {
      for (const { title, query } of queriesOf(text)) {
        asked++;
        if (EMPTY_IF_WELL.test(query)) await server.query(query);
        else await ask(`${file}: ${title}`, query);
      }
    }
    assert.ok(asked > 150, `${asked} queries of panels`);

    const rules = await server.rules();
    assert.ok(rules.length > 40, `${rules.length} rules`);
    for (const { name, type, query, health, lastError } of rules) {
      if (health !== "ok") failures.push({ of: name, query, what: `${health}: ${lastError}` });
      if (type === "recording") await ask(name, name);
      else for (const part of partsOf(query)) await ask(name, part);
    }
    assert.deepEqual(failures, []);
  },
  { timeout: 150_000 },
);

async function scraped(server: PrometheusServer): Promise<void> {
  const enough = async (): Promise<boolean> => {
    const [count] = await server.query('sum_over_time(up{job="sluice"}[10m])');
    return count !== undefined && count.value >= SCRAPES;
  };
  await eventually(`${SCRAPES} scrapes`, enough, SCRAPED_WITHIN_MS).catch(async (error: unknown) => {
    throw new Error(`${String(error)}; the last one: ${(await server.scrapeErrors()).join(", ")}`, { cause: error });
  });
}

/** What an alert's expression is made of, without its thresholds; each of these has to be there for it ever to fire. */
function partsOf(query: string): string[] {
  const selectors = Array.from(query.matchAll(/[a-z_:0-9]+(?:\{[^}]*\})?/gi), ([selector]) => selector).filter(
    (selector) => metricsOf(selector).length > 0 || selector.startsWith("up{"),
  );
  const withoutThresholds = query.replaceAll(/ (?:[<>]=?|[!=]=) -?[\d.]+(?: \* \d+)?(?![\w(])/g, "");
  return query.startsWith("absent(") ? selectors : [...new Set([...selectors, withoutThresholds])];
}
