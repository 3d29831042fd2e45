// HTTP/2 frames (RFC 9113, section 4.1) as the load client writes them: into one buffer that leaves in one write.
//
//   frame = length:uint24 type:uint8 flags:uint8 stream:uint31 payload
//
// A written buffer is used again when the socket has taken it, by whichever connection needs one next: a client under load
// allocates no buffers, and a thousand connections need as many as have something on the way to their sockets.

import type { Socket } from "node:net";

export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;
export const Flag = { ACK: 1, END_STREAM: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;
export const Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
} as const;

export const HEAD_BYTES = 9;
/** The largest payload of a frame that every server takes. */
export const PAYLOAD_BYTES_MAX = 16_384;
const WRITE_BUFFER_BYTES = 256 * 1024;

const spare: Buffer[] = [];
/** Stands for a buffer that is yet to be taken: no frame fits into it. */
const NONE: Buffer = Buffer.alloc(0);

export class FrameWriter {
  readonly #socket: Socket;
  #out = NONE;
  #written = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Writes a frame's head and makes sure that its payload, at most PAYLOAD_BYTES_MAX, fits behind it. */
  head(length: number, type: number, flags: number, id: number): void {
    if (this.#written + HEAD_BYTES + length > this.#out.length) {
      this.flush();
      if (this.#out === NONE) this.#out = spare.pop() ?? Buffer.allocUnsafeSlow(WRITE_BUFFER_BYTES);
    }
    const out = this.#out;
    const at = this.#written;
    out[at] = length >>> 16;
    out[at + 1] = length >>> 8;
    out[at + 2] = length;
    out[at + 3] = type;
    out[at + 4] = flags;
    out[at + 5] = id >>> 24;
    out[at + 6] = id >>> 16;
    out[at + 7] = id >>> 8;
    out[at + 8] = id;
    this.#written = at + HEAD_BYTES;
  }

  /** Writes a part of the payload that `head` announced. */
  payload(bytes: Buffer, start: number, end: number): void {
    bytes.copy(this.#out, this.#written, start, end);
    this.#written += end - start;
  }

  settings(entries: readonly (readonly [setting: number, value: number])[]): void {
    this.head(6 * entries.length, FrameType.SETTINGS, 0, 0);
    for (const [setting, value] of entries) {
      this.#written = this.#out.writeUInt16BE(setting, this.#written);
      this.#written = this.#out.writeUInt32BE(value, this.#written);
    }
  }

  windowUpdate(id: number, bytes: number): void {
    this.head(4, FrameType.WINDOW_UPDATE, 0, id);
    this.#written = this.#out.writeUInt32BE(bytes, this.#written);
  }

  /** Hands what was written to the socket; nothing, if it is closed. */
  flush(): void {
    if (this.#written === 0 || this.#socket.destroyed) return;
    const full = this.#out;
    this.#socket.write(full.subarray(0, this.#written), () => spare.push(full));
    this.#out = NONE;
    this.#written = 0;
  }
}
