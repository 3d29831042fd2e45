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

/** `42 s`, `12 min`, `3 h 5 min`, `12 d 3 h` */
export function formatAge(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Text that cannot move a terminal's cursor: names and messages may come from clients. */
export function printable(given: string): string {
  // oxlint-disable-next-line no-control-regex
  return given.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, " ");
}
