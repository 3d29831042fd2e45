// Bytes as text, one character a byte, for the short strings of header fields.
//
// `toString` goes into C++, which costs more than a string of a dozen characters itself; those are put together here. Longer
// ones are not: V8 would build them as trees of pieces.

const SHORT = 12;

/** `bytes[start, end)` as a string that shares no memory with them. */
export function latin1Text(bytes: Buffer, start: number, end: number): string {
  if (end - start > SHORT) return bytes.toString("latin1", start, end);
  let text = "";
  let at = start;
  for (; at + 4 <= end; at += 4) {
    text += String.fromCharCode(bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, bytes[at + 3]!);
  }
  for (; at < end; at++) text += String.fromCharCode(bytes[at]!);
  return text;
}
