// Pages in headless Chromium, over the DevTools protocol: puppeteer-core speaks it and brings no browser along.
//
//   browserTest("the page shows it", async (browser) => {
//     const page = await browser.open(`${service.adminUrl}/debug/incidents`);
//     assert.deepEqual(page.complaints, []);
//   });
//
// Chromium is started here, not by the library, which would give it a process group of its own: in ours, whoever ends a test
// file ends its browser. It resolves no name but loopback's, so that a page that fetches from elsewhere fails here too.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import test, { type TestContext } from "node:test";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { chromium, missingForBrowser } from "../../scripts/chromium.ts";

const START_TIMEOUT_MS = 60_000;
const STEP_TIMEOUT_MS = 30_000;
const END_GRACE_MS = 5_000;
const SCREENSHOTS = join(import.meta.dirname, "../../test-output");

const FLAGS = [
  "--headless=new",
  "--remote-debugging-port=0",
  "--no-first-run",
  "--no-default-browser-check",
  "--no-proxy-server",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-default-apps",
  "--disable-extensions",
  "--disable-sync",
  // WebGL, which speedscope draws with, by the processor.
  "--disable-gpu",
  "--enable-unsafe-swiftshader",
  // A container's /dev/shm holds 64 MB.
  "--disable-dev-shm-usage",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  "--force-color-profile=srgb",
  // Its sandbox refuses root; the pages are our own.
  ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
];

/** The widths that pages are looked at, in CSS pixels. */
export const DESKTOP = { width: 1280, height: 900 } as const;
export const PHONE = { width: 390, height: 844, deviceScaleFactor: 2, isMobile: true, hasTouch: true } as const;

export interface OpenPage {
  readonly page: Page;
  /** Console errors and warnings, exceptions, refusals by the CSP, requests that failed or were answered with an error. */
  readonly complaints: readonly string[];
}

export class HeadlessBrowser implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #browser: Browser;
  readonly #profile: string;

  private constructor(child: ChildProcess, browser: Browser, profile: string) {
    this.#child = child;
    this.#browser = browser;
    this.#profile = profile;
  }

  static async start(command: string): Promise<HeadlessBrowser> {
    const profile = mkdtempSync(join(tmpdir(), "sluice-chromium-"));
    const child = spawn(command, [...FLAGS, `--user-data-dir=${profile}`], { stdio: ["ignore", "ignore", "pipe"] });
    process.once("exit", () => child.kill("SIGKILL"));
    try {
      const browserWSEndpoint = await endpoint(child);
      const browser = await puppeteer.connect({ browserWSEndpoint, defaultViewport: DESKTOP });
      return new HeadlessBrowser(child, browser, profile);
    } catch (error) {
      child.kill("SIGKILL");
      await end(child, profile);
      throw error;
    }
  }

  /** Loads a page, and waits until it fetches nothing more. */
  async open(url: string): Promise<OpenPage> {
    const page = await this.#browser.newPage();
    page.setDefaultTimeout(STEP_TIMEOUT_MS);
    const complaints: string[] = [];
    page.on("console", (message) => {
      // What a graphics driver says of its own speed is no fault of the page.
      if (message.text().includes("GL Driver Message")) return;
      if (["error", "warn", "assert"].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => complaints.push(`thrown: ${String(error)}`));
    page.on("requestfailed", (request) =>
      complaints.push(`${request.url()} failed: ${request.failure()?.errorText ?? "unknown"}`),
    );
    page.on("response", (response) => {
      if (response.status() >= 400) complaints.push(`${response.url()} is answered with ${response.status()}`);
    });
    await page.goto(url, { waitUntil: "networkidle0", timeout: STEP_TIMEOUT_MS });
    return { page, complaints };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = end(this.#child, this.#profile);
    // It ends itself; without an answer it is killed.
    void this.#browser.close().catch(() => {});
    await ended;
  }
}

/** The whole page as `test-output/NAME.png`, for people to look at. */
export async function screenshot(page: Page, name: string): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: `${join(SCREENSHOTS, name)}.png`, fullPage: true });
}

/** Whether the page is wider than its window, so that a phone has to be moved sideways to read it. */
export async function overflows(page: Page): Promise<boolean> {
  return (await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")) === true;
}

/** A test that needs Chromium; skipped, with what to install, where there is none. */
export function browserTest(
  title: string,
  body: (browser: HeadlessBrowser, context: TestContext) => Promise<void>,
): void {
  void test(title, { timeout: 280_000 }, async (context) => {
    const command = await chromium();
    if (command === undefined) {
      context.skip(await missingForBrowser());
      return;
    }
    await using browser = await HeadlessBrowser.start(command);
    await body(browser, context);
  });
}

/** Where it speaks the protocol, which it prints: `DevTools listening on ws://...`. */
async function endpoint(child: ChildProcess): Promise<string> {
  const printed: string[] = [];
  const lines = createInterface({ input: child.stderr! });
  const found = new Promise<string>((resolve, reject) => {
    const fail = (why: string) => {
      reject(new Error(`Chromium ${why}; it printed:\n${printed.join("\n")}`));
    };
    // It has to be read on, or Chromium waits for us.
    lines.on("line", (line) => {
      const url = /^DevTools listening on (ws:\/\/\S+)/.exec(line)?.[1];
      if (url !== undefined) resolve(url);
      printed.push(line);
      if (printed.length > 50) printed.shift();
    });
    child.once("error", ({ message }) => {
      fail(`cannot be started: ${message}`);
    });
    child.once("exit", (code, signal) => {
      fail(`ended with ${signal ?? code}`);
    });
    setTimeout(fail, START_TIMEOUT_MS, `has not started after ${START_TIMEOUT_MS / 1000} s`).unref();
  });
  return await found;
}

/** Resolves when Chromium and its helpers are gone, which are in our process group and would count as left behind. */
async function end(child: ChildProcess, profile: string): Promise<void> {
  if (child.pid !== undefined) {
    const helpers = descendants(child.pid);
    const kill = setTimeout(() => child.kill("SIGKILL"), END_GRACE_MS);
    // They share its standard error.
    if (!child.stderr!.closed) await once(child.stderr!, "close");
    clearTimeout(kill);
    // Orphans stay in the table of processes until init takes note of their end.
    const deadline = performance.now() + END_GRACE_MS;
    while (helpers.some(isThere) && performance.now() < deadline) await sleep(20);
  }
  rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

/** The processes that one has started, and those have; empty where there is no /proc. */
function descendants(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const path of globSync("/proc/[0-9]*/stat")) {
    try {
      //   stat := pid " (" name ") " state " " ppid ...
      const [id, rest] = readFileSync(path, "latin1").split(/ \(.*\) . /s);
      parents.set(Number(id), Number.parseInt(rest!, 10));
    } catch {
      // It has ended meanwhile.
    }
  }
  const found = [pid];
  for (const each of found) for (const [id, parent] of parents) if (parent === each) found.push(id);
  return found.slice(1);
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
