// HPACK's Huffman code (RFC 7541 section 5.2 and appendix B): decoding.
//
// A state machine that takes four bits a step. A state is a node inside the code's tree, of which there are 256; no code is
// shorter than five bits, so a step gives at most one symbol. All steps are one table of 16 KiB, which stays in the CPU's first
// cache. Rejected: bit by bit through the tree (four times the steps), and eight bits a step (256 KiB, and up to two symbols).
//
// The code is canonical: codes of one length are consecutive in the order of their symbols, and longer codes go on where
// shorter ones end. So the lengths alone give the table; typing 257 codes would only add places for a slip.
//
// What the RFC asks of a decoder: the code of EOS in a string is an error, and so is padding that is longer than seven bits or
// not made of ones, which are the first bits of EOS.

import { ConnectionError, ErrorCode } from "../error-code.ts";
import { latin1Text } from "./latin1.ts";

// Bits of the code of each symbol from 0 to 255, and of EOS.
const LENGTHS = `
  13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28
   6 10 10 12 13  6  8 11 10 10  8 11  8  6  6  6  5  5  5  6  6  6  6  6  6  6  7  8 15  6 12 10
  13  6  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  7  8  7  8 13 19 13 14  6
  15  5  6  5  6  5  6  6  6  5  7  7  6  6  6  5  6  7  6  5  5  6  7  7  7  7  7 15 11 14 13 28
  20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24
  22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23
  26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27
  20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26
  30
`
  .trim()
  .split(/\s+/)
  .map(Number);

const EOS = 256;

/** A child that is a symbol, not a node: its bits are inverted. */
function leaf(symbol: number): number {
  return ~symbol;
}

/** The code's tree: node n has its children at 2n and 2n + 1. The root is node 0, so a child that is 0 is not there yet. */
function buildTree(): Int32Array {
  const children = new Int32Array(2 * EOS);
  let nodes = 1;
  let code = 0;
  let codeLength = 0;
  const symbols = [...LENGTHS.keys()].sort((a, b) => LENGTHS[a]! - LENGTHS[b]! || a - b);
  for (const symbol of symbols) {
    const length = LENGTHS[symbol]!;
    code *= 2 ** (length - codeLength);
    codeLength = length;
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) {
      const slot = 2 * node + ((code >> bit) & 1);
      if (children[slot] === 0) children[slot] = nodes++;
      node = children[slot]!;
    }
    children[2 * node + (code & 1)] = leaf(symbol);
    code++;
  }
  return children;
}

const STATE_BITS = 0xff;
const SYMBOL_SHIFT = 8;
const EMITS = 0x1_00_00;
const FAILS = -1;

const TREE = buildTree();

/** At `state * 16 + bits`: the next state, with the symbol that was completed, if any; or FAILS. */
const STEPS = Int32Array.from({ length: EOS * 16 }, (_, index) => {
  let node = index >> 4;
  let step = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const child = TREE[2 * node + ((index >> bit) & 1)]!;
    if (child === leaf(EOS)) return FAILS;
    if (child < 0) step = EMITS | (leaf(child) << SYMBOL_SHIFT);
    node = Math.max(child, 0);
  }
  return step | node;
});

/** Whether a string may end in a state: at most seven bits, all ones, came after its last symbol. */
const ENDS = new Uint8Array(EOS);
for (let node = 0, ones = 0; ones < 8; node = TREE[2 * node + 1]!, ones++) ENDS[node] = 1;

/** The shortest code has five bits. */
const BITS_MIN = 5;

let decoded = Buffer.allocUnsafeSlow(4096);

/**
 * Decodes `bytes[start, end)` into a buffer that every call uses again: see `huffmanText`.
 *
 * @returns how many bytes there are now.
 * @throws {ConnectionError} the string is not well-formed.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): number {
  const room = Math.ceil(((end - start) * 8) / BITS_MIN);
  // As large as the longest header block that a connection takes makes it, once per process.
  if (room > decoded.length) decoded = Buffer.allocUnsafeSlow(room * 2);
  const length = run(decoded, bytes, start, end);
  if (length < 0) throw new ConnectionError(ErrorCode.COMPRESSION_ERROR, "a Huffman string is not well-formed");
  return length;
}

/** The first `length` bytes of what was decoded last. */
export function huffmanText(length: number): string {
  return latin1Text(decoded, 0, length);
}

/** Returns the length, or -1. */
function run(target: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
  let length = 0;
  let state = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    const high = STEPS[(state << 4) | (byte >> 4)]!;
    if (high === FAILS) return -1;
    if ((high & EMITS) !== 0) target[length++] = high >> SYMBOL_SHIFT;
    const low = STEPS[((high & STATE_BITS) << 4) | (byte & 15)]!;
    if (low === FAILS) return -1;
    if ((low & EMITS) !== 0) target[length++] = low >> SYMBOL_SHIFT;
    state = low & STATE_BITS;
  }
  return ENDS[state] === 1 ? length : -1;
}
