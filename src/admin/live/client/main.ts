// The page's script: keeps what the server wrote up to date, draws the charts, and lets the reader pause, zoom and choose.

import { utc } from "../../pages/units.ts";
import type { LiveSnapshot } from "../model.ts";
import { numberTiles } from "../view/numbers.ts";
import { bottleneckBox, problemList, spokenSummary, statusBadge } from "../view/status.ts";
import { brokerTable, callerTable, incidentTable, ledgerTable, partitionTable, workerTable } from "../view/tables.ts";
import { Announcer } from "./announcer.ts";
import { CHARTS } from "./chart-list.ts";
import { Chart, type Plot } from "./chart.ts";
import { Colours } from "./colours.ts";
import { Feed, type FeedState } from "./feed.ts";
import { Seconds } from "./seconds.ts";
import { Strip } from "./strip.ts";
import { Tail } from "./tail.ts";

const PARTS: readonly (readonly [id: string, render: (snapshot: LiveSnapshot) => { toString(): string }])[] = [
  ["status", statusBadge],
  ["bottleneck", bottleneckBox],
  ["problems", problemList],
  ["numbers", numberTiles],
  ["workers", workerTable],
  ["brokers", brokerTable],
  ["partitions", partitionTable],
  ["callers", callerTable],
  ["ledger", ledgerTable],
  ["incidents", incidentTable],
];

const SPANS: readonly (readonly [seconds: number, label: string, words: string])[] = [
  [60, "1 min", "The last minute"],
  [300, "5 min", "The last five minutes"],
  [900, "15 min", "The last fifteen minutes"],
];

const STATES: Readonly<Record<FeedState, string>> = {
  loading: "connecting",
  live: "live",
  paused: "paused",
  lost: "no connection; trying again",
  full: "too many watch, or no access; trying again",
};

const byId = (id: string): HTMLElement => document.querySelector<HTMLElement>(`#${id}`)!;

class LivePage {
  readonly #seconds = new Seconds();
  readonly #announcer = new Announcer(byId("announce"));
  readonly #strip = new Strip(byId("strip"));
  readonly #charts: readonly Chart[];
  readonly #shown = new Map<string, string>();
  readonly #feed: Feed;
  #span = 900;
  #snapshot: LiveSnapshot | undefined;
  #isDue = false;

  constructor(plot: Plot) {
    const colours = new Colours(() => {
      for (const chart of this.#charts ?? []) chart.redraw();
    });
    this.#charts = CHARTS.map(
      (spec) =>
        new Chart(spec, {
          Plot: plot,
          colours,
          seconds: this.#seconds,
          shown: () => this.#shownTime(),
          incidents: () => this.#snapshot?.incidents ?? [],
          say: (sentence) => {
            this.#announcer.say(sentence);
          },
        }),
    );
    byId("charts").append(...this.#charts.map(({ root }) => root));
    this.#feed = new Feed(
      {
        snapshot: (snapshot) => {
          this.#take(snapshot);
        },
        state: (state) => {
          this.#tellState(state);
        },
      },
      () => this.#seconds.lastMs,
    );
    colours.bind(document.querySelector<HTMLSelectElement>("#theme")!);
    this.#bindPause();
    this.#bindSpan();
    Tail.find();
    byId("controls").hidden = false;
  }

  start(): void {
    this.#feed.start();
  }

  #take(snapshot: LiveSnapshot): void {
    this.#seconds.append(snapshot.history);
    this.#snapshot = snapshot;
    // Several messages that come at once are drawn once.
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#show();
    });
  }

  #show(): void {
    const snapshot = this.#snapshot;
    if (snapshot === undefined) return;
    for (const [id, render] of PARTS) {
      const text = render(snapshot).toString();
      // What did not change keeps its focus and its selection.
      if (this.#shown.get(id) === text) continue;
      this.#shown.set(id, text);
      byId(id).innerHTML = text;
    }
    const at = byId("at");
    at.textContent = utc(snapshot.atMs);
    at.setAttribute("datetime", new Date(snapshot.atMs).toISOString());
    for (const chart of this.#charts) chart.update(snapshot);
    this.#strip.update(snapshot.incidents, ...this.#shownTime());
    this.#announcer.summary(snapshot.bottleneck.stage, spokenSummary(snapshot));
  }

  /** A service that has just begun is not shown as a sliver at the end of an empty quarter of an hour. */
  #shownTime(): [from: number, to: number] {
    const { t } = this.#seconds;
    const to = t.at(-1) ?? Date.now() / 1000;
    return [Math.max(to - this.#span, Math.min(t[0] ?? to, to - SPANS[0]![0])), to];
  }

  #tellState(state: FeedState): void {
    const element = byId("connection");
    element.textContent = STATES[state];
    element.dataset["state"] = state;
  }

  #bindPause(): void {
    const button = byId("pause");
    button.addEventListener("click", () => {
      this.#feed.paused = !this.#feed.paused;
      button.setAttribute("aria-pressed", String(this.#feed.paused));
      button.textContent = this.#feed.paused ? "Go on" : "Pause";
      this.#announcer.say(this.#feed.paused ? "Paused." : "Live again.");
    });
  }

  #bindSpan(): void {
    const buttons = SPANS.map(([seconds, label, words]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.setAttribute("aria-pressed", String(seconds === this.#span));
      button.addEventListener("click", () => {
        this.#span = seconds;
        for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
        byId("charts-title").textContent = words;
        for (const chart of this.#charts) chart.redraw();
        const snapshot = this.#snapshot;
        if (snapshot !== undefined) this.#strip.update(snapshot.incidents, ...this.#shownTime());
      });
      return button;
    });
    byId("span").append(...buttons);
  }
}

/** Opens the page anew if its URL has a token in it: browsers fetch nothing relative to that, and know the token by now. */
function leavesToken(): boolean {
  const url = new URL(document.URL);
  if (url.username === "" && url.password === "") return false;
  location.replace(url.origin + url.pathname);
  return true;
}

// The page loads it before this script.
const { uPlot: plot } = window as unknown as { readonly uPlot: Plot };
if (!leavesToken()) new LivePage(plot).start();
