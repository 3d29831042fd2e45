// The tail of a topic, if the service shows any.

import type { TailedSecond } from "../tail.ts";

const LINES_MAX = 200;

export class Tail {
  readonly #form: HTMLFormElement;
  readonly #topic: HTMLInputElement;
  readonly #button: HTMLButtonElement;
  readonly #state: HTMLElement;
  readonly #lines: HTMLOListElement;
  #source: EventSource | undefined;
  #shown = 0;
  #leftOut = 0;

  /** Undefined: topics are not shown here. */
  static find(): Tail | undefined {
    const form = document.querySelector<HTMLFormElement>("#tail-form");
    return form === null ? undefined : new Tail(form);
  }

  private constructor(form: HTMLFormElement) {
    this.#form = form;
    this.#topic = form.querySelector<HTMLInputElement>("#tail-topic")!;
    this.#button = form.querySelector<HTMLButtonElement>("#tail-button")!;
    this.#state = document.querySelector<HTMLElement>("#tail-state")!;
    this.#lines = document.querySelector<HTMLOListElement>("#tail-lines")!;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#source === undefined) this.#start();
      else this.stop("Stopped.");
    });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.stop("Stopped, because the page was hidden.");
    });
    window.addEventListener("pagehide", () => {
      this.stop("Stopped.");
    });
  }

  stop(why: string): void {
    if (this.#source === undefined) return;
    this.#source.close();
    this.#source = undefined;
    this.#button.textContent = "Show";
    this.#state.textContent = why;
  }

  #start(): void {
    const topic = this.#topic.value.trim();
    if (topic === "") return;
    this.#lines.replaceChildren();
    this.#shown = 0;
    this.#leftOut = 0;
    this.#button.textContent = "Stop";
    this.#state.textContent = `Waiting for events of ${topic}.`;
    const source = new EventSource(`/debug/live/tail?topic=${encodeURIComponent(topic)}`);
    this.#source = source;
    source.addEventListener("message", ({ data }: MessageEvent<string>) => {
      this.#show(JSON.parse(data) as TailedSecond);
    });
    source.addEventListener("problem", ({ data }: MessageEvent<string>) => {
      this.stop(JSON.parse(data) as string);
    });
    source.addEventListener("error", () => {
      this.stop("The service ended it: it is away, or too many topics are being read. Try again.");
    });
  }

  #show({ lines, leftOut }: TailedSecond): void {
    for (const line of lines) {
      const item = document.createElement("li");
      item.textContent = line;
      this.#lines.prepend(item);
    }
    while (this.#lines.childElementCount > LINES_MAX) this.#lines.lastElementChild!.remove();
    this.#shown += lines.length;
    this.#leftOut += leftOut;
    const more = this.#leftOut === 0 ? "" : `; ${this.#leftOut.toLocaleString("en-US")} more were read and left out`;
    this.#state.textContent = `${this.#shown.toLocaleString("en-US")} events shown, the newest first${more}.`;
  }
}
