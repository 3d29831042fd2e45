// What happened in a run: a hash over all of it, which two runs of one seed must share, and the last lines for whoever looks
// into a failure.

const LINES_KEPT = 400;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

export class Trace {
  /** Of everything that was noted. */
  hash = FNV_OFFSET;
  readonly #lines: string[] = [];
  readonly #print: ((line: string) => void) | undefined;

  /** @param print is given every line as it is noted. */
  constructor(print?: (line: string) => void) {
    this.#print = print;
  }

  note(atMs: number, who: string, what: string): void {
    const line = `${atMs.toFixed(3).padStart(12)} ${who} ${what}`;
    let { hash } = this;
    for (let i = 0; i < line.length; i++) hash = Math.imul(hash ^ line.charCodeAt(i), FNV_PRIME);
    this.hash = hash >>> 0;
    this.#print?.(line);
    this.#lines.push(line);
    if (this.#lines.length > LINES_KEPT * 2) this.#lines.splice(0, LINES_KEPT);
  }

  tail(): string[] {
    return this.#lines.slice(-LINES_KEPT);
  }
}
