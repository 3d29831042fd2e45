// The native threads of a process, as a table, the busiest first.

import type { ThreadUsage } from "../../profiling/threads.ts";
import { html, type Html } from "./html.ts";
import { quantityOf } from "./units.ts";

const ROWS_MAX = 20;

/** @param threads rows of ThreadUsage. Undefined if they are none. */
export function threadTable(threads: unknown): Html | undefined {
  if (!Array.isArray(threads) || threads.length === 0) return undefined;
  const cpu = ({ cpuUserSeconds, cpuSystemSeconds }: ThreadUsage) => cpuUserSeconds + cpuSystemSeconds;
  const busiest = [...(threads as ThreadUsage[])].sort((a, b) => cpu(b) - cpu(a)).slice(0, ROWS_MAX);
  const headings = ["thread", "id", "CPU", "of it system", "waited for a core", "gave up the core", "lost the core"];
  return html`<div class="wide">
    <table>
      <thead>
        <tr>
          ${headings.map((heading) => html`<th scope="col">${heading}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${busiest.map((thread) => {
          const { name, tid, cpuSystemSeconds, runQueueSeconds, voluntarySwitches, involuntarySwitches } = thread;
          const seconds = [cpu(thread), cpuSystemSeconds, runQueueSeconds].map((value) =>
            value === undefined ? "–" : quantityOf(value, "seconds"),
          );
          const counts = [voluntarySwitches, involuntarySwitches].map((value) => quantityOf(value, "count"));
          return html`<tr>
            <th scope="row">${name}</th>
            <td class="n">${tid}</td>
            ${[...seconds, ...counts].map((text) => html`<td class="n">${text}</td>`)}
          </tr> `;
        })}
      </tbody>
    </table>
  </div>`;
}
