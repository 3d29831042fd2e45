// HPACK's Huffman code (RFC 7541, appendix B), for decoding what servers say in their headers.
//
// The code is canonical: codes of one length are consecutive in the order of their symbols, and longer codes go on where
// shorter ones end. So the lengths alone give the table; typing 257 codes would only add places for a slip.

const LENGTHS = `
  13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28
   6 10 10 12 13  6  8 11 10 10  8 11  8  6  6  6  5  5  5  6  6  6  6  6  6  6  7  8 15  6 12 10
  13  6  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  8  7  8 13 19 13 14  6
  15  5  6  5  6  5  6  6  6  5  7  7  6  6  6  5  6  7  6  5  5  6  7  7  7  7  7 15 11 14 13 28
  20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24
  22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23
  26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27
  20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26
`
  .trim()
  .split(/\s+/)
  .map(Number);

const LENGTH_MAX = 30;

interface LengthRow {
  /** The first code of this length, and how many there are. */
  readonly first: number;
  readonly count: number;
  /** Where this length's symbols begin in SYMBOLS. */
  readonly offset: number;
}

const SYMBOLS = [...LENGTHS.keys()].sort((a, b) => LENGTHS[a]! - LENGTHS[b]! || a - b);

const ROWS: readonly LengthRow[] = (() => {
  const rows: LengthRow[] = [];
  let first = 0;
  let offset = 0;
  for (let length = 0; length <= LENGTH_MAX; length++) {
    const count = LENGTHS.filter((l) => l === length).length;
    rows.push({ first, count, offset });
    first = (first + count) * 2;
    offset += count;
  }
  return rows;
})();

/** Decodes the bytes from `start` to `end`; what is left of the last byte is padding. */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  let code = 0;
  let length = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    for (let bit = 7; bit >= 0; bit--) {
      code = code * 2 + ((byte >> bit) & 1);
      length++;
      const row = ROWS[length];
      if (row === undefined) throw new Error("a Huffman code of more than 30 bits");
      const index = code - row.first;
      if (index >= 0 && index < row.count) {
        text += String.fromCharCode(SYMBOLS[row.offset + index]!);
        code = 0;
        length = 0;
      }
    }
  }
  return text;
}
