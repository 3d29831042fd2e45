// HTTP/2 frames (RFC 9113, section 4.1), written and read by the tests alone: nothing here is the product's, so that a mistake
// there is not repeated here. Whatever is asked for is written, allowed or not.
//
//   frame = length:uint24 type:uint8 flags:uint8 reserved:1 stream:uint31 payload

export const Type = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;
const NAMES = Object.keys(Type);

export const Flag = { ACK: 1, END_STREAM: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;

export const Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
export const HEAD_BYTES = 9;
export const PAYLOAD_BYTES_MAX = 16_384;
export const WINDOW_BYTES = 65_535;
export const WINDOW_BYTES_MAX = 0x7fffffff;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** @param announced what the head says of the payload's length, where that is not the truth. */
export function frame(
  type: number,
  flags: number,
  id: number,
  payload: Uint8Array = Buffer.alloc(0),
  announced = payload.length,
): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + payload.length);
  bytes.writeUIntBE(announced, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(id >>> 0, 5);
  bytes.set(payload, HEAD_BYTES);
  return bytes;
}

export function settings(entries: readonly (readonly [setting: number, value: number])[] = []): Buffer {
  const payload = Buffer.alloc(entries.length * 6);
  for (const [i, [setting, value]] of entries.entries()) {
    payload.writeUInt16BE(setting, i * 6);
    payload.writeUInt32BE(value >>> 0, i * 6 + 2);
  }
  return frame(Type.SETTINGS, 0, 0, payload);
}

export const settingsAck = (): Buffer => frame(Type.SETTINGS, Flag.ACK, 0);

export const ping = (payload: Uint8Array = Buffer.alloc(8)): Buffer => frame(Type.PING, 0, 0, payload);

export const windowUpdate = (id: number, increment: number): Buffer =>
  frame(Type.WINDOW_UPDATE, 0, id, uint32(increment));

export const rstStream = (id: number, code: number): Buffer => frame(Type.RST_STREAM, 0, id, uint32(code));

export const priority = (id: number, dependsOn: number, weight = 15): Buffer =>
  frame(Type.PRIORITY, 0, id, Buffer.concat([uint32(dependsOn), Buffer.from([weight])]));

export function data(id: number, bytes: Uint8Array, end = false, padding?: number): Buffer {
  const flags = (end ? Flag.END_STREAM : 0) | (padding === undefined ? 0 : Flag.PADDED);
  return frame(Type.DATA, flags, id, padded(bytes, padding));
}

export interface HeadersOptions {
  readonly end?: boolean;
  readonly padding?: number;
  /** The stream that this one depends on. */
  readonly dependsOn?: number;
  /** Bytes of the block in each frame; what is left goes on in CONTINUATION frames. */
  readonly fragmentBytes?: number;
}

/** HEADERS, with CONTINUATION frames where the block is longer than one frame holds. */
export function headers(id: number, block: Uint8Array, options: HeadersOptions = {}): Buffer {
  const { end = false, padding, dependsOn, fragmentBytes = PAYLOAD_BYTES_MAX - 300 } = options;
  const first = block.subarray(0, fragmentBytes);
  const whole = first.length === block.length;
  const flags =
    (end ? Flag.END_STREAM : 0) |
    (whole ? Flag.END_HEADERS : 0) |
    (padding === undefined ? 0 : Flag.PADDED) |
    (dependsOn === undefined ? 0 : Flag.PRIORITY);
  const weighted =
    dependsOn === undefined ? first : Buffer.concat([uint32(dependsOn), Buffer.from([15]), Buffer.from(first)]);
  const frames = [frame(Type.HEADERS, flags, id, padded(weighted, padding))];
  for (let at = first.length; at < block.length; at += fragmentBytes) {
    const part = block.subarray(at, at + fragmentBytes);
    frames.push(frame(Type.CONTINUATION, at + part.length === block.length ? Flag.END_HEADERS : 0, id, part));
  }
  return Buffer.concat(frames);
}

function padded(bytes: Uint8Array, padding: number | undefined): Uint8Array {
  return padding === undefined ? bytes : Buffer.concat([Buffer.from([padding]), bytes, Buffer.alloc(padding)]);
}

/** The content of a DATA or HEADERS frame without its padding and its priority. @throws Error where there is more padding than frame. */
export function contentOf({ type, flags, payload }: Frame): Buffer {
  const isPadded = (flags & Flag.PADDED) !== 0;
  const start = (isPadded ? 1 : 0) + (type === Type.HEADERS && flags & Flag.PRIORITY ? 5 : 0);
  const end = payload.length - (isPadded ? payload[0]! : 0);
  if (end < start) throw new Error("a frame with more padding than it holds");
  return payload.subarray(start, end);
}

export function describe({ type, flags, id, payload }: Frame): string {
  const name = NAMES[type] ?? `type ${type}`;
  const what =
    type === Type.RST_STREAM || type === Type.WINDOW_UPDATE
      ? ` ${payload.readUInt32BE(0)}`
      : type === Type.GOAWAY
        ? ` last ${payload.readUInt32BE(0)} code ${payload.readUInt32BE(4)} "${payload.toString("latin1", 8)}"`
        : ` ${payload.length} bytes`;
  return `${name} flags ${flags} stream ${id}${what}`;
}

/** Takes whole frames off a row of bytes that comes in pieces. */
export class FrameSplitter {
  #rest: Buffer = Buffer.alloc(0);

  /** Bytes of a frame that has not ended. */
  get rest(): Buffer {
    return this.#rest;
  }

  push(bytes: Buffer): Frame[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: Frame[] = [];
    let at = 0;
    while (all.length - at >= HEAD_BYTES) {
      const length = all.readUIntBE(at, 3);
      const end = at + HEAD_BYTES + length;
      if (end > all.length) break;
      frames.push({
        type: all[at + 3]!,
        flags: all[at + 4]!,
        id: all.readUInt32BE(at + 5),
        payload: all.subarray(at + HEAD_BYTES, end),
      });
      at = end;
    }
    this.#rest = all.subarray(at);
    return frames;
  }
}
