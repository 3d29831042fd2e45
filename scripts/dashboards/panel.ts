// Panels as Grafana's JSON has them, and their places.

import type { Query } from "./query.ts";

/** Grafana's units. */
export type Unit = "s" | "bytes" | "Bps" | "cps" | "short" | "percentunit" | "dateTimeFromNow" | "none";

interface Common {
  readonly title: string;
  readonly description: string;
  /** Of the 24 columns of a row. */
  readonly width: number;
  readonly height?: number;
}

export type Panel = Common &
  (
    | {
        readonly kind: "lines";
        readonly unit: Unit;
        readonly queries: readonly Query[];
        readonly stacked?: boolean;
        readonly bars?: boolean;
        /** A line from which on it is too much. */
        readonly limit?: number;
      }
    | {
        readonly kind: "number";
        readonly unit: Unit;
        readonly query: Query;
        /** From where on it is yellow and red; red alone if both are the same. */
        readonly bad?: readonly [warning: number, error: number];
        /** Red below. */
        readonly badBelow?: number;
      }
    | { readonly kind: "heatmap"; readonly unit: Unit; readonly query: Query }
    /** The labels of what there is now. */
    | { readonly kind: "table"; readonly query: Query; readonly hide: readonly string[]; readonly link?: TableLink }
  );

/** Makes the values of a column links. */
export interface TableLink {
  readonly column: string;
  readonly title: string;
  readonly url: string;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly collapsed?: boolean;
}

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export const DATASOURCE = { type: "prometheus", uid: "${datasource}" } as const;

const HEIGHT = 8;
const COLUMNS = 24;
const GREEN = { color: "green", value: null };

/** Rows and panels one below the other, with ids that follow from the order. */
export function layout(rows: readonly Row[]): Json[] {
  const laid: Json[] = [];
  let y = 0;
  let id = 1;
  for (const { title, panels, collapsed = false } of rows) {
    const row = { id: id++, type: "row", title, collapsed, gridPos: { x: 0, y: y++, w: COLUMNS, h: 1 } };
    const inside: Json[] = [];
    let x = 0;
    let tallest = 0;
    for (const panel of panels) {
      const { width, height = HEIGHT } = panel;
      if (x + width > COLUMNS) {
        x = 0;
        y += tallest;
        tallest = 0;
      }
      inside.push({ id: id++, ...render(panel), gridPos: { x, y, w: width, h: height } });
      x += width;
      tallest = Math.max(tallest, height);
    }
    y += tallest;
    // A collapsed row has its panels inside, an open one before those of the next.
    laid.push({ ...row, panels: collapsed ? inside : [] }, ...(collapsed ? [] : inside));
  }
  return laid;
}

function render(panel: Panel): { readonly [key: string]: Json } {
  const { title, description } = panel;
  return { title, description, datasource: DATASOURCE, ...body(panel) };
}

function body(panel: Panel): { readonly [key: string]: Json } {
  switch (panel.kind) {
    case "lines":
      return lines(panel);
    case "number":
      return number(panel);
    case "heatmap":
      return {
        type: "heatmap",
        targets: [target({ ...panel.query, legend: "{{le}}" }, 0, { format: "heatmap" })],
        options: {
          calculate: false,
          cellGap: 1,
          color: { mode: "scheme", scheme: "Turbo", steps: 64 },
          legend: { show: true },
          tooltip: { mode: "single" },
          yAxis: { unit: panel.unit, axisPlacement: "left" },
        },
        fieldConfig: { defaults: {}, overrides: [] },
      };
    case "table":
      return table(panel);
  }
}

function lines(panel: Panel & { readonly kind: "lines" }): { readonly [key: string]: Json } {
  const { unit, queries, stacked = false, bars = false, limit } = panel;
  const steps = [GREEN, ...(limit === undefined ? [] : [{ color: "red", value: limit }])];
  return {
    type: "timeseries",
    targets: queries.map((query, i) => target(query, i)),
    fieldConfig: {
      defaults: {
        unit,
        ...(unit === "dateTimeFromNow" ? {} : { min: 0 }),
        color: { mode: "palette-classic" },
        custom: {
          drawStyle: bars ? "bars" : "line",
          fillOpacity: stacked || bars ? 60 : 8,
          lineWidth: 1,
          showPoints: "never",
          spanNulls: false,
          stacking: { mode: stacked ? "normal" : "none", group: "A" },
          thresholdsStyle: { mode: limit === undefined ? "off" : "dashed" },
        },
        thresholds: { mode: "absolute", steps },
      },
      overrides: [],
    },
    options: {
      legend: { displayMode: "list", placement: "bottom", showLegend: true, calcs: [] },
      tooltip: { mode: "multi", sort: "desc" },
    },
  };
}

function number(panel: Panel & { readonly kind: "number" }): { readonly [key: string]: Json } {
  const { unit, query, bad, badBelow } = panel;
  const steps: Json[] = badBelow === undefined ? [GREEN] : [{ color: "red", value: null }];
  if (badBelow !== undefined) steps.push({ color: "green", value: badBelow });
  if (bad !== undefined && bad[0] !== bad[1]) steps.push({ color: "orange", value: bad[0] });
  if (bad !== undefined) steps.push({ color: "red", value: bad[1] });
  const isJudged = bad !== undefined || badBelow !== undefined;
  return {
    type: "stat",
    targets: [target(query, 0)],
    fieldConfig: { defaults: { unit, thresholds: { mode: "absolute", steps } }, overrides: [] },
    options: {
      colorMode: isJudged ? "background" : "value",
      graphMode: "area",
      justifyMode: "auto",
      orientation: "auto",
      reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
      textMode: "auto",
    },
  };
}

function table(panel: Panel & { readonly kind: "table" }): { readonly [key: string]: Json } {
  const { query, hide, link } = panel;
  const linked = (of: TableLink): Json => ({
    matcher: { id: "byName", options: of.column },
    properties: [{ id: "links", value: [{ title: of.title, url: of.url, targetBlank: true }] }],
  });
  return {
    type: "table",
    targets: [target(query, 0, { format: "table", instant: true, range: false })],
    fieldConfig: { defaults: {}, overrides: link === undefined ? [] : [linked(link)] },
    options: { showHeader: true, cellHeight: "sm" },
    transformations: [
      {
        id: "organize",
        options: {
          excludeByName: Object.fromEntries(["Time", "Value", "__name__", ...hide].map((name) => [name, true])),
        },
      },
    ],
  };
}

function target(
  { expr, legend, exemplars = false }: Query,
  index: number,
  more: { readonly [key: string]: Json } = {},
): Json {
  return {
    refId: String.fromCodePoint("A".codePointAt(0)! + index),
    datasource: DATASOURCE,
    editorMode: "code",
    expr,
    legendFormat: legend === "" ? "__auto" : legend,
    range: true,
    ...(exemplars ? { exemplar: true } : {}),
    ...more,
  };
}
