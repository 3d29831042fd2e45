// Lines of styled text: what a frame is made of. They are cut by what is seen, and painted, or not, at the very end.

/** `name`: headings and labels. `bad` and `warn` say what they mean without colour, too: they are words. */
export type Style = "plain" | "name" | "good" | "warn" | "bad" | "strong";

export interface Span {
  readonly text: string;
  readonly style: Style;
}

export type Line = readonly Span[];

const CODES: Readonly<Record<Style, string>> = {
  plain: "",
  name: "\u001B[2m",
  good: "\u001B[32m",
  warn: "\u001B[33m",
  bad: "\u001B[1;31m",
  strong: "\u001B[1m",
};
const RESET = "\u001B[0m";

export const span = (text: string, style: Style = "plain"): Span => ({ text, style });

/** The part of a line that fits; what is cut ends in an ellipsis. */
function cut(line: Line, width: number): Line {
  const whole = line.reduce((sum, { text }) => sum + text.length, 0);
  if (whole <= width) return line;
  const kept: Span[] = [];
  let left = Math.max(0, width - 1);
  for (const { text, style } of line) {
    if (left === 0) break;
    kept.push({ text: text.slice(0, left), style });
    left -= Math.min(left, text.length);
  }
  return [...kept, span("…".slice(0, width))];
}

/** @param colour false: the text alone. */
export function paint(line: Line, width: number, colour: boolean): string {
  return cut(withoutEnd(line), width)
    .map(({ text, style }) => (colour && style !== "plain" && text !== "" ? CODES[style] + text + RESET : text))
    .join("");
}

/** Blanks at the end are no reason to cut. */
function withoutEnd(line: Line): Line {
  const last = line.findLastIndex(({ text }) => text.trimEnd() !== "");
  return line.slice(0, last + 1).map((each, i) => (i === last ? span(each.text.trimEnd(), each.style) : each));
}

/** A cell of a table: its text and its style. */
export type Cell = string | Span;

const spanOf = (cell: Cell): Span => (typeof cell === "string" ? span(cell) : cell);

/**
 * Rows with their columns aligned, below a heading.
 * @param numbersFrom the first column that is aligned to the right. @param numbersTo the first after it that is not.
 */
export function columns(
  heading: readonly string[],
  rows: readonly (readonly Cell[])[],
  numbersFrom: number,
  numbersTo = Infinity,
): Line[] {
  const all = [heading.map((text) => span(text, "name")), ...rows.map((row) => row.map(spanOf))];
  const widths: number[] = [];
  for (const row of all) for (const [i, { text }] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, text.length);
  return all.map((row) =>
    row.flatMap(({ text, style }, i) => {
      const padded = i >= numbersFrom && i < numbersTo ? text.padStart(widths[i]!) : text.padEnd(widths[i]!);
      return i === 0 ? [span(padded, style)] : [span("  "), span(padded, style)];
    }),
  );
}
