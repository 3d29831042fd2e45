// The last lines of the log, as they were written: what stands beside the profile of a bad minute.
//
// They are what LOG_LEVEL lets through, and go to standard error as before. Workers send theirs to the supervisor with their
// metrics, so that it has the last lines of one that died.
//
// Invariants: bounded by lines and by bytes, and a line by its length. Pushing is an assignment and an addition.

/** What takes a line; pino's destination. */
export interface LineSink {
  write(line: string): unknown;
  flushSync?(): void;
}

export const LINES_KEPT = 500;
const LINE_CHARS_MAX = 4_096;
const CHARS_MAX = 512 * 1024;
/** Lines of these levels stay with the process that wrote them. */
const VERBOSE = /^\{"level":"(?:debug|trace)"/;
const TIME = /^\{"level":"[a-z]+","time":"([^"]*)"/;

export class LogRing {
  readonly #lines: (string | undefined)[];
  /** Of the next line; the ring has those from #first on. */
  #next = 0;
  #first = 0;
  #taken = 0;
  #chars = 0;

  constructor(lines = LINES_KEPT) {
    this.#lines = Array.from({ length: lines }, () => undefined);
  }

  /** Without its end of line. */
  push(line: string): void {
    const kept = line.length > LINE_CHARS_MAX ? `${line.slice(0, LINE_CHARS_MAX)}…` : line;
    if (this.#next - this.#first === this.#lines.length) this.#drop();
    this.#lines[this.#next % this.#lines.length] = kept;
    this.#next += 1;
    this.#chars += kept.length;
    while (this.#chars > CHARS_MAX) this.#drop();
  }

  /** Oldest first. */
  get lines(): string[] {
    return this.#from(this.#first);
  }

  /** What was pushed since the last call, without what is below `info`; of too many lines, the last. */
  take(linesMax: number): readonly string[] {
    if (this.#taken === this.#next) return [];
    const from = Math.max(this.#taken, this.#first);
    const tellable = this.#from(from).filter((line) => !VERBOSE.test(line));
    this.#taken = this.#next;
    return tellable.slice(-linesMax);
  }

  #from(first: number): string[] {
    return Array.from({ length: this.#next - first }, (_, i) => this.#lines[(first + i) % this.#lines.length]!);
  }

  #drop(): void {
    const at = this.#first % this.#lines.length;
    this.#chars -= this.#lines[at]!.length;
    this.#lines[at] = undefined;
    this.#first += 1;
  }
}

/** Writes to a sink as it is, and keeps the last lines. */
export class RingSink implements LineSink {
  readonly #sink: LineSink;
  readonly #ring: LogRing;

  constructor(sink: LineSink, ring: LogRing) {
    this.#sink = sink;
    this.#ring = ring;
  }

  write(line: string): void {
    this.#sink.write(line);
    this.#ring.push(line.endsWith("\n") ? line.slice(0, -1) : line);
  }

  flushSync(): void {
    this.#sink.flushSync?.();
  }
}

/** The last lines of several processes, in the order in which they were written. */
export function mergeLines(rings: readonly LogRing[], linesMax = LINES_KEPT): string[] {
  const timeOf = (line: string) => TIME.exec(line)?.[1] ?? "";
  return rings
    .flatMap((ring) => ring.lines)
    .map((line) => ({ line, time: timeOf(line) }))
    .sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))
    .slice(-linesMax)
    .map(({ line }) => line);
}
