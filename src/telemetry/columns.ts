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

/** Absolute values from the first number on are rounded to a multiple of one over the second: to five digits. */
const SCALES: readonly (readonly [from: number, scale: number])[] = [
  [1e4, 1],
  [1e3, 1e1],
  [1e2, 1e2],
  [1e1, 1e3],
  [1, 1e4],
  [1e-1, 1e5],
  [1e-2, 1e6],
  [1e-3, 1e7],
  [0, 1e9],
];

/**
 * A value as it is told: with five digits, or to 1e-9, since more are noise in a chart and bytes on the way;
 * null: not known. Rejected: toPrecision and logarithms, which take ten times as long for a hundred thousand values.
 */
export function told(value: number): number | null {
  if (!Number.isFinite(value)) return null;
  const size = Math.abs(value);
  for (let i = 0; i < SCALES.length; i++) {
    const [from, scale] = SCALES[i]!;
    if (size >= from) return Math.round(value * scale) / scale;
  }
  return 0;
}
