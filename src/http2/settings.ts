// SETTINGS (RFC 9113 section 6.5): what a client says of itself, and what we say.

import { ConnectionError, ErrorCode } from "./error-code.ts";
import { INT31_MAX, readUint32, writeUint32 } from "./frame.ts";

const Setting = {
  HEADER_TABLE_SIZE: 0x1,
  ENABLE_PUSH: 0x2,
  MAX_CONCURRENT_STREAMS: 0x3,
  INITIAL_WINDOW_SIZE: 0x4,
  MAX_FRAME_SIZE: 0x5,
  MAX_HEADER_LIST_SIZE: 0x6,
} as const;

const SETTING_BYTES = 6;
/** Every window, until somebody says otherwise. */
export const DEFAULT_WINDOW_BYTES = 65_535;
/** SETTINGS_HEADER_TABLE_SIZE as it is unless announced otherwise, which we do not. */
export const HEADER_TABLE_BYTES = 4_096;

/**
 * Reads a client's settings. Only its initial window matters to us: we push nothing, send frames of the least maximum, and
 * use no dynamic table (but see `lowersHeaderTable`).
 * @returns the client's new SETTINGS_INITIAL_WINDOW_SIZE, or `windowBytes`, the one so far.
 * @throws ConnectionError
 */
export function readSettings(bytes: Uint8Array, start: number, end: number, windowBytes: number): number {
  if ((end - start) % SETTING_BYTES !== 0) {
    throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS: the length is not a multiple of 6");
  }
  let initialWindowBytes = windowBytes;
  for (let at = start; at < end; at += SETTING_BYTES) {
    const value = readUint32(bytes, at + 2);
    switch ((bytes[at]! << 8) | bytes[at + 1]!) {
      case Setting.ENABLE_PUSH:
        if (value > 1) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH is neither 0 nor 1");
        break;
      case Setting.INITIAL_WINDOW_SIZE:
        if (value > INT31_MAX) {
          throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE is above 2^31-1");
        }
        initialWindowBytes = value;
        break;
      case Setting.MAX_FRAME_SIZE:
        if (value < 16_384 || value > 16_777_215) {
          throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE is not in 16384 to 16777215");
        }
        break;
    }
  }
  return initialWindowBytes;
}

/**
 * Does the client want a dynamic table below the one that every connection begins with? It has to be told then that it is
 * made smaller, although we put nothing into it (RFC 7541 section 4.2).
 */
export function lowersHeaderTable(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += SETTING_BYTES) {
    const identifier = (bytes[at]! << 8) | bytes[at + 1]!;
    if (identifier === Setting.HEADER_TABLE_SIZE && readUint32(bytes, at + 2) < HEADER_TABLE_BYTES) return true;
  }
  return false;
}

/** The payload of our SETTINGS. */
export function writeSettings(options: {
  readonly streamsMax: number;
  readonly streamWindowBytes: number;
  readonly headerListBytesMax: number;
}): Uint8Array {
  const settings = [
    [Setting.MAX_CONCURRENT_STREAMS, options.streamsMax],
    [Setting.INITIAL_WINDOW_SIZE, options.streamWindowBytes],
    [Setting.MAX_HEADER_LIST_SIZE, options.headerListBytesMax],
  ] as const;
  const payload = new Uint8Array(settings.length * SETTING_BYTES);
  for (const [i, [identifier, value]] of settings.entries()) {
    payload[i * SETTING_BYTES + 1] = identifier;
    writeUint32(payload, i * SETTING_BYTES + 2, value);
  }
  return payload;
}
