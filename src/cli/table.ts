// Tables and numbers for people, in plain text.

/**
 * Rows with their columns aligned; the last column is not padded.
 * @param numbersFrom the first column that is aligned to the right.
 */
export function table(rows: readonly (readonly string[])[], indent = "", numbersFrom = Infinity): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows.map((row) => {
    const cells = row.map((cell, i) => (i >= numbersFrom ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)));
    return (indent + cells.join("  ")).trimEnd();
  });
}

/** `231,083` */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** `1 event`, `2 events` */
export function plural(count: number, noun: string, plural = `${noun}s`): string {
  return `${formatCount(count)} ${count === 1 ? noun : plural}`;
}

/** `9.4 MiB` */
export function formatSize(bytes: number): string {
  let value = bytes;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (value < 1024) return `${unit === "B" ? value : value.toFixed(1)} ${unit}`;
    value /= 1024;
  }
  return `${value.toFixed(1)} TiB`;
}

/** `3.1 ms`, `2.45 s` */
export function formatMs(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}
