// The last fifteen minutes of the service and of each broker, second by second, for the page and `sluice top`.
//
// Processes have a history of their own (telemetry/history.ts), which incidents are measured against; here are what is summed
// over them and what has no process. 22 series of the service are 86 KB, and a broker's 7 are 25 KB; there are 24 brokers at most.
//
// Invariants: memory does not grow. Times ascend: when the clock was set back, the history begins anew. A broker that was not
// heard of for all that time gives its place to another one; those without a place are counted, not told.

import { BROKER_SERIES, type BrokerSeries, SERVICE_SERIES, type ServiceSeries } from "../../admin/live/model.ts";
import { Columns } from "../../telemetry/columns.ts";
import { HISTORY_SECONDS } from "../../telemetry/history.ts";

export const BROKERS_MAX = 24;

/** What is measured; the imbalance follows from what processes have. */
export type MeasuredSeries = Exclude<ServiceSeries, "imbalance">;
export type ServiceValues = Readonly<Record<MeasuredSeries, number>>;
export type BrokerValues = Readonly<Record<BrokerSeries, number>>;

export const MEASURED_SERIES = SERVICE_SERIES.filter((name): name is MeasuredSeries => name !== "imbalance");

interface BrokerColumns {
  readonly columns: Columns<BrokerSeries>;
  /** Of its last second, counted from the start. */
  lastSecond: number;
}

type Told<N extends string> = Readonly<Record<N, readonly (number | null)[]>>;

export interface LiveRange {
  readonly t: readonly number[];
  readonly service: Told<MeasuredSeries>;
  readonly brokers: Readonly<Record<string, Told<BrokerSeries>>>;
}

export class LiveSeconds {
  readonly #rows: number;
  readonly #t: Float64Array;
  readonly #service: Columns<MeasuredSeries>;
  readonly #brokers = new Map<string, BrokerColumns>();
  #brokersLeftOut = 0;
  #length = 0;
  #next = 0;
  #second = 0;

  /** @param rows how many seconds it reaches back. */
  constructor(rows = HISTORY_SECONDS) {
    this.#rows = rows;
    this.#t = new Float64Array(rows);
    this.#service = new Columns(MEASURED_SERIES, rows);
  }

  /** Brokers of the last second that have no place. */
  get brokersLeftOut(): number {
    return this.#brokersLeftOut;
  }

  /** When the last second ended, in milliseconds since the epoch; undefined if there is none. */
  get lastMs(): number | undefined {
    return this.#length === 0 ? undefined : this.#t[(this.#next - 1 + this.#rows) % this.#rows];
  }

  /** @param atMs when it ended, in milliseconds since the epoch. */
  record(atMs: number, service: ServiceValues, brokers: ReadonlyMap<string, BrokerValues>): void {
    if (atMs <= (this.lastMs ?? -Infinity)) this.#length = 0;
    const row = this.#next;
    this.#t[row] = atMs;
    this.#service.write(row, service);
    this.#brokersLeftOut = 0;
    for (const name of brokers.keys()) this.#place(name);
    for (const [name, broker] of this.#brokers) {
      const values = brokers.get(name);
      broker.columns.write(row, values);
      if (values !== undefined) broker.lastSecond = this.#second;
    }
    this.#next = (row + 1) % this.#rows;
    this.#length = Math.min(this.#length + 1, this.#rows);
    this.#second += 1;
  }

  /** The seconds that ended after `sinceMs`, and some before them. @param before how many of those. */
  range(sinceMs: number, before = 0): LiveRange {
    const rows: number[] = [];
    for (let i = this.#length; i > 0; i--) rows.push((this.#next - i + this.#rows) % this.#rows);
    const first = rows.findIndex((row) => this.#t[row]! > sinceMs);
    const chosen = rows.slice(first === -1 ? rows.length : Math.max(0, first - before));
    const read = <N extends string>(columns: Columns<N>, names: readonly N[]) =>
      Object.fromEntries(names.map((name) => [name, columns.read(name, chosen)])) as unknown as Told<N>;
    return {
      t: chosen.map((row) => this.#t[row]!),
      service: read(this.#service, MEASURED_SERIES),
      brokers: Object.fromEntries(
        Array.from(this.#brokers, ([name, { columns }]) => [name, read(columns, BROKER_SERIES)] as const),
      ),
    };
  }

  #place(name: string): void {
    if (this.#brokers.has(name)) return;
    if (this.#brokers.size >= BROKERS_MAX) {
      const gone = [...this.#brokers].find(([, { lastSecond }]) => this.#second - lastSecond > this.#rows)?.[0];
      if (gone === undefined) {
        this.#brokersLeftOut += 1;
        return;
      }
      this.#brokers.delete(gone);
    }
    this.#brokers.set(name, { columns: new Columns(BROKER_SERIES, this.#rows), lastSecond: this.#second });
  }
}
