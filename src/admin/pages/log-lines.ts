// The last log lines of an incident, as a table.

import { html, type Html } from "./html.ts";

const LINES_MAX = 100;

/** @param text one JSON object a line, oldest first. Undefined if there is none. */
export function logTable(text: string): Html | undefined {
  const lines = text.split("\n").filter((line) => line !== "");
  if (lines.length === 0) return undefined;
  const rest = lines.length - LINES_MAX;
  return html`${rest > 0 ? html`<p class="soft">The last ${LINES_MAX} of ${lines.length} lines; log.ndjson has all.</p>` : undefined}
    <div class="wide">
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">time</th>
            <th scope="col">process</th>
            <th scope="col">level</th>
            <th scope="col">line</th>
          </tr>
        </thead>
        <tbody>
          ${lines.slice(-LINES_MAX).map(row)}
        </tbody>
      </table>
    </div>`;
}

function row(line: string): Html {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return html`<tr>
      <td></td>
      <td></td>
      <td></td>
      <td class="code">${line}</td>
    </tr>`;
  }
  const { time, level, process, msg, pid: _pid, ...rest } = fields;
  const at = new Date(typeof time === "number" || typeof time === "string" ? time : Number.NaN);
  const when = Number.isNaN(at.getTime()) ? "" : at.toISOString().slice(11, 23);
  const who = textOf(process);
  const more = Object.keys(rest).length === 0 ? "" : JSON.stringify(rest);
  return html`<tr>
    <td class="time">${when}</td>
    <td>${who}</td>
    <td>${textOf(level)}</td>
    <td class="code"><strong>${textOf(msg)}</strong> <span class="soft">${more}</span></td>
  </tr> `;
}

function textOf(value: unknown): string {
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
