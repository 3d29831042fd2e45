// The heaviest functions of a profile, as a table.

import type { Stacks } from "../../profiling/stacks.ts";
import { heaviestFunctions, quantity } from "../../profiling/text.ts";
import { html, type Html } from "./html.ts";

/** @param type which of the sample types, by its index. Undefined if the profile holds none of it. */
export function functionsTable(stacks: Stacks, type: number, rowsMax: number): Html | undefined {
  const { unit = "" } = stacks.types[type] ?? {};
  const functions = heaviestFunctions(stacks, type).filter(({ flat }) => flat > 0);
  const total = functions.reduce((sum, { flat }) => sum + flat, 0);
  if (total === 0) return undefined;
  const percent = (value: number) => `${((value / total) * 100).toFixed(1)} %`;
  const rows = functions.slice(0, rowsMax).map(({ frame, flat, cumulative }) => {
    const place = frame.file === "" ? "" : frame.line === 0 ? frame.file : `${frame.file}:${frame.line}`;
    const width = ((flat / total) * 100).toFixed(1);
    return html`<tr>
      <td class="bar roomy">
        <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
          <rect width="${width}" height="10" />
        </svg>
      </td>
      <td class="n roomy">${quantity(flat, unit)}</td>
      <td class="n">${percent(flat)}</td>
      <td class="n">${percent(cumulative)}</td>
      <td class="code"><strong>${frame.name}</strong> <span class="soft">${place}</span></td>
    </tr> `;
  });
  return html`<div class="wide">
    <table>
      <thead>
        <tr>
          <th scope="col" class="roomy">share</th>
          <th scope="col" class="roomy">itself</th>
          <th scope="col">itself %</th>
          <th scope="col">with callees %</th>
          <th scope="col">function</th>
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`;
}
