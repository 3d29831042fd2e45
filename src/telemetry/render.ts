// Renders the metrics of all processes as one scrape, in Prometheus' text format or in OpenMetrics.
//
// Every series is told once: a metric that is told per worker carries a `worker` label, the others are added up. Topics and
// callers beyond a limit are added up as `other`, here for all workers, which may each have names that the others have not.
//
// A scrape of 500 topics and 8 workers is 100,000 lines. What is rendered are the values of one moment, which are immutable; so
// the work is done in slices, and between them the event loop turns: whoever waits for the supervisor, waits for a slice.

import { END_OF_OPEN_METRICS, MetricText, OPEN_METRICS_TYPE, TEXT_TYPE } from "./exposition.ts";
import type { MetricDefinition, MetricSnapshot, Series } from "./instruments.ts";
import type { LabelLimit } from "./label-limit.ts";
import { SeriesSum } from "./series-sum.ts";
import { TextBuffer } from "./text-buffer.ts";

/** The metrics of one process, or of all that lived in its place before it. */
export interface ProcessSnapshot {
  /** The value of its `worker` label; those of one value are added up. */
  readonly worker: string;
  readonly metrics: readonly MetricSnapshot[];
}

export interface Rendered {
  readonly contentType: string;
  readonly body: string | Uint8Array;
}

/** How long the event loop may wait for one slice, about, in milliseconds. */
const SLICE_MS = 5;
/** Series between two looks at the clock. */
const SERIES_BETWEEN = 64;

/** The next scrape is probably about as long as the last one; bytes. */
let expectedBytes = 64 << 10;

/** Lets the event loop turn when the time of a slice is over. */
class Slices {
  #sinceMs = performance.now();
  #series = 0;

  /** To be asked for each series. */
  get isOver(): boolean {
    return ++this.#series % SERIES_BETWEEN === 0 && performance.now() - this.#sinceMs >= SLICE_MS;
  }

  async next(): Promise<void> {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    this.#sinceMs = performance.now();
  }
}

/**
 * @param definitions every metric there may be; one without a series is left out.
 * @param processes each of their metrics told once.
 * @param limits of labels that have one.
 */
export async function renderMetrics(
  definitions: readonly MetricDefinition[],
  processes: readonly ProcessSnapshot[],
  openMetrics: boolean,
  limits: Readonly<Record<string, LabelLimit>> = {},
): Promise<Rendered> {
  const slices = new Slices();
  const workers = Map.groupBy(
    processes.map(({ worker, metrics }) => ({
      worker,
      series: new Map(metrics.map(({ name, series }) => [name, series])),
    })),
    ({ worker }) => worker,
  );
  const out = new TextBuffer(expectedBytes);
  for (const definition of definitions) {
    const { name, perWorker } = definition;
    const text = new MetricText(definition, openMetrics, out);
    const sum = new SeriesSum(definition.labels.map((label) => limits[label]));
    let isFirst = true;
    const write = ([labels, value, exemplars]: Series, worker?: string): void => {
      if (isFirst) text.head();
      isFirst = false;
      text.series(labels, worker, value, exemplars);
    };
    for (const [worker, those] of workers) {
      const lists = those.map(({ series }) => series.get(name)).filter((list) => list !== undefined);
      for (const list of lists) {
        for (const series of list) {
          if (perWorker && lists.length === 1 && !sum.folds(series[0])) write(series, worker);
          else sum.add(series);
          if (slices.isOver) await slices.next();
        }
      }
      if (!perWorker) continue;
      for (const series of sum.take()) {
        write(series, worker);
        if (slices.isOver) await slices.next();
      }
    }
    for (const series of sum.take()) {
      write(series);
      if (slices.isOver) await slices.next();
    }
  }
  if (openMetrics) out.text(END_OF_OPEN_METRICS);
  expectedBytes = Math.ceil(out.length * 1.1);
  return { contentType: openMetrics ? OPEN_METRICS_TYPE : TEXT_TYPE, body: out.view() };
}
