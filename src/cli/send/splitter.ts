// Cuts a stream of bytes into the texts of its records, without holding more than one record and one chunk.
//
// A splitter knows where a record ends, not whether it is right: that is JSON.parse's job, one record at a time, so a
// broken record costs itself and not its neighbours. Rejected: a streaming JSON parser. It makes values of everything,
// where a record's own bytes are what is sent, and is ten times slower.

/** The text of one record. */
export interface Piece {
  /** Where it begins, from 1. */
  readonly line: number;
  readonly bytes: Buffer;
}

export interface Splitter {
  /** Appends the records that end in this chunk to `out`. Throws an InputError if nothing after it can be read. */
  push(chunk: Buffer, out: Piece[]): void;
  end(out: Piece[]): void;
}

/** The input cannot be read from here on. */
export class InputError extends Error {
  override readonly name = "InputError";
  /** From 1; 0 if it is about no line. */
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

/** The longest record, in bytes; the service takes messages of 4 MiB unless it is told otherwise. */
export const RECORD_BYTES_MAX = 16 * 1024 * 1024;

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** The beginning of a record whose end is in a later chunk. */
class Remainder {
  #parts: Buffer[] = [];
  #length = 0;

  add(part: Buffer, line: number): void {
    this.#length += part.length;
    if (this.#length > RECORD_BYTES_MAX)
      throw new InputError(line, `a record of more than ${RECORD_BYTES_MAX / 1024 ** 2} MiB begins here`);
    if (part.length > 0) this.#parts.push(part);
  }

  /** The record, with its last part. */
  take(last: Buffer, line: number): Buffer {
    this.add(last, line);
    const bytes = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#length = 0;
    return bytes;
  }
}

/** One record a line; empty lines are none. */
export class LineSplitter implements Splitter {
  readonly #remainder = new Remainder();
  #line = 1;

  push(chunk: Buffer, out: Piece[]): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#emit(chunk.subarray(start, end), out);
      this.#line += 1;
      start = end + 1;
    }
    this.#remainder.add(chunk.subarray(start), this.#line);
  }

  end(out: Piece[]): void {
    this.#emit(Buffer.alloc(0), out);
  }

  #emit(last: Buffer, out: Piece[]): void {
    const bytes = trimmed(this.#remainder.take(last, this.#line));
    if (bytes.length > 0) out.push({ line: this.#line, bytes });
  }
}

const State = { BEFORE: 0, GAP: 1, ELEMENT: 2, AFTER: 3 } as const;
type State = (typeof State)[keyof typeof State];

//   array   := ws "[" ws [ element { ws "," ws element } ] ws "]" ws
//   element := anything in which quotes, brackets and braces are balanced
/** The elements of one JSON array. */
export class JsonArraySplitter implements Splitter {
  readonly #remainder = new Remainder();
  #state: State = State.BEFORE;
  #line = 1;
  /** Where the element that is being read begins. */
  #startLine = 1;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** A comma came before this element, so there has to be one. */
  #afterComma = false;

  push(chunk: Buffer, out: Piece[]): void {
    // Locals, because this runs for every byte.
    let start = 0;
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (byte === NEWLINE) this.#line += 1;
      if (this.#state === State.ELEMENT) {
        if (inString) {
          if (escaped) escaped = false;
          else if (byte === BACKSLASH) escaped = true;
          else if (byte === QUOTE) inString = false;
        } else if (byte === QUOTE) inString = true;
        else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
        else if (depth > 0) {
          if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth -= 1;
        } else if (byte === COMMA || byte === CLOSE_BRACKET) {
          out.push({
            line: this.#startLine,
            bytes: trimmed(this.#remainder.take(chunk.subarray(start, at), this.#startLine)),
          });
          this.#separated(byte);
        }
        continue;
      }
      if (isSpace(byte)) continue;
      if (this.#state === State.GAP) {
        if (byte === COMMA || byte === CLOSE_BRACKET) {
          // A missing element is a record that is wrong, as JSON.parse will say.
          if (byte === COMMA || this.#afterComma) out.push({ line: this.#line, bytes: Buffer.alloc(0) });
          this.#separated(byte);
        } else {
          this.#state = State.ELEMENT;
          this.#startLine = this.#line;
          start = at;
          // The element's first byte is looked at like its others.
          if (byte === NEWLINE) this.#line -= 1;
          at -= 1;
        }
      } else if (this.#state === State.BEFORE && byte === OPEN_BRACKET) this.#state = State.GAP;
      else if (this.#state === State.BEFORE)
        throw new InputError(this.#line, "this is not a JSON array: it does not begin with [");
      else
        throw new InputError(
          this.#line,
          "there is more after the end of the JSON array; one array a file, or one record a line",
        );
    }
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    if (this.#state === State.ELEMENT) this.#remainder.add(chunk.subarray(start), this.#startLine);
  }

  end(): void {
    if (this.#state !== State.AFTER) throw new InputError(this.#line, "the JSON array is cut off: its ] is missing");
  }

  #separated(byte: number): void {
    this.#state = byte === COMMA ? State.GAP : State.AFTER;
    this.#afterComma = byte === COMMA;
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === NEWLINE || byte === CARRIAGE_RETURN || byte === 0x09;
}

function trimmed(bytes: Buffer): Buffer {
  let start = 0;
  let end = bytes.length;
  while (end > start && isSpace(bytes[end - 1]!)) end -= 1;
  while (start < end && isSpace(bytes[start]!)) start += 1;
  return bytes.subarray(start, end);
}
