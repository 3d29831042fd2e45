// Tells those who hear the page what those who see it notice: seldom, and only what is new.

const EVERY_MS = 30_000;
/** Changes that matter are told sooner, but not one after the other. */
const SOON_MS = 8_000;

export class Announcer {
  readonly #element: HTMLElement;
  #saidMs = -Infinity;
  #about = "";

  constructor(element: HTMLElement) {
    this.#element = element;
  }

  /** Says it now, because the reader has just asked for it. */
  say(sentence: string): void {
    this.#element.textContent = sentence;
    this.#saidMs = performance.now();
  }

  /** @param about what it is about: if that is another one than the last time, it is told sooner. */
  summary(about: string, sentence: string): void {
    const agoMs = performance.now() - this.#saidMs;
    if (agoMs < (about === this.#about ? EVERY_MS : SOON_MS)) return;
    this.#about = about;
    if (this.#element.textContent !== sentence) this.say(sentence);
  }
}
