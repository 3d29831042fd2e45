// One gRPC call of the load client: what it still has to send, what its windows allow, how it ended.

import type { Header } from "./hpack.ts";

/** What a call reports. `onMessage` gets a view that is valid until it returns. */
export interface CallEvents {
  onMessage(bytes: Buffer, start: number, end: number): void;
  /** Once, at the call's end. @param status gRPC's status code. */
  onEnd(status: number, message: string): void;
}

/** A prebuilt message on its way out. */
export interface Outgoing {
  readonly message: Buffer;
  readonly sequence: number;
  /** True: it ends our side of the call. */
  readonly last: boolean;
  /** What is written already. */
  offset: number;
}

const PREFIX_BYTES = 5;
const UNKNOWN_STATUS = -1;

export class Call {
  readonly id: number;
  readonly queue: Outgoing[] = [];
  sendWindow: number;
  /** What came since the server's window was last renewed. */
  received = 0;
  readonly #events: CallEvents;
  #partial: Buffer | undefined;
  #status = UNKNOWN_STATUS;
  #statusMessage = "";

  constructor(id: number, events: CallEvents, sendWindow: number) {
    this.id = id;
    this.#events = events;
    this.sendWindow = sendWindow;
  }

  /** Takes the next bytes of the answer's body and reports the messages that are whole. */
  receive(bytes: Buffer, start: number, end: number): void {
    if (this.#partial !== undefined) {
      const joined = Buffer.concat([this.#partial, bytes.subarray(start, end)]);
      this.#partial = undefined;
      return this.receive(joined, 0, joined.length);
    }
    let at = start;
    while (end - at >= PREFIX_BYTES) {
      const length = bytes.readUInt32BE(at + 1);
      if (end - at - PREFIX_BYTES < length) break;
      if (bytes[at] !== 0) throw new Error("the server sent a compressed message that nobody asked for");
      this.#events.onMessage(bytes, at + PREFIX_BYTES, at + PREFIX_BYTES + length);
      at += PREFIX_BYTES + length;
    }
    if (at < end) this.#partial = Buffer.from(bytes.subarray(at, end));
  }

  /** Takes headers or trailers. */
  receiveHeaders(headers: readonly Header[]): void {
    const status = find(headers, "grpc-status");
    if (status === undefined) return;
    this.#status = Number(status);
    this.#statusMessage = percentDecoded(find(headers, "grpc-message") ?? "");
  }

  /** Reports the end, with the server's status, or with this one where the server gave none. */
  end(status: number, message: string): void {
    if (this.#status === UNKNOWN_STATUS) this.#events.onEnd(status, message);
    else this.#events.onEnd(this.#status, this.#statusMessage);
  }
}

function find(headers: readonly Header[], name: string): string | undefined {
  return headers.find((header) => header[0] === name)?.[1];
}

/** gRPC's message of a status is percent-encoded; what is not is shown as it came. */
function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
