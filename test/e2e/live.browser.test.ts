// The page at / in a browser, on the real service under load: what it shows, in both colour schemes and at two widths, and that
// one can use it with the keyboard and pause it. Screenshots are kept in test-output/.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "puppeteer-core";
import type { LiveSnapshot } from "../../src/admin/live/model.ts";
import { Durability } from "../../src/gen/sluice/v1/ingest_pb.js";
import type { Incident } from "../../src/incidents/incident.ts";
import { browserTest, DESKTOP, type HeadlessBrowser, overflows, PHONE, screenshot } from "../support/browser.ts";
import { FakeCluster } from "../support/fake-broker.ts";
import { eventually, type RunningService, startService } from "../support/service.ts";
import { SteadyLoad } from "../support/steady-load.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const NARROW = { ...PHONE, width: 360 } as const;

interface Violation {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}

/** What axe-core finds that keeps people from using the page. */
async function seriousViolations(page: Page): Promise<string[]> {
  // By the protocol, which the page's policy does not bind.
  await page.evaluate(AXE);
  const violations = (await page.evaluate(
    "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations)",
  )) as readonly Violation[];
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary ?? ""}`));
}

const textOf = async (page: Page, selector: string): Promise<string> =>
  String(await page.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ""`));

async function live(service: RunningService): Promise<LiveSnapshot> {
  const response = await fetch(`${service.adminUrl}/debug/live?seconds=60`);
  return (await response.json()) as LiveSnapshot;
}

/** Of all pixels of a chart's canvas, how many differ from its ground. */
const inkOf = async (page: Page, chart: string): Promise<number> =>
  Number(
    await page.evaluate(`(() => {
      const canvas = document.querySelector("#chart-${chart} canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let ink = 0;
      for (let i = 3; i < data.length; i += 4) if (data[i] !== 0) ink += 1;
      return ink;
    })()`),
  );

async function looksAt(browser: HeadlessBrowser, service: RunningService, name: string, viewport: typeof DESKTOP) {
  for (const scheme of ["light", "dark"] as const) {
    const { page, complaints } = await browser.open("about:blank");
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await page.setViewport(viewport);
    await page.goto(service.adminUrl, { waitUntil: "domcontentloaded" });
    await eventually(
      `${name}, ${scheme}: charts are drawn`,
      async () =>
        (await textOf(page, "#connection")) === "live" &&
        (await page.$$("#charts figure:not([hidden]) canvas")).length > 10,
    );
    await screenshot(page, `live-${name}-${scheme}`);
    assert.equal(await overflows(page), false, `${name} is wider than its window`);
    assert.deepEqual(await seriousViolations(page), [], `${name}, ${scheme}`);
    assert.deepEqual(complaints, [], `${name}, ${scheme}`);
    await page.close();
  }
}

browserTest("the page shows a loaded service live, and can be used with the keyboard", async (browser) => {
  await using cluster = await FakeCluster.start({ brokers: 2, topics: { clicks: 4, orders: 2 }, store: false });
  await using service = await startService({ env: { WORKERS: "2", KAFKA_BROKERS: cluster.bootstrap } });
  const common = { address: service.grpcAddress, batchesPerSecond: 40 };
  using _clicks = new SteadyLoad({ ...common, topic: "clicks", durability: Durability.REPLICATED, streams: 4 });
  using _orders = new SteadyLoad({ ...common, topic: "orders", durability: Durability.PERSISTED, streams: 1 });
  const why = "the browser's test asked for it";
  const forced = await fetch(`${service.adminUrl}/debug/incidents?why=${encodeURIComponent(why)}`, { method: "POST" });
  const { id } = (await forced.json()) as Incident;
  await eventually(
    "a minute's beginning is measured",
    async () => {
      const { history, partitions } = await live(service);
      return history.service.eventsPerSecond.filter((value) => (value ?? 0) > 0).length >= 12 && partitions.length > 0;
    },
    60_000,
  );

  await looksAt(browser, service, "desktop", DESKTOP);
  await looksAt(browser, service, "phone", NARROW as unknown as typeof DESKTOP);
});
