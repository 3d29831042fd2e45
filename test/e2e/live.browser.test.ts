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
/** As narrow as phones are. */
const NARROW = { ...PHONE, width: 360 };

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

/** Colours of lines on a chart's canvas: those that are not grey, told apart coarsely. */
const coloursOf = async (page: Page, chart: string): Promise<number> =>
  Number(
    await page.evaluate(`(() => {
      const canvas = document.querySelector("#chart-${chart} canvas");
      if (canvas === null) return 0;
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const counts = new Map();
      for (let i = 0; i < data.length; i += 4) {
        const [red, green, blue, alpha] = data.subarray(i, i + 4);
        if (alpha < 250 || Math.max(red, green, blue) - Math.min(red, green, blue) < 40) continue;
        const colour = [red, green, blue].join();
        counts.set(colour, (counts.get(colour) ?? 0) + 1);
      }
      return [...counts.values()].filter((count) => count > 5).length;
    })()`),
  );

/** A page that closes its connection does so in the middle of an answer, which the browser tells as a request that failed. */
const isNoFarewell = (complaint: string): boolean =>
  !/live\/(?:events|tail)\S* failed: net::ERR_ABORTED/.test(complaint);

type Viewport = typeof DESKTOP | typeof NARROW;

async function looksAt(browser: HeadlessBrowser, service: RunningService, name: string, viewport: Viewport) {
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

/** Presses Tab and tells what has the focus then. */
async function tab(page: Page): Promise<string> {
  await page.keyboard.press("Tab");
  return String(
    await page.evaluate(`(() => {
      const { activeElement: element } = document;
      return element.id || element.getAttribute("href") || element.textContent.trim() || element.className;
    })()`),
  );
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
    "some seconds under load are measured",
    async () => {
      const { history, partitions } = await live(service);
      return history.service.eventsPerSecond.filter((value) => (value ?? 0) > 0).length >= 12 && partitions.length > 0;
    },
    60_000,
  );
  await looksAt(browser, service, "desktop", DESKTOP);
  await looksAt(browser, service, "phone", NARROW);

  const { page, complaints } = await browser.open("about:blank");
  await page.goto(service.adminUrl, { waitUntil: "domcontentloaded" });
  await eventually("it is live", async () => (await textOf(page, "#connection")) === "live");

  // Charts have lines, and numbers beside them.
  for (const chart of ["throughput", "latency", "workers", "brokers", "memory"]) {
    await eventually(`${chart} has its lines`, async () => (await coloursOf(page, chart)) >= 2);
    assert.match(await textOf(page, `#chart-${chart} tbody`), /\d/, chart);
  }
  assert.match(await textOf(page, "#tile-events .value"), /^[\d,.]+\/s$/);
  assert.match(await textOf(page, "#ledger"), /clicks.*orders.*all topics.*agrees/s);
  assert.match(await textOf(page, "#tail-title + p"), /ADMIN_TAIL=true/);

  // Who hears the page is told, too.
  await eventually("it is said", async () => /events a second/.test(await textOf(page, "#announce")));

  // Paused, it stands still and has no connection; afterwards it has what it has missed.
  await page.click("#pause");
  await eventually("it is paused", async () => (await textOf(page, "#connection")) === "paused");
  const stood = await textOf(page, "#at");
  const seconds = (await live(service)).history.t.length;
  await eventually("seconds pass", async () => {
    const { history } = await live(service);
    return history.t.length >= Math.min(60, seconds + 3);
  });
  assert.equal(await textOf(page, "#at"), stood);
  await page.click("#pause");
  await eventually("it goes on", async () => (await textOf(page, "#at")) > stood);

  // A page that nobody sees has no connection either.
  const other = await browser.open("about:blank");
  await other.page.bringToFront();
  await eventually("it is hidden", async () => (await page.evaluate("document.visibilityState")) === "hidden");
  await eventually("it has closed its connection", async () => (await textOf(page, "#connection")) === "paused");
  await page.bringToFront();
  await other.page.close();
  await eventually("it is live again", async () => (await textOf(page, "#connection")) === "live");

  // The keyboard reaches everything, in the order in which it stands, beginning with a way past the links.
  await page.reload({ waitUntil: "domcontentloaded" });
  await eventually("it is live", async () => (await textOf(page, "#connection")) === "live");
  await eventually(
    "the incident is on the axis of time",
    async () => (await page.$(`#strip a[href$="${id}"]`)) !== null,
  );
  const walked: string[] = [];
  for (let i = 0; i < 40 && !walked.at(-1)?.startsWith("plot"); i++) walked.push(await tab(page));
  const expected = [
    "#main",
    "/debug/incidents",
    "/debug/pprof/",
    "pause",
    "1 min",
    "theme",
    `/debug/incidents/${id}`,
    "plot",
  ];
  let at = 0;
  for (const each of expected) {
    const found = walked.findIndex((name, i) => i >= at && name.startsWith(each));
    assert.ok(found >= at, `${each} is not reached after ${at} steps: ${walked.join(", ")}`);
    at = found;
  }
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  await eventually("the chart tells of an earlier second", async () =>
    /^\d\d:\d\d:\d\d$/.test(await textOf(page, "#chart-throughput .at")),
  );
  assert.match(await textOf(page, "#announce"), /^\d\d:\d\d:\d\d: received/);
  await page.keyboard.press("Escape");
  await eventually("and of now again", async () => (await textOf(page, "#chart-throughput .at")) === "now");

  // The switch wins over the system, and is remembered.
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
  const ground = async () => String(await page.evaluate("getComputedStyle(document.body).backgroundColor"));
  const light = await ground();
  await page.select("#theme", "dark");
  const dark = await ground();
  assert.notEqual(dark, light);
  await page.reload({ waitUntil: "domcontentloaded" });
  await eventually("the choice is remembered", async () => (await ground()) === dark);

  // The mark of the incident opens its page.
  await eventually(
    "the incident is on the axis of time",
    async () => (await page.$(`#strip a[href$="${id}"]`)) !== null,
  );
  await Promise.all([page.waitForNavigation(), page.click(`#strip a[href$="${id}"]`)]);
  assert.equal(new URL(page.url()).pathname, `/debug/incidents/${id}`);
  assert.match(await textOf(page, "main"), new RegExp(why));
  assert.deepEqual(complaints.filter(isNoFarewell), []);
  // Stripping types is an experiment of Node.js, which is nothing for the log of a service.
  assert.doesNotMatch(service.stderr(), /Warning/);
  await page.close();
});

browserTest(
  "without scripts the page has its numbers, and a topic is shown where that is switched on",
  async (browser) => {
    await using service = await startService({ env: { ADMIN_TAIL: "true" } });
    const common = { address: service.grpcAddress, batchesPerSecond: 20 };
    using _load = new SteadyLoad({ ...common, topic: "clicks", durability: Durability.PERSISTED, streams: 1 });
    await eventually("events come in", async () => {
      const { history } = await live(service);
      return (history.service.eventsPerSecond.at(-1) ?? 0) > 0;
    });

    const plain = await browser.open("about:blank");
    await plain.page.setJavaScriptEnabled(false);
    await plain.page.goto(service.adminUrl, { waitUntil: "domcontentloaded" });
    const text = String(await plain.page.$eval("main", (main) => main.textContent));
    for (const sign of [/Events\s+[\d,.]+\/s/, /worker 0/, /clicks/, /Charts need scripts/]) assert.match(text, sign);
    await plain.page.close();

    const { page, complaints } = await browser.open("about:blank");
    await page.goto(service.adminUrl, { waitUntil: "domcontentloaded" });
    await eventually("it is live", async () => (await textOf(page, "#connection")) === "live");
    await page.type("#tail-topic", "clicks");
    await page.keyboard.press("Enter");
    await eventually("events are shown", async () => (await page.$$("#tail-lines li")).length > 5, 60_000);
    assert.match(await textOf(page, "#tail-lines li"), /^\{"topic":"clicks","partition":null,"timestamp":/);
    assert.deepEqual(await seriousViolations(page), []);
    assert.equal(await overflows(page), false);
    await screenshot(page, "live-tail");
    await page.click("#tail-button");
    await eventually("it is stopped", async () => (await textOf(page, "#tail-state")) === "Stopped.");
    assert.deepEqual(complaints.filter(isNoFarewell), []);
    await page.close();
  },
);

browserTest(
  "with the token as the password of its URL, as a refusal says to open it, the page is live, too",
  async (browser) => {
    const token = "0123456789abcdef-token";
    await using service = await startService({ env: { ADMIN_TOKEN: token } });
    const { page } = await browser.open("about:blank");
    // As if it came from elsewhere: without the token nothing is shown.
    await page.setExtraHTTPHeaders({ "x-forwarded-for": "192.0.2.1" });
    await page.goto(service.adminUrl.replace("//", `//sluice:${token}@`), { waitUntil: "domcontentloaded" });
    await eventually("the page is live", async () => (await textOf(page, "#connection")) === "live", 60_000);
    assert.equal(String(await page.evaluate("document.URL")), `${service.adminUrl}/`);
    await page.waitForSelector("#chart-throughput canvas");
    assert.equal(await page.evaluate("getComputedStyle(document.querySelector('.tiles')).display"), "grid");
    await page.close();
  },
);
