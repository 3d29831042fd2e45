// A terminal that is drawn on: the alternate screen, one write a frame, and everything as it was when it is over.
//
// A frame is written over the one before, line by line to its end, within a synchronized update: nothing is cleared first, so
// nothing flickers. Lines never wrap. In raw mode Ctrl-C is a key like others; where the input is no terminal, signals end it.

import type { Input, Output } from "../io.ts";

const ENTER = "\u001B[?1049h\u001B[?25l\u001B[?7l";
const LEAVE = "\u001B[?7h\u001B[?25h\u001B[?1049l";
const BEGIN = "\u001B[?2026h\u001B[H";
const END = "\u001B[?2026l";
const TO_END_OF_LINE = "\u001B[K";
const TO_END_OF_SCREEN = "\u001B[J";
const QUIT_KEYS: ReadonlySet<string> = new Set(["q", "Q", "\u0003", "\u001B"]);

/** Of terminals that do not tell. */
const WIDTH = 80;
const HEIGHT = 24;

export class Screen implements Disposable {
  readonly #out: Output;
  readonly #input: Input;
  readonly #onResize: () => void;
  readonly #onKeys: (keys: Buffer) => void;
  #disposed = false;

  /** Takes the terminal. @param quit is called for `q`, Escape and Ctrl-C. @param resized for a new size. */
  constructor(out: Output, input: Input, quit: () => void, resized: () => void) {
    this.#out = out;
    this.#input = input;
    this.#onResize = resized;
    this.#onKeys = (keys) => {
      // What a cursor key sends begins with Escape, too.
      if (QUIT_KEYS.has(keys.toString())) quit();
    };
    out.write(ENTER);
    out.on("resize", this.#onResize);
    if (input.isTTY === true) {
      input.setRawMode?.(true);
      input.on("data", this.#onKeys);
      input.resume();
    }
  }

  get width(): number {
    return this.#out.columns ?? WIDTH;
  }

  get height(): number {
    return this.#out.rows ?? HEIGHT;
  }

  /** @param lines no wider and no more than the terminal has. */
  draw(lines: readonly string[]): void {
    if (this.#disposed) return;
    const text = lines.map((line) => line + TO_END_OF_LINE).join("\r\n");
    this.#out.write(BEGIN + text + TO_END_OF_SCREEN + END);
  }

  /** Gives the terminal back. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#out.off("resize", this.#onResize);
    if (this.#input.isTTY === true) {
      this.#input.off("data", this.#onKeys);
      this.#input.setRawMode?.(false);
      this.#input.pause();
    }
    this.#out.write(LEAVE);
  }
}
