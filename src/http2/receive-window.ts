// The connection's window for what clients send: how much may still come, and when to say that there is room again.
//
// Room is announced when half of the window is free, so that a client under load hears of it before it has to stop, and
// a WINDOW_UPDATE is written for many messages, not for each.

import { ConnectionError, ErrorCode } from "./error-code.ts";
import { DEFAULT_WINDOW_BYTES } from "./settings.ts";

export class ReceiveWindow {
  readonly #bytesMax: number;
  #left: number = DEFAULT_WINDOW_BYTES;
  #unannounced: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#unannounced = Math.max(0, bytesMax - DEFAULT_WINDOW_BYTES);
  }

  /** @throws ConnectionError if the client sends more than it may. */
  take(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0) {
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more body bytes than the connection's window");
    }
  }

  /** Bytes are dealt with. */
  give(bytes: number): void {
    this.#unannounced += bytes;
  }

  /** The increment to announce now; 0: none yet. */
  announce(): number {
    if (this.#unannounced < this.#bytesMax / 2) return 0;
    const increment = this.#unannounced;
    this.#unannounced = 0;
    this.#left += increment;
    return increment;
  }
}
