// One chart: lines over time on a canvas, and the same in words and numbers beside it.
//
// The table below the drawing is its text alternative and its legend: what each line is called, its value now (or where the
// cursor stands) and its greatest value in the time that is shown. The drawing can be walked with the arrow keys.

import type uPlot from "uplot";
import { html } from "../../pages/html.ts";
import { quantityOf, ticksTo } from "../../pages/units.ts";
import type { LiveIncident, LiveSnapshot } from "../model.ts";
import type { ChartSpec, LineSpec } from "./chart-list.ts";
import type { Colours, ColourName } from "./colours.ts";
import type { Column, Seconds } from "./seconds.ts";

export type Plot = typeof uPlot;

/** Dashes of each line; the colour-blind and the printed page need them. */
const DASHES: readonly (readonly number[])[] = [
  [],
  [7, 3],
  [2, 3],
  [9, 3, 2, 3],
  [4, 4],
  [12, 3],
  [1, 3],
  [6, 2, 1, 2],
];
const HEIGHT = 168;
const SYNC = "sluice";
/** How near to a line one has to point to mean it. */
const NEAR_PX = 6;

export interface ChartContext {
  readonly Plot: Plot;
  readonly colours: Colours;
  readonly seconds: Seconds;
  /** The time that is shown: from and to, in seconds since the epoch. */
  readonly shown: () => readonly [from: number, to: number];
  readonly incidents: () => readonly LiveIncident[];
  /** Says something to those who hear the page. */
  readonly say: (sentence: string) => void;
}

export class Chart {
  readonly root: HTMLElement;
  readonly #spec: ChartSpec;
  readonly #context: ChartContext;
  readonly #holder: HTMLElement;
  readonly #rows: HTMLElement;
  #lines: readonly LineSpec[] = [];
  #plot: uPlot | undefined;
  #cells: { readonly now: HTMLElement; readonly max: HTMLElement }[] = [];
  #top = 1;

  constructor(spec: ChartSpec, context: ChartContext) {
    this.#spec = spec;
    this.#context = context;
    this.root = document.createElement("figure");
    this.root.className = "chart";
    this.root.id = `chart-${spec.id}`;
    this.root.innerHTML = html`<figcaption>
        <h3>${spec.title}</h3>
        <span class="soft">${spec.about}</span>
      </figcaption>
      <div class="plot" tabindex="0" role="img" aria-label="${spec.title}; the table below has the numbers"></div>
      <div class="legend-scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">line</th>
              <th scope="col" class="n at">now</th>
              <th scope="col" class="n">most</th>
            </tr>
          </thead>
          <tbody></tbody>
        </table>
      </div>`.toString();
    this.#holder = this.root.querySelector<HTMLElement>(".plot")!;
    this.#rows = this.root.querySelector<HTMLElement>("tbody")!;
    this.#holder.addEventListener("keydown", (event) => {
      if (this.#walk(event)) event.preventDefault();
    });
    this.#holder.addEventListener("click", (event) => {
      const incident = this.#incidentAt(event.clientX);
      if (incident !== undefined) location.assign(`/debug/incidents/${incident.id}`);
    });
    this.#holder.addEventListener("mousemove", (event) => {
      this.#holder.classList.toggle("at-incident", this.#incidentAt(event.clientX) !== undefined);
    });
    this.#holder.addEventListener("blur", () => {
      this.#plot?.setCursor({ left: -10, top: -10 });
    });
    new ResizeObserver(([entry]) => {
      if (entry !== undefined) this.#plot?.setSize({ width: entry.contentRect.width, height: HEIGHT });
    }).observe(this.#holder);
  }

  /** A second is new. */
  update(snapshot: LiveSnapshot): void {
    const lines = this.#spec.lines(snapshot);
    const same =
      lines.length === this.#lines.length && lines.every(({ column }, i) => column === this.#lines[i]!.column);
    this.root.hidden = lines.length === 0;
    if (!same) this.#build(lines);
    this.#draw();
  }

  /** Colours, the time that is shown, or incidents are others. */
  redraw(): void {
    this.#draw();
    this.#plot?.redraw();
  }

  #build(lines: readonly LineSpec[]): void {
    const { Plot, colours } = this.#context;
    this.#lines = lines;
    this.#plot?.destroy();
    this.#rows.innerHTML = lines
      .map(
        ({ label }, i) =>
          html`<tr>
            <th scope="row">
              <svg class="key" viewBox="0 0 26 8" aria-hidden="true">
                <path class="line line-${i}" stroke-dasharray="${DASHES[i]!.join(" ")}" d="M0 4H26" /></svg
              >${label}
            </th>
            <td class="n">–</td>
            <td class="n soft">–</td>
          </tr>`,
      )
      .join("");
    this.#cells = Array.from(this.#rows.querySelectorAll("tr"), (row) => {
      const [now, max] = row.querySelectorAll("td");
      return { now: now!, max: max! };
    });
    const soft = () => colours.get("soft");
    const grid = { stroke: () => colours.get("edge"), width: 1 };
    const axis = { stroke: soft, grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    this.#plot = new Plot(
      {
        width: Math.max(100, this.#holder.clientWidth),
        height: HEIGHT,
        legend: { show: false },
        cursor: { sync: { key: SYNC }, drag: { x: false, y: false }, points: { size: 6 }, y: false },
        scales: { x: { time: true, range: () => [...this.#context.shown()] }, y: { range: () => [0, this.#top] } },
        axes: [
          {
            ...axis,
            space: 70,
            size: 26,
            values: (_plot, ticks, _axis, _space, step) => ticks.map((t) => clock(t, step < 60)),
          },
          {
            ...axis,
            size: 66,
            gap: 4,
            splits: () => this.#ticks(),
            values: (_plot, ticks) => ticks.map((tick) => quantityOf(tick, this.#spec.unit)),
          },
        ],
        series: [
          {},
          ...lines.map(({ label }, i) => ({
            label,
            stroke: () => colours.get(`line-${i}` as ColourName),
            width: 1.6,
            dash: [...DASHES[i]!],
            points: { show: false },
            spanGaps: false,
          })),
        ],
        hooks: {
          setCursor: [
            () => {
              this.#tell();
            },
          ],
          draw: [
            (plot) => {
              this.#mark(plot);
            },
          ],
        },
      },
      this.#data(),
      this.#holder,
    );
  }

  #data(): uPlot.AlignedData {
    const { seconds } = this.#context;
    return [seconds.t, ...this.#lines.map(({ column }) => seconds.column(column))];
  }

  #first(): number {
    const [from] = this.#context.shown();
    const first = this.#context.seconds.t.findIndex((t) => t >= from);
    return first === -1 ? 0 : first;
  }

  #max(column: Column, first: number): number | null {
    let max: number | null = null;
    for (let i = first; i < column.length; i++) {
      const value = column[i]!;
      if (value !== null && (max === null || value > max)) max = value;
    }
    return max;
  }

  #ticks(): number[] {
    return ticksTo(this.#top, this.#spec.unit);
  }

  #draw(): void {
    const plot = this.#plot;
    if (plot === undefined) return;
    const { seconds } = this.#context;
    const first = this.#first();
    const most = this.#lines.map(({ column }) => this.#max(seconds.column(column), first));
    this.#top = ticksTo(
      most.reduce<number>((max, each) => Math.max(max, each ?? 0), 0),
      this.#spec.unit,
    ).at(-1)!;
    plot.setData(this.#data());
    for (const [i, { max }] of this.#cells.entries()) setText(max, this.#quantity(most[i]!));
    this.#tell();
  }

  /** The values at the cursor, or now. */
  #tell(): void {
    const { seconds } = this.#context;
    const index = this.#plot?.cursor.idx ?? undefined;
    const at = this.root.querySelector<HTMLElement>(".at");
    const time = index === undefined ? undefined : seconds.t[index];
    if (at !== null) setText(at, time === undefined ? "now" : clock(time));
    for (const [i, { now }] of this.#cells.entries()) {
      const column = seconds.column(this.#lines[i]!.column);
      setText(now, this.#quantity((index === undefined ? column.at(-1) : column[index]) ?? null));
    }
  }

  #quantity(value: number | null): string {
    return value === null ? "–" : quantityOf(value, this.#spec.unit);
  }

  /** Lines where incidents are. */
  #mark(plot: uPlot): void {
    const { ctx, bbox } = plot;
    const [from, to] = this.#context.shown();
    ctx.save();
    ctx.strokeStyle = this.#context.colours.get("mark");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const { atMs } of this.#context.incidents()) {
      if (atMs / 1000 < from || atMs / 1000 > to) continue;
      const x = Math.round(plot.valToPos(atMs / 1000, "x", true));
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  /** The incident whose line is there. @param clientX in pixels of the window. */
  #incidentAt(clientX: number): LiveIncident | undefined {
    const plot = this.#plot;
    if (plot === undefined) return undefined;
    const x = clientX - plot.over.getBoundingClientRect().left;
    return this.#context.incidents().find(({ atMs }) => Math.abs(plot.valToPos(atMs / 1000, "x") - x) <= NEAR_PX);
  }

  /** Moves the cursor as a key says. @returns whether it was such a key. */
  #walk({ key, shiftKey }: KeyboardEvent): boolean {
    const plot = this.#plot;
    if (plot === undefined) return false;
    const { t } = this.#context.seconds;
    const at = plot.cursor.idx ?? t.length - 1;
    const step = shiftKey ? 30 : 1;
    const target = { ArrowLeft: at - step, ArrowRight: at + step, Home: this.#first(), End: t.length - 1 }[key];
    if (key === "Escape") {
      plot.setCursor({ left: -10, top: -10 });
      return true;
    }
    if (target === undefined || t.length === 0) return false;
    const index = Math.max(this.#first(), Math.min(t.length - 1, target));
    plot.setCursor({ left: plot.valToPos(t[index]!, "x"), top: 10 });
    const values = this.#lines.map(({ label }, i) => `${label} ${this.#cells[i]!.now.textContent}`);
    this.#context.say(`${clock(t[index]!)}: ${values.join(", ")}`);
    return true;
  }
}

function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** `14:05:09`, in the reader's time. */
function clock(seconds: number, withSeconds = true): string {
  const text = new Date(seconds * 1000).toLocaleTimeString("en-GB");
  return withSeconds ? text : text.slice(0, 5);
}
