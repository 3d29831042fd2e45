// The page /debug/incidents: what happened, the newest first.

import type { Incident } from "../../incidents/incident.ts";
import { CRUMBS, documentOf } from "./document.ts";
import { html, type Html } from "./html.ts";
import { titleOf } from "./kinds.ts";
import { quantityOf, utc } from "./units.ts";

const HOW =
  "The service records one by itself when a worker crashes, is stuck, runs out of memory or does not respond, and when a metric leaves what is usual.";

/** @param incidents the newest first. */
export function incidentListPage(incidents: readonly Incident[]): string {
  const main =
    incidents.length === 0
      ? html`<p>No incidents are recorded. ${HOW} To record one now:</p>`
      : html`<p class="soft">${HOW} The oldest go when there are too many. To record one now:</p>`;
  return documentOf(
    "Incidents",
    [CRUMBS.home, CRUMBS.profiles],
    html`${main}
      <pre>curl -X POST 'http://…/debug/incidents?why=it+feels+slow'</pre>
      ${incidents.length === 0 ? undefined : tableOf(incidents)}`,
  );
}

function tableOf(incidents: readonly Incident[]): Html {
  const rows = incidents.map(({ id, kind, worker, atMs, why, state, files, notes }) => {
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    return html`<tr>
      <td class="time"><time datetime="${new Date(atMs).toISOString()}">${utc(atMs)}</time></td>
      <td>
        <a href="/debug/incidents/${id}">${titleOf({ kind, worker })}</a>
        ${state === "recording" ? badge(state) : undefined}
      </td>
      <td>${why}${notes.length === 0 ? undefined : html` <span class="soft">and ${notes.length} more</span>`}</td>
      <td class="n">
        <a href="/debug/incidents/${id}.tar.gz" aria-label="Download ${id}">${quantityOf(bytes, "bytes")}</a>
      </td>
    </tr> `;
  });
  return html`<table class="cards">
    <thead>
      <tr>
        <th scope="col">when</th>
        <th scope="col">what</th>
        <th scope="col">why</th>
        <th scope="col">bundle</th>
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
}

/** Whether files are still added to it. */
export function badge(state: Incident["state"]): Html {
  return html`<span class="badge ${state}">${state === "recording" ? "still recording" : "complete"}</span>`;
}
