// Spans on their way out of a worker: a bound, and a count of what there is no room for.
//
// A supervisor that is busy reads late; what waits in the channel meanwhile is memory of the worker, whose events come first.

import type { Counter } from "../telemetry/instruments.ts";
import type { SendSpans, SpanData } from "./span-data.ts";

/** About half a kilobyte each. */
const SPANS_MAX = 8_192;

export class SpanSender {
  readonly #send: SendSpans;
  readonly #dropped: Counter;
  /** Have not left the process. */
  #waiting = 0;

  constructor(send: SendSpans, dropped: Counter) {
    this.#send = send;
    this.#dropped = dropped;
  }

  /** Sends them, or drops all of them. */
  send(spans: readonly SpanData[]): void {
    const { length } = spans;
    if (this.#waiting + length > SPANS_MAX) {
      this.#dropped.inc(length);
      return;
    }
    this.#waiting += length;
    void this.#send(spans).then(() => {
      this.#waiting -= length;
    });
  }
}
