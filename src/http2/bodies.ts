// The bodies of requests: DATA frames (RFC 9113 section 6.1), and flow control of what clients send.
//
// A body is passed on in the pieces in which it comes. Credit for it is given back when its receiver has dealt with it; for what no
// receiver gets (padding, and bytes for streams that are gone) at once, or the connection's window would shrink with each.

import { Budget } from "./budgets.ts";
import { ErrorCode } from "./error-code.ts";
import { Flag } from "./frame.ts";
import type { Http2Options } from "./options.ts";
import type { Penalties } from "./penalties.ts";
import { ReceiveWindow } from "./receive-window.ts";
import type { Sender } from "./sender.ts";
import type { Stream } from "./stream.ts";
import type { StreamTable } from "./stream-table.ts";

export class Bodies {
  readonly #sender: Sender;
  readonly #streams: StreamTable;
  readonly #penalties: Penalties;
  readonly #window: ReceiveWindow;
  readonly #streamWindowBytes: number;
  /** The stream of the DATA frame that is being read; undefined: its bytes are dropped. */
  #stream: Stream | undefined;
  /** Of that frame's payload. */
  #length = 0;

  constructor(options: Http2Options, sender: Sender, streams: StreamTable, penalties: Penalties) {
    this.#sender = sender;
    this.#streams = streams;
    this.#penalties = penalties;
    this.#window = new ReceiveWindow(options.connectionWindowBytes);
    this.#streamWindowBytes = options.streamWindowBytes;
  }

  /** A DATA frame begins. @throws ConnectionError */
  begin(flags: number, id: number, length: number): void {
    this.#length = length;
    this.#stream = undefined;
    if (length === 0 && (flags & Flag.END_STREAM) === 0) this.#penalties.spend(Budget.EMPTY_FRAMES);
    this.#window.take(length);
    const stream = this.#streams.open.get(id);
    if (stream === undefined) {
      this.#penalties.assertWasOpen(id);
      this.#penalties.frameOnClosed(id);
    } else if (stream.remoteClosed) {
      this.#penalties.failStream(stream, ErrorCode.STREAM_CLOSED);
    } else if (length > stream.receiveWindow) {
      this.#penalties.failStream(stream, ErrorCode.FLOW_CONTROL_ERROR);
    } else {
      stream.receiveWindow -= length;
      this.#stream = stream;
    }
  }

  /** Body bytes of it, lent until this returns. @throws ConnectionError */
  piece(buffer: Buffer, start: number, end: number): void {
    const stream = this.#stream;
    if (stream === undefined || stream.closed) this.credit(undefined, end - start);
    else if (!stream.received(buffer, start, end)) this.#penalties.failStream(stream, ErrorCode.PROTOCOL_ERROR);
  }

  /** It is complete. @param overhead bytes of its payload that were no body. @throws ConnectionError */
  end(flags: number, overhead: number): void {
    const stream = this.#stream;
    this.#stream = undefined;
    const alive = stream !== undefined && !stream.closed;
    if (overhead > 0) {
      this.credit(alive ? stream : undefined, overhead);
      if (overhead === this.#length && (flags & Flag.END_STREAM) === 0) this.#penalties.spend(Budget.EMPTY_FRAMES);
    }
    if (alive && (flags & Flag.END_STREAM) !== 0) this.endOfRequest(stream);
  }

  /** END_STREAM has come, on whatever frame. @throws ConnectionError */
  endOfRequest(stream: Stream): void {
    if (!stream.closed && !stream.receivedEnd()) this.#penalties.failStream(stream, ErrorCode.PROTOCOL_ERROR);
  }

  /** Bytes are dealt with. @param stream undefined: only the connection's window is given back. */
  credit(stream: Stream | undefined, bytes: number): void {
    this.#window.give(bytes);
    if (stream !== undefined && !stream.remoteClosed) {
      stream.unannounced += bytes;
      if (stream.unannounced >= this.#streamWindowBytes / 2) {
        this.#sender.windowUpdate(stream.id, stream.unannounced);
        stream.receiveWindow += stream.unannounced;
        stream.unannounced = 0;
      }
    }
    // The connection's window is announced at the end of the turn.
    this.#sender.schedule();
  }

  /** Tells the client what it may send on the connection, if that has become much more. */
  announce(): void {
    const increment = this.#window.announce();
    if (increment > 0) this.#sender.windowUpdate(0, increment);
  }
}
