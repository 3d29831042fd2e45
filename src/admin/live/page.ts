// GET /: the page as it is now, complete without its script, which then keeps it up to date.
//
// The first paint needs nothing but this and a stylesheet: numbers and tables are written here. Without scripts the browser
// loads the page again every few seconds; with them, charts and a stream of seconds come in.

import { html, type Html } from "../pages/html.ts";
import { utc } from "../pages/units.ts";
import { flameGraphLink } from "../speedscope.ts";
import { CHARTS_PATH, ENTRY_PATH, modulePaths, STYLESHEETS } from "./assets.ts";
import type { LiveSnapshot } from "./model.ts";
import { numberTiles } from "./view/numbers.ts";
import { bottleneckBox, problemList, statusBadge } from "./view/status.ts";
import { brokerTable, callerTable, incidentTable, ledgerTable, partitionTable, workerTable } from "./view/tables.ts";

/** Our own scripts and styles, from files; nothing within the page, nothing from elsewhere; nobody frames it. */
export const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

const MODULES = modulePaths();

const LINKS: readonly (readonly [href: string, text: string])[] = [
  ["/debug/incidents", "Incidents"],
  ["/debug/pprof/", "Profiles"],
  [flameGraphLink("/debug/pprof/profile?past=300&format=speedscope", "CPU, the last 5 minutes"), "Flame graph, 5 min"],
  ["/metrics", "Metrics"],
  ["/readyz", "Readiness"],
  ["/healthz", "Liveness"],
];

/** A part of the page with a table that the script replaces; it scrolls within itself where it is wider than the page. */
function section(id: string, title: string, about: string, table: Html): Html {
  return html`<section class="panel" aria-labelledby="${id}-title">
    <h2 id="${id}-title">${title}</h2>
    <p class="soft">${about}</p>
    <div class="wide" tabindex="0" role="group" aria-labelledby="${id}-title"><div id="${id}">${table}</div></div>
  </section>`;
}

function tailPanel(tail: boolean): Html {
  const body = tail
    ? html`<form id="tail-form">
          <label for="tail-topic">Topic</label>
          <input id="tail-topic" name="topic" autocomplete="off" spellcheck="false" maxlength="249" required />
          <button type="submit" id="tail-button">Show</button>
        </form>
        <p class="soft" id="tail-state" role="status">
          At most 20 events a second, from now on. Payloads are shown as they are.
        </p>
        <div class="wide" tabindex="0" role="group" aria-labelledby="tail-title"><ol id="tail-lines"></ol></div>`
    : html`<p class="soft">
        Off: payloads are shown nowhere. To see events of a topic here as they come in, start the service with
        <code>ADMIN_TAIL=true</code>; or run <code>sluice tail --topic NAME --follow</code> where it runs.
      </p>`;
  return html`<section class="panel" aria-labelledby="tail-title">
    <h2 id="tail-title">Tail of a topic</h2>
    ${body}
  </section>`;
}

export function livePage(snapshot: LiveSnapshot): string {
  const { service, atMs, tail } = snapshot;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>sluice on ${service.host}</title>
        <link rel="icon" href="data:," />
        ${STYLESHEETS.map((href) => html`<link rel="stylesheet" href="${href}" />`)}
        ${MODULES.map((href) => html`<link rel="modulepreload" href="${href}" />`)}
        <noscript><meta http-equiv="refresh" content="5" /></noscript>
        <script defer src="${CHARTS_PATH}"></script>
        <script type="module" src="${ENTRY_PATH}"></script>
      </head>
      <body>
        <a class="skip" href="#main">Skip to the numbers</a>
        <header>
          <div class="title">
            <h1>sluice <span class="soft">on ${service.host}</span></h1>
            <div id="status">${statusBadge(snapshot)}</div>
          </div>
          <nav aria-label="Pages">${LINKS.map(([href, text]) => html`<a href="${href}">${text}</a>`)}</nav>
          <div class="controls" id="controls" hidden>
            <span class="soft" id="connection">connecting</span>
            <button type="button" id="pause" aria-pressed="false">Pause</button>
            <div class="choice" role="group" aria-label="Time shown" id="span"></div>
            <label class="pick"
              ><span class="hidden">Colours</span
              ><select id="theme" aria-label="Colours">
                <option value="auto">Colours: system</option>
                <option value="light">Colours: light</option>
                <option value="dark">Colours: dark</option>
              </select></label
            >
          </div>
        </header>
        <main id="main" tabindex="-1">
          <section aria-label="Now" class="now">
            <div id="bottleneck" class="bottleneck">${bottleneckBox(snapshot)}</div>
            <div id="problems">${problemList(snapshot)}</div>
            <dl id="numbers" class="tiles">${numberTiles(snapshot)}</dl>
          </section>
          <section aria-labelledby="charts-title">
            <h2 id="charts-title">The last fifteen minutes</h2>
            <noscript><p class="soft">Charts need scripts. The numbers are new every 5 s.</p></noscript>
            <nav id="strip" class="strip" aria-label="Incidents on the axis of time" hidden></nav>
            <div id="charts" class="charts"></div>
          </section>
          <div class="panels">
            ${section("workers", "Workers", "Side by side. Load is a share of the work of 10 s, over the mean: 1 is even.", workerTable(snapshot))}
            ${section("brokers", "Kafka brokers", "Times are of Produce requests, of the last 5 s.", brokerTable(snapshot))}
            ${section("partitions", "Kafka partitions", "Those with the most to do, over all workers; new every 5 s.", partitionTable(snapshot))}
            ${section("callers", "Callers", "By address and certificate; new every 5 s.", callerTable(snapshot))}
            ${section("incidents", "Incidents", "Of the last fifteen minutes, each with its bundle and flame graph.", incidentTable(snapshot))}
            ${section("ledger", "Ledger", "Every event is accounted for: received = stored + failed + in flight; persisted + recovered = forwarded + dead-lettered + spooled.", ledgerTable(snapshot))}
            ${tailPanel(tail)}
          </div>
        </main>
        <footer class="soft">
          sluice ${service.version}, Node.js ${service.nodeVersion}, up since
          <time datetime="${new Date(service.startedAtMs).toISOString()}">${utc(service.startedAtMs)}</time>; numbers of
          <time id="at" datetime="${new Date(atMs).toISOString()}">${utc(atMs)}</time>
        </footer>
        <p id="announce" class="hidden" role="status" aria-live="polite"></p>
      </body>
    </html> `.toString();
}
