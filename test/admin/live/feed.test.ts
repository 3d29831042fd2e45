import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { snapshotOf } from "../no-live.ts";

/** What the page's script finds in a browser, as far as the feed asks for it. */
class Browser {
  readonly document = Object.assign(new EventTarget(), { hidden: false });
  readonly window = Object.assign(new EventTarget(), { setTimeout, clearTimeout });
  /** Histories that were asked for, each to be answered by the test. */
  readonly asked: (() => void)[] = [];
  open = 0;

  readonly fetch = async () => {
    await new Promise<void>((resolve) => this.asked.push(resolve));
    return { ok: true, json: async () => snapshotOf([1000], 1) };
  };

  get EventSource() {
    const count = (change: number) => (this.open += change);
    return class extends EventTarget {
      constructor() {
        super();
        count(1);
      }
      close(): void {
        count(-1);
      }
    };
  }

  show(visible: boolean): void {
    this.document.hidden = !visible;
    this.document.dispatchEvent(new Event("visibilitychange"));
  }
}

interface FeedModule {
  readonly Feed: new (listener: object, since: () => number | undefined) => { start(): void };
}

test("a page that is hidden and shown again while its history comes has one connection, and none once it is hidden", async () => {
  const browser = new Browser();
  const { document, window, fetch, EventSource } = browser;
  Object.assign(globalThis, { document, window, fetch, EventSource });
  // By a path that is computed, because the script is checked with a browser's types and this file is not.
  const { Feed } = (await import(
    new URL("../../../src/admin/live/client/feed.ts", import.meta.url).href
  )) as FeedModule;
  let known: number | undefined;
  const feed = new Feed({ snapshot: () => (known = 1000), state: () => {} }, () => known);
  feed.start();
  browser.show(false);
  browser.show(true);
  assert.equal(browser.asked.length, 2);
  for (const answer of browser.asked) answer();
  for (let i = 0; i < 5; i++) await turn();
  assert.equal(browser.open, 1);
  browser.show(false);
  assert.equal(browser.open, 0);
});
