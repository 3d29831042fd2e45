// What a client's mistakes cost it: its stream, a token of some budget, or in the end the connection.
//
// Whatever makes us answer a frame with RST_STREAM is paid for here, because a reset is cheap to provoke and costs the server a
// request. A frame on a stream that is not open is judged by how that stream came to its end (stream-table.ts).

import { Budget, Budgets } from "./budgets.ts";
import { ConnectionError, ErrorCode } from "./error-code.ts";
import type { Sender } from "./sender.ts";
import type { Stream } from "./stream.ts";
import type { StreamTable } from "./stream-table.ts";

/** RST_STREAM frames on streams that are closed already, beyond one for each request. */
const LATE_RESETS_MAX = 1_000;

export class Penalties {
  readonly #sender: Sender;
  readonly #streams: StreamTable;
  readonly #budgets = new Budgets();
  /** RST_STREAM frames on closed streams, less the requests that came since. */
  #lateResets = 0;
  /** When the bytes came that are being read, in milliseconds of a clock that never goes back. */
  nowMs: number;

  constructor(sender: Sender, streams: StreamTable, nowMs: number) {
    this.#sender = sender;
    this.#streams = streams;
    this.nowMs = nowMs;
  }

  /** Takes one. @throws ConnectionError if there is none left. */
  spend(budget: Budget): void {
    const rate = this.#budgets.take(budget, this.nowMs);
    if (rate === undefined) return;
    const message = `${rate.attack}: more than ${rate.burst} at once and ${rate.perSecond} a second`;
    throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, message, rate.attack);
  }

  /** Earns some back. */
  give(budget: Budget, count: number): void {
    this.#budgets.give(budget, count);
  }

  /** The client broke a rule of the stream's. @throws ConnectionError if it has done so too often. */
  failStream(stream: Stream, code: ErrorCode): void {
    stream.fail(code);
    this.spend(Budget.PROVOKED_RESETS);
  }

  /** Resets a stream of which there is no more than its identifier. */
  reset(id: number, code: ErrorCode): void {
    this.#sender.reset(id, code);
    this.#streams.remember(id, "reset by us");
  }

  /** A frame has come that a closed stream may not have. @throws ConnectionError if the stream has ended, for example. */
  frameOnClosed(id: number): void {
    const how = this.#streams.howClosed(id);
    if (how === "ended") throw new ConnectionError(ErrorCode.STREAM_CLOSED, "a frame on a stream that has ended");
    if (how === "reset by us") return;
    this.reset(id, ErrorCode.STREAM_CLOSED);
    this.spend(Budget.PROVOKED_RESETS);
  }

  /** @throws ConnectionError */
  assertWasOpen(id: number): void {
    if (this.#streams.isIdle(id)) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame on an idle stream");
  }

  /**
   * RST_STREAM on a closed stream: it crossed the end of our answer, as grpc-go's do after each call that we end early; one for
   * each request is honest.
   * @throws ConnectionError for more of them.
   */
  lateReset(): void {
    if (++this.#lateResets <= LATE_RESETS_MAX) return;
    const message = `RST_STREAM on closed streams: ${LATE_RESETS_MAX} more than requests`;
    throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, message, "rapid_reset");
  }

  /** A request has come. */
  request(): void {
    if (this.#lateResets > 0) this.#lateResets--;
  }
}
