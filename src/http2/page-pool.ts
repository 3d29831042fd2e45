// Pages that answers are written into on their way to the socket, used again by all connections of a worker.
//
// A connection has a page only from its first answer of a turn until the socket has taken it, so a few pages serve thousands of
// connections, and a worker under load allocates none.

/** Bytes of a page: what one turn answers on one connection fits nearly always. */
export const PAGE_BYTES = 32 * 1024;
/** Pages that are kept although nobody has them. */
const SPARE_PAGES_MAX = 128;

export class PagePool {
  readonly #spare: Buffer[] = [];
  #taken = 0;

  /** Pages that somebody has. */
  get taken(): number {
    return this.#taken;
  }

  take(): Buffer {
    this.#taken++;
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(PAGE_BYTES);
  }

  give(page: Buffer): void {
    this.#taken--;
    if (this.#spare.length < SPARE_PAGES_MAX) this.#spare.push(page);
  }
}
