// How long a connection may take for what, and how long it lives: the rules that only time can break.
//
// They are looked at once a second for all connections of a worker, because a timer per connection and rule would cost more
// than what it guards. So every limit is kept to the second.

import type { Attack } from "./error-code.ts";
import type { CloseReason } from "./observer.ts";
import type { Http2Options } from "./options.ts";

/** What a connection shows of itself. Times are of a clock that never goes back, in milliseconds. */
export interface Condition {
  /** The preface and the client's SETTINGS have come. */
  readonly established: boolean;
  /** Since when a frame other than DATA is incomplete, or a header block; undefined: none is. */
  readonly incompleteSinceMs: number | undefined;
  readonly streams: number;
  /** Bytes of answers that the client has not taken, */
  readonly unsentBytes: number;
  /** and all that it has taken so far. */
  readonly sentBytes: number;
  /** Its socket has room: so its windows are what holds answers up. */
  readonly socketHasRoom: boolean;
}

/** What is to be done. */
export type Verdict =
  | { readonly action: "ping" }
  | { readonly action: "go_away"; readonly reason: "idle" | "age" }
  | { readonly action: "cut"; readonly reason: CloseReason; readonly attack?: Attack; readonly detail: string };

/** Fewer bytes than this are no progress: a client that takes one at a time holds memory as one that takes none does. */
const PROGRESS_BYTES = 4_096;
/** Ages differ by up to this part, so that connections which came together do not all leave together. */
const AGE_JITTER = 0.1;

export class Lifespan {
  readonly #options: Http2Options;
  readonly #openedAtMs: number;
  readonly #ageMaxMs: number;
  #receivedAtMs: number;
  #pingedAtMs: number | undefined;
  #idleSinceMs: number | undefined;
  #progressAtMs: number;
  #progressBytes = 0;
  #aged = false;

  /** @param random a number in [0, 1). */
  constructor(options: Http2Options, nowMs: number, random: number) {
    this.#options = options;
    this.#openedAtMs = nowMs;
    this.#receivedAtMs = nowMs;
    this.#progressAtMs = nowMs;
    this.#ageMaxMs = options.ageMaxMs * (1 + AGE_JITTER * (2 * random - 1));
  }

  ageMs(nowMs: number): number {
    return nowMs - this.#openedAtMs;
  }

  /** Bytes have come. */
  received(nowMs: number): void {
    this.#receivedAtMs = nowMs;
    this.#pingedAtMs = undefined;
  }

  check(nowMs: number, condition: Condition): Verdict | undefined {
    return (
      this.#handshake(nowMs, condition) ??
      this.#incomplete(nowMs, condition) ??
      this.#stalled(nowMs, condition) ??
      this.#silent(nowMs, condition) ??
      this.#idle(nowMs, condition) ??
      this.#old(nowMs)
    );
  }

  #handshake(nowMs: number, { established }: Condition): Verdict | undefined {
    if (established || nowMs - this.#openedAtMs <= this.#options.handshakeTimeoutMs) return undefined;
    const detail = `no preface and SETTINGS within ${this.#options.handshakeTimeoutMs} ms (GRPC_HANDSHAKE_TIMEOUT)`;
    return { action: "cut", reason: "attack", attack: "slow_handshake", detail };
  }

  #incomplete(nowMs: number, { incompleteSinceMs }: Condition): Verdict | undefined {
    if (incompleteSinceMs === undefined || nowMs - incompleteSinceMs <= this.#options.headersTimeoutMs)
      return undefined;
    const detail = `a header block or frame that was not complete within ${this.#options.headersTimeoutMs} ms (GRPC_HEADERS_TIMEOUT)`;
    return { action: "cut", reason: "attack", attack: "slow_headers", detail };
  }

  #stalled(nowMs: number, { unsentBytes, sentBytes, socketHasRoom }: Condition): Verdict | undefined {
    if (unsentBytes === 0 || sentBytes - this.#progressBytes >= PROGRESS_BYTES) {
      this.#progressAtMs = nowMs;
      this.#progressBytes = sentBytes;
      return undefined;
    }
    if (nowMs - this.#progressAtMs <= this.#options.stallTimeoutMs) return undefined;
    const detail = `${unsentBytes} bytes of answers were not taken within ${this.#options.stallTimeoutMs} ms (GRPC_STALL_TIMEOUT)`;
    return { action: "cut", reason: "attack", attack: socketHasRoom ? "zero_window" : "slow_read", detail };
  }

  #silent(nowMs: number, { established }: Condition): Verdict | undefined {
    if (!established) return undefined;
    if (this.#pingedAtMs !== undefined) {
      if (nowMs - this.#pingedAtMs <= this.#options.keepaliveTimeoutMs) return undefined;
      const detail = `no answer to a PING within ${this.#options.keepaliveTimeoutMs} ms (GRPC_KEEPALIVE_TIMEOUT)`;
      return { action: "cut", reason: "keepalive", detail };
    }
    if (nowMs - this.#receivedAtMs <= this.#options.keepaliveTimeMs) return undefined;
    this.#pingedAtMs = nowMs;
    return { action: "ping" };
  }

  #idle(nowMs: number, { streams }: Condition): Verdict | undefined {
    if (streams > 0) this.#idleSinceMs = undefined;
    else this.#idleSinceMs ??= nowMs;
    if (this.#idleSinceMs === undefined || nowMs - this.#idleSinceMs <= this.#options.idleMaxMs) return undefined;
    return { action: "go_away", reason: "idle" };
  }

  #old(nowMs: number): Verdict | undefined {
    const ageMs = nowMs - this.#openedAtMs;
    if (ageMs <= this.#ageMaxMs) return undefined;
    if (!this.#aged) {
      this.#aged = true;
      return { action: "go_away", reason: "age" };
    }
    if (ageMs <= this.#ageMaxMs + this.#options.ageGraceMs) return undefined;
    return { action: "cut", reason: "age", detail: "streams were left when the connection's time was up" };
  }
}
