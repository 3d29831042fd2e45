// GET /: what there is to look at, and whether the ledger sums up.

import { hostname } from "node:os";
import { type Ledger, mismatches, sumOfLedgers } from "../telemetry/ledger.ts";
import type { AdminState } from "./state.ts";

const ENDPOINTS: readonly (readonly [path: string, meaning: string])[] = [
  ["/metrics", "metrics of all processes, for Prometheus"],
  ["/readyz", "does it take events, and if not, why"],
  ["/healthz", "is it alive"],
  ["/debug/incidents", "what went wrong, with its profiles, charts and log lines"],
  ["/debug/pprof/", "profiles, for go tool pprof"],
];

/** Text as HTML shows it. */
export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

export function htmlPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${escapeHtml(title)}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem;max-width:70rem}td{padding-right:2rem}td.n{text-align:right}th{text-align:left;padding-right:2rem}</style>
<h1>${escapeHtml(title)}</h1>
${body}
</html>
`;
}

export function page(state: AdminState): string {
  const { ready, problems } = state.readiness();
  const items = problems.map(({ worker, reason }) => (worker === undefined ? reason : `worker ${worker}: ${reason}`));
  const status = `<p>${ready ? "ready" : "not ready"}</p>
<ul>${items.map((item) => `<li>${escapeHtml(item)}</li>`).join("")}</ul>`;
  const endpoints = ENDPOINTS.map(
    ([path, meaning]) => `<tr><td><a href="${path}">${path}</a></td><td>${escapeHtml(meaning)}</td></tr>`,
  );
  return htmlPage(
    `sluice on ${hostname()}`,
    `${status}
<table>${endpoints.join("\n")}</table>
<h2>Ledger</h2>
${ledgerTable(state.ledger())}`,
  );
}

const TERMS: readonly (readonly [term: keyof Ledger, heading: string])[] = [
  ["received", "received"],
  ["stored", "stored"],
  ["failed", "failed"],
  ["inFlight", "in flight"],
  ["persisted", "persisted"],
  ["recovered", "recovered"],
  ["forwarded", "forwarded"],
  ["deadLettered", "dead-lettered"],
  ["spooled", "spooled"],
];

/** A row for each topic, and their sum. */
function ledgerTable(topics: ReadonlyMap<string, Ledger>): string {
  const rows: (readonly [string, Ledger])[] = [...topics].sort(([a], [b]) => (a < b ? -1 : 1));
  const headings = ["topic", ...TERMS.map(([, heading]) => heading), ""].map((heading) => `<th>${heading}</th>`);
  const body = [...rows, ["all topics", sumOfLedgers(topics.values())] as const].map(([topic, ledger]) => {
    const amounts = TERMS.map(([term]) => `<td class="n">${ledger[term]}</td>`).join("");
    const verdict = mismatches(ledger).length === 0 ? "agrees" : "does not agree";
    return `<tr><td>${escapeHtml(topic)}</td>${amounts}<td>${verdict}</td></tr>`;
  });
  return `<table><tr>${headings.join("")}</tr>
${body.join("\n")}</table>`;
}
