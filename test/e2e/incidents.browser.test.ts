// What an engineer does after a bad minute, in a browser, on the real service under load: the list, the page, flame graphs.

import assert from "node:assert/strict";
import type { Page } from "puppeteer-core";
import type { Incident } from "../../src/incidents/incident.ts";
import { Durability } from "../../src/gen/sluice/v1/ingest_pb.js";
import { browserTest, type HeadlessBrowser, type OpenPage, overflows, PHONE, screenshot } from "../support/browser.ts";
import { Load } from "../support/load.ts";
import { eventually, type RunningService, startService } from "../support/service.ts";

/** What a reader sees of the page. */
async function textOf(page: Page): Promise<string> {
  return String(await page.evaluate("document.body.innerText"));
}

async function hrefsOf(page: Page, start: string): Promise<string[]> {
  const hrefs = (await page.evaluate("[...document.links].map((link) => link.getAttribute('href'))")) as string[];
  return hrefs.filter((href) => href.startsWith(start));
}

/** Looks at the page in light and dark, and as a phone shows it. */
async function looksAt({ page, complaints }: OpenPage, name: string): Promise<void> {
  await screenshot(page, name);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await screenshot(page, `${name}-dark`);
  await page.setViewport(PHONE);
  assert.equal(await overflows(page), false, `${name} is wider than a phone`);
  await screenshot(page, `${name}-phone`);
  assert.deepEqual(complaints, []);
  await page.close();
}

/** The functions of a profile that speedscope is told to fetch. */
async function functionsOf(service: RunningService, link: string): Promise<string[]> {
  const path = new URLSearchParams(new URL(link).hash.slice(1)).get("profileURL");
  const response = await fetch(service.adminUrl + path!);
  const { shared } = (await response.json()) as { readonly shared: { readonly frames: readonly { name: string }[] } };
  return shared.frames.map(({ name }) => name);
}

/** Opens a flame graph, and looks for its functions in speedscope's table of them. */
async function opensInSpeedscope(browser: HeadlessBrowser, service: RunningService, link: string, name: string) {
  const { page, complaints } = await browser.open(link.replace("view=left-heavy", "view=sandwich"));
  const functions = await functionsOf(service, link);
  assert.ok(functions.length > 0, `${name} is empty`);
  await eventually(`${name}: speedscope lists functions`, async () => {
    const text = await textOf(page);
    return text.includes("Symbol Name") && functions.some((each) => text.includes(each));
  });
  await page.close();
  const graph = await browser.open(link);
  await eventually(`${name}: speedscope draws`, async () => (await graph.page.$("canvas")) !== null);
  await screenshot(graph.page, name);
  await graph.page.close();
  assert.deepEqual([...complaints, ...graph.complaints], []);
}

browserTest("an incident's page, its charts and its flame graphs show without a complaint", async (browser) => {
  await using service = await startService({ env: { WORKERS: "2" } });
  const load = new Load({
    address: service.grpcAddress,
    topic: "clicks",
    durability: Durability.PERSISTED,
    streams: ["closes", "closes"],
    unaryCallers: 1,
  });
  try {
    const empty = await browser.open(`${service.adminUrl}/debug/incidents`);
    assert.match(await textOf(empty.page), /No incidents are recorded/);
    await looksAt(empty, "incidents-empty");

    const why = "the browser's test <asked> for it";
    const forced = await fetch(`${service.adminUrl}/debug/incidents?why=${encodeURIComponent(why)}`, {
      method: "POST",
    });
    const { id } = (await forced.json()) as Incident;
    const path = `/debug/incidents/${id}`;

    const begun = await browser.open(service.adminUrl + path);
    assert.match(await textOf(begun.page), /still being recorded/);
    assert.deepEqual(begun.complaints, []);
    await begun.page.close();

    await eventually(
      "the incident is complete",
      async () => {
        const response = await fetch(service.adminUrl + path);
        return ((await response.json()) as Incident).state === "complete";
      },
      60_000,
    );
    const list = await browser.open(`${service.adminUrl}/debug/incidents`);
    assert.match(await textOf(list.page), /recorded on request/);
    assert.deepEqual(await hrefsOf(list.page, path), [path, `${path}.tar.gz`]);
    await Promise.all([list.page.waitForNavigation(), list.page.click(`a[href="${path}"]`)]);
    assert.equal(new URL(list.page.url()).pathname, path);
    assert.deepEqual(list.complaints, []);
    await list.page.close();
    await looksAt(await browser.open(`${service.adminUrl}/debug/incidents`), "incidents");

    const opened = await browser.open(service.adminUrl + path);
    const text = await textOf(opened.page);
    assert.ok(text.includes(why), text);
    assert.equal(await opened.page.evaluate("document.scripts.length"), 0);
    assert.ok((await opened.page.$$(".charts svg[role=img]")).length >= 8);
    assert.ok((await opened.page.$$(".flame svg[role=img]")).length >= 1);
    const links = await hrefsOf(opened.page, "/debug/speedscope/");
    await opened.page.$$eval("details", (all) => {
      for (const each of all) each.open = true;
    });
    await looksAt(opened, "incident");

    const link = (sign: RegExp) => {
      const found = links.find((href) => sign.test(decodeURIComponent(href)));
      assert.ok(found !== undefined, `no link like ${sign} among ${links.join(" ")}`);
      return service.adminUrl + found;
    };
    for (const [sign, name] of [
      [/profile-before\.pb\.gz\?format=speedscope&title/, "flame-before"],
      [/profile-after\.pb\.gz\?format=speedscope&title/, "flame-after"],
      [/base=profile-before/, "flame-difference"],
      [/past=300/, "flame-last-five-minutes"],
    ] as const)
      await opensInSpeedscope(browser, service, link(sign), name);
  } finally {
    await load.stop();
  }
});

browserTest("with the token as the password of its URL, an incident's flame graph shows, too", async (browser) => {
  const token = "0123456789abcdef-token";
  await using service = await startService({ env: { ADMIN_TOKEN: token } });
  const headers = { authorization: `Bearer ${token}` };
  const forced = await fetch(`${service.adminUrl}/debug/incidents`, { method: "POST", headers });
  const { id } = (await forced.json()) as Incident;
  const path = `/debug/incidents/${id}`;
  const { page, complaints } = await browser.open("about:blank");
  // As if it came from elsewhere: without the token nothing is shown.
  await page.setExtraHTTPHeaders({ "x-forwarded-for": "192.0.2.1" });
  const withToken = service.adminUrl.replace("//", `//sluice:${token}@`) + path;
  // The profile of the time before is there at once.
  let link: string | undefined;
  await eventually("the page links to a flame graph", async () => {
    await page.goto(withToken, { waitUntil: "domcontentloaded" });
    link = (await hrefsOf(page, "/debug/speedscope/")).find((href) => decodeURIComponent(href).includes("before"));
    return link !== undefined;
  });
  await page.$$eval("details", (all) => {
    for (const each of all) each.open = true;
  });
  await page.click(`a[href="${link}"]`);
  await page.waitForSelector("canvas");
  assert.equal(new URL(page.url()).password, "");
  assert.doesNotMatch(await textOf(page), /went wrong|failed/i);
  assert.deepEqual(complaints, []);
  await page.close();
});
