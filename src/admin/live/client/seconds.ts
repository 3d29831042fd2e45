// The seconds that the page has: columns of values over one axis of time, from the first snapshot and every message since.
//
// Invariants: at most fifteen minutes; times ascend; a column that appears later is unknown before. A gap in time (the service
// was started again, the computer slept) has an empty second, so that no line is drawn across it.

import type { LiveHistory } from "../model.ts";

export type Column = (number | null)[];

const SECONDS_MAX = 900;
const GAP_MS = 4_000;

export class Seconds {
  /** When each second ended, in seconds since the epoch, as charts want it. */
  readonly t: number[] = [];
  readonly #columns = new Map<string, Column>();

  /** When the last one ended, in milliseconds since the epoch; undefined: there is none. */
  get lastMs(): number | undefined {
    const last = this.t.at(-1);
    return last === undefined ? undefined : Math.round(last * 1000);
  }

  clear(): void {
    this.t.length = 0;
    this.#columns.clear();
  }

  /** @param name `service.eventsPerSecond`, `brokers.127.0.0.1:9092.inFlight`, `processes.0.cpu`. As long as `t`. */
  column(name: string): Column {
    let column = this.#columns.get(name);
    if (column === undefined) this.#columns.set(name, (column = this.t.map(() => null)));
    return column;
  }

  append(history: LiveHistory): void {
    const { t } = history;
    const [first] = t;
    const lastMs = this.lastMs;
    if (first === undefined) return;
    // The clock of the service was set back: what came before is of another time.
    if (lastMs !== undefined && first <= lastMs) this.clear();
    else if (lastMs !== undefined && first - lastMs > GAP_MS) this.#extend([(lastMs + 1_000) / 1000], new Map());
    const values = new Map<string, readonly (number | null)[]>();
    for (const [name, column] of Object.entries(history.service)) values.set(`service.${name}`, column);
    for (const [broker, series] of Object.entries(history.brokers))
      for (const [name, column] of Object.entries(series)) values.set(`brokers.${broker}.${name}`, column);
    for (const [process, series] of Object.entries(history.processes))
      for (const [name, column] of Object.entries(series)) values.set(`processes.${process}.${name}`, column);
    this.#extend(
      t.map((ms) => ms / 1000),
      values,
    );
  }

  #extend(t: readonly number[], values: ReadonlyMap<string, readonly (number | null)[]>): void {
    for (const name of values.keys()) this.column(name);
    for (const [name, column] of this.#columns) column.push(...(values.get(name) ?? t.map(() => null)));
    this.t.push(...t);
    const over = this.t.length - SECONDS_MAX;
    if (over <= 0) return;
    this.t.splice(0, over);
    for (const column of this.#columns.values()) column.splice(0, over);
  }
}
