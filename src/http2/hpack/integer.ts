// HPACK's integers (RFC 7541 section 5.1), read and written.
//
//     if I < 2^N - 1, encode I on N bits
//     else encode (2^N - 1) on N bits, then I - (2^N - 1) in groups of 7 bits, the lowest first,
//          with the top bit set in all but the last
//
// The RFC sets no bound, and allows any number of groups that add nothing. Here a value is at most 2^31 - 1 and has at most
// five groups: far above any length or index that means something, and no endless loop over zeros.

import { ConnectionError, ErrorCode } from "../error-code.ts";

const VALUE_MAX = 0x7f_ff_ff_ff;
const GROUPS_MAX = 5;

/** Reads integers; an object because there are two results, and none may be allocated. */
export class IntegerReader {
  /** Where the integer read last ends: the position of the byte after it. */
  at = 0;

  /**
   * @param at position of the byte with the prefix, below `end`.
   * @param prefix 2^N - 1.
   * @throws {ConnectionError} it does not end before `end`, or is too large.
   */
  read(bytes: Uint8Array, at: number, end: number, prefix: number): number {
    let value = bytes[at]! & prefix;
    if (value < prefix) {
      this.at = at + 1;
      return value;
    }
    let scale = 1;
    for (let i = at + 1; i <= at + GROUPS_MAX; i++) {
      if (i >= end) throw new ConnectionError(ErrorCode.COMPRESSION_ERROR, "the header block ends inside an integer");
      const byte = bytes[i]!;
      // Below 2^36: no rounding.
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > VALUE_MAX) break;
        this.at = i + 1;
        return value;
      }
      scale *= 128;
    }
    throw new ConnectionError(ErrorCode.COMPRESSION_ERROR, "the header block holds an integer of more than 31 bits");
  }
}

/** Appends an integer. @param flags the bits above the prefix. @param prefix 2^N - 1. */
export function pushInteger(bytes: number[], flags: number, prefix: number, value: number): void {
  if (value < prefix) {
    bytes.push(flags | value);
    return;
  }
  bytes.push(flags | prefix);
  let rest = value - prefix;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  bytes.push(rest);
}
