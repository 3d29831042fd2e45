// A chart of one metric over time, a line for each process, as SVG that the server makes: pages have no script.
//
// The drawing has a title and a description for those who hear it; the numbers are in a table below it, folded. Lines differ
// in their dashes as well as in colour. A pixel stands for the greatest value of its time: what is looked for is the peak.

import { html, type Html } from "./html.ts";
import { processName } from "./process-name.ts";
import { quantityOf, ticksTo, type Unit } from "./units.ts";

export interface Line {
  /** The process. */
  readonly name: string;
  /** Milliseconds since the epoch, ascending. */
  readonly t: readonly number[];
  /** One for each time; not a number: not known then. */
  readonly values: readonly (number | null)[];
}

export interface ChartOptions {
  readonly title: string;
  readonly unit: Unit;
  readonly lines: readonly Line[];
  readonly fromMs: number;
  readonly toMs: number;
  /** The time that it is about, marked by a vertical line. */
  readonly atMs: number;
  /** The process that it is about, whose line lies on top. */
  readonly worker: string | undefined;
}

const WIDTH = 460;
const HEIGHT = 170;
const LEFT = 66;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 22;
const PLOT_WIDTH = WIDTH - LEFT - RIGHT;
const PLOT_HEIGHT = HEIGHT - TOP - BOTTOM;
/** A longer silence is a gap in the line: the process was not there, or said nothing. */
const GAP_MS = 5_000;
/** Colours and dashes of the stylesheet; more lines than these share the last. */
export const STYLES = 8;

const TIME_STEPS_MS = [5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000];

interface Point {
  readonly atMs: number;
  readonly value: number;
}

/** The greatest value of each pixel's time. */
function thinned({ t, values }: Line, fromMs: number, toMs: number): Point[] {
  const width = Math.max(1, (toMs - fromMs) / PLOT_WIDTH);
  const points: Point[] = [];
  let bucket = -1;
  for (const [i, atMs] of t.entries()) {
    const value = values[i];
    if (typeof value !== "number" || !Number.isFinite(value) || atMs < fromMs || atMs > toMs) continue;
    const its = Math.floor((atMs - fromMs) / width);
    const last = points.at(-1);
    if (its !== bucket || last === undefined) points.push({ atMs, value });
    else if (value > last.value) points[points.length - 1] = { atMs: last.atMs, value };
    bucket = its;
  }
  return points;
}

/** `−5 min`, `+30 s` */
function relative(ms: number): string {
  if (ms === 0) return "0";
  const sign = ms < 0 ? "−" : "+";
  const seconds = Math.abs(ms) / 1000;
  return seconds % 60 === 0 ? `${sign}${seconds / 60} min` : `${sign}${seconds} s`;
}

/** Times of the axis, counted from the incident. */
function timeTicks(fromMs: number, toMs: number, atMs: number): number[] {
  const step = TIME_STEPS_MS.find((each) => (toMs - fromMs) / each <= 6) ?? TIME_STEPS_MS.at(-1)!;
  const first = Math.ceil((fromMs - atMs) / step) * step;
  const ticks: number[] = [];
  for (let tick = first; atMs + tick <= toMs; tick += step) ticks.push(tick);
  return ticks;
}

interface Summary {
  readonly before: number | undefined;
  readonly maxBefore: number | undefined;
  readonly at: number | undefined;
  readonly maxAfter: number | undefined;
}

function summaryOf({ t, values }: Line, atMs: number): Summary {
  let sum = 0;
  let count = 0;
  let maxBefore: number | undefined;
  let at: number | undefined;
  let maxAfter: number | undefined;
  for (const [i, time] of t.entries()) {
    const value = values[i];
    if (typeof value !== "number" || !Number.isFinite(value)) continue;
    if (time <= atMs) {
      sum += value;
      count += 1;
      maxBefore = Math.max(maxBefore ?? value, value);
      at = value;
    } else maxAfter = Math.max(maxAfter ?? value, value);
  }
  return { before: count === 0 ? undefined : sum / count, maxBefore, at, maxAfter };
}

export function chart(options: ChartOptions): Html {
  const { title, unit, lines, fromMs, toMs, atMs, worker } = options;
  const x = (ms: number) => (LEFT + ((ms - fromMs) / Math.max(1, toMs - fromMs)) * PLOT_WIDTH).toFixed(1);
  const drawn = lines.map((line, i) => ({ line, style: Math.min(i, STYLES - 1), points: thinned(line, fromMs, toMs) }));
  const max = drawn.flatMap(({ points }) => points).reduce((most, { value }) => Math.max(most, value), 0);
  const ticks = ticksTo(max, unit);
  const y = (value: number) => (TOP + (1 - Math.max(0, value) / ticks.at(-1)!) * PLOT_HEIGHT).toFixed(1);
  const path = (points: readonly Point[]) =>
    points
      .map(({ atMs, value }, i) => {
        const before = points[i - 1];
        const isStart =
          before === undefined || atMs - before.atMs > Math.max(GAP_MS, ((toMs - fromMs) / PLOT_WIDTH) * 3);
        return `${isStart ? "M" : "L"}${x(atMs)} ${y(value)}`;
      })
      .join("");
  // The guilty one is drawn last, on top of the others.
  const order = [...drawn].sort((a, b) => Number(a.line.name === worker) - Number(b.line.name === worker));
  const summaries = lines.map((line) => ({ line, ...summaryOf(line, atMs) }));
  const cell = (value: number | undefined) => (value === undefined ? "–" : quantityOf(value, unit));
  const about = summaries.find(({ line }) => line.name === worker);
  const said =
    about === undefined
      ? `Of ${lines.length} processes; the greatest value is ${quantityOf(max, unit)}.`
      : `${processName(about.line.name)}: ${cell(about.before)} on average before the incident, ${cell(about.at)} at it, ${cell(about.maxAfter)} at most after it.`;
  return html`<figure class="chart">
    <figcaption>
      <h3>${title}</h3>
      <p>${said}</p>
    </figcaption>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">
      <title>${title}</title>
      <desc>${said}</desc>
      ${ticks.map((tick) => html`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(tick)}" y2="${y(tick)}" /><text class="tick" text-anchor="end" x="${LEFT - 6}" y="${y(tick)}" dy="0.35em">${quantityOf(tick, unit)}</text>`)}
      ${timeTicks(fromMs, toMs, atMs).map((tick) => html`<text class="tick" text-anchor="middle" x="${x(atMs + tick)}" y="${HEIGHT - 6}">${relative(tick)}</text>`)}
      <line class="mark" x1="${x(atMs)}" x2="${x(atMs)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" />
      ${order.map(({ line, style, points }) => html`<path class="line line-${style}${line.name === worker ? " guilty" : ""}" d="${path(points)}" />`)}
    </svg>
    <details>
      <summary>Numbers</summary>
      <div class="wide">
        <table>
          <thead>
            <tr>
              <th scope="col">process</th>
              <th scope="col">mean before</th>
              <th scope="col">most before</th>
              <th scope="col">at it</th>
              <th scope="col">most after</th>
            </tr>
          </thead>
          <tbody>
            ${summaries.map(
              ({ line, before, maxBefore, at, maxAfter }) =>
                html`<tr>
                  <th scope="row">${processName(line.name)}</th>
                  ${[before, maxBefore, at, maxAfter].map((value) => html`<td class="n">${cell(value)}</td>`)}
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
    </details>
  </figure>`;
}

/** What the lines are, for all charts of a page at once. */
export function legend(names: readonly string[], worker: string | undefined): Html {
  return html`<ul class="legend">
    ${names.map(
      (name, i) =>
        html`<li>
          <svg viewBox="0 0 28 8" aria-hidden="true">
            <path class="line line-${Math.min(i, STYLES - 1)}${name === worker ? " guilty" : ""}" d="M0 4H28" />
          </svg>
          ${processName(name)}
        </li>`,
    )}
  </ul>`;
}
