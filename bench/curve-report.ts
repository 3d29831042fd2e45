// Prints a target's curve: a table per series, each point beside the first.

import type { Curve, CurvePoint } from "./curve.ts";

const COLUMNS: readonly {
  readonly title: string;
  readonly width: number;
  readonly text: (point: CurvePoint) => string;
}[] = [
  { title: "µs/request", width: 12, text: ({ micros }) => micros.toFixed(1) },
  { title: "ratio (rounds)", width: 25, text: ({ ratio }) => formatRatio(ratio) },
  { title: "requests/s", width: 12, text: ({ requests_per_s }) => whole(requests_per_s) },
  { title: "p50 ms", width: 10, text: ({ p50_ms }) => p50_ms.toFixed(2) },
  { title: "p99 ms", width: 10, text: ({ p99_ms }) => p99_ms.toFixed(2) },
  { title: "RSS MB", width: 8, text: ({ rss_mb }) => whole(rss_mb) },
  { title: "client", width: 8, text: ({ client_cores }) => client_cores.toFixed(2) },
];
const AT_WIDTH = 13;
/** Below this part of the rate, a point's load was another one than its neighbours'. */
const HELD_MIN = 0.97;

export function formatCurve({ target, idle_cores, series }: Curve): string[] {
  return [
    `  ${target}; at rest it takes ${(idle_cores * 100).toFixed(2)} % of a core, which is taken off`,
    ...series.flatMap(({ title, rate, points }) => {
      const how = rate > 0 ? `open loop, ${whole(rate)} requests/s` : "closed loop, as fast as answers come";
      const head = `  ${title.padStart(AT_WIDTH)}${COLUMNS.map(({ title, width }) => title.padStart(width)).join("")}`;
      const lines = points.map((point) => {
        const behind = point.requests_per_s < rate * HELD_MIN ? "  the rate was not held" : "";
        const cells = COLUMNS.map(({ width, text }) => text(point).padStart(width));
        return `  ${whole(point.at).padStart(AT_WIDTH)}${cells.join("")}${behind}`;
      });
      return ["", `  ${title}: ${how}`, head, ...lines];
    }),
  ];
}

function formatRatio({ median, min, max }: CurvePoint["ratio"]): string {
  return `${median.toFixed(2)}x (${min.toFixed(2)} to ${max.toFixed(2)})`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
