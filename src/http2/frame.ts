// HTTP/2 frames (RFC 9113 section 4.1 and 6): types, flags, and how a frame's head is written.
//
//   HTTP Frame {
//     Length (24), Type (8), Flags (8), Reserved (1), Stream Identifier (31), Frame Payload (..),
//   }
//   DATA          { [Pad Length (8)], Data (..), Padding (..2040) }
//   HEADERS       { [Pad Length (8)], [Exclusive (1), Stream Dependency (31), Weight (8)], Field Block Fragment (..), Padding (..) }
//   PRIORITY      { Exclusive (1), Stream Dependency (31), Weight (8) }
//   RST_STREAM    { Error Code (32) }
//   SETTINGS      { Setting { Identifier (16), Value (32) } ... }
//   PING          { Opaque Data (64) }
//   GOAWAY        { Reserved (1), Last-Stream-ID (31), Error Code (32), Additional Debug Data (..) }
//   WINDOW_UPDATE { Reserved (1), Window Size Increment (31) }
//   CONTINUATION  { Field Block Fragment (..) }

export const FrameType = {
  DATA: 0x0,
  HEADERS: 0x1,
  PRIORITY: 0x2,
  RST_STREAM: 0x3,
  SETTINGS: 0x4,
  PUSH_PROMISE: 0x5,
  PING: 0x6,
  GOAWAY: 0x7,
  WINDOW_UPDATE: 0x8,
  CONTINUATION: 0x9,
} as const;

export const Flag = { ACK: 0x1, END_STREAM: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const;

export const HEAD_BYTES = 9;
/** SETTINGS_MAX_FRAME_SIZE as every peer has it until it says otherwise; we neither announce nor send more. */
export const FRAME_BYTES_MAX = 16_384;
/** The largest flow-control window, and the largest stream identifier. */
export const INT31_MAX = 0x7fff_ffff;

export function writeHead(out: Uint8Array, at: number, length: number, type: number, flags: number, id: number): void {
  out[at] = length >>> 16;
  out[at + 1] = length >>> 8;
  out[at + 2] = length;
  out[at + 3] = type;
  out[at + 4] = flags;
  writeUint32(out, at + 5, id);
}

export function writeUint32(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** A stream identifier or an increment: the reserved bit is ignored (RFC 9113 section 4.1). */
export function readUint31(bytes: Uint8Array, at: number): number {
  return readUint32(bytes, at) & INT31_MAX;
}
