// Values by the second in columns of fixed length, one for each name: what rings of seconds keep them in.
//
// Invariants: made once, at 4 bytes a value; nothing is allocated when a row is written. What was never written is NaN.

export class Columns<N extends string> {
  readonly #names: readonly N[];
  readonly #columns: ReadonlyMap<N, Float32Array>;

  constructor(names: readonly N[], rows: number) {
    this.#names = names;
    this.#columns = new Map(names.map((name) => [name, new Float32Array(rows).fill(Number.NaN)]));
  }

  /** @param values undefined: none is known of this row. */
  write(row: number, values: Readonly<Record<N, number>> | undefined): void {
    for (const name of this.#names) this.#columns.get(name)![row] = values?.[name] ?? Number.NaN;
  }

  /** The values of a name at these rows; null: not known. */
  read(name: N, rows: readonly number[]): (number | null)[] {
    const column = this.#columns.get(name)!;
    return rows.map((row) => told(column[row]!));
  }
}

const DIGITS = 5;

/** A value as it is told: with five digits, since more are noise in a chart and bytes on the way; null: not known. */
export function told(value: number): number | null {
  if (!Number.isFinite(value)) return null;
  if (value === 0) return 0;
  // toPrecision takes ten times as long, and there are a hundred thousand of them.
  const power = DIGITS - 1 - Math.floor(Math.log10(Math.abs(value)));
  if (power <= 0) return Math.round(value);
  const scale = 10 ** power;
  return Number.isFinite(scale) ? Math.round(value * scale) / scale : 0;
}
