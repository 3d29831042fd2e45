// An HPACK encoder that can do all that the RFC lets an encoder do, told field by field what to do. Its dynamic table is a
// plain array, so that it shares no code and no idea with the decoder's.

import { STATIC_NAMES, STATIC_VALUES } from "../../../src/http2/hpack/static-table.ts";

export type Field = readonly [name: string, value: string];

/** How to write a field. An index is used wherever there is one. */
export type Form = "insert" | "plain" | "never";

const STATIC_ENTRIES = STATIC_NAMES.length - 1;

export class ModelEncoder {
  #entries: Field[] = [];
  #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** A size update, which belongs in front of a block. */
  resize(bytesMax: number): number[] {
    this.#bytesMax = bytesMax;
    this.#evict();
    return integer(0x20, 5, bytesMax);
  }

  field([name, value]: Field, form: Form): number[] {
    const index = this.#find((n, v) => n === name && v === value);
    if (index !== 0 && form !== "never") return integer(0x80, 7, index);
    const nameIndex = this.#find((n) => n === name);
    const [flags, bits] = form === "insert" ? [0x40, 6] : form === "plain" ? [0x00, 4] : [0x10, 4];
    const bytes = [...integer(flags, bits, nameIndex), ...(nameIndex === 0 ? text(name) : []), ...text(value)];
    if (form === "insert") {
      this.#entries.unshift([name, value]);
      this.#evict();
    }
    return bytes;
  }

  #find(matches: (name: string, value: string) => boolean): number {
    const dynamic = this.#entries.findIndex(([name, value]) => matches(name, value));
    if (dynamic >= 0) return STATIC_ENTRIES + 1 + dynamic;
    for (let i = 1; i <= STATIC_ENTRIES; i++) if (matches(STATIC_NAMES[i]!, STATIC_VALUES[i]!)) return i;
    return 0;
  }

  #evict(): void {
    while (listBytes(this.#entries) > this.#bytesMax) this.#entries.pop();
  }
}

/** A header list's size as HTTP/2 counts it. */
export function listBytes(fields: readonly Field[]): number {
  return fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
}

export function integer(flags: number, bits: number, value: number): number[] {
  const max = 2 ** bits - 1;
  if (value < max) return [flags | value];
  const bytes = [flags | max];
  let rest = value - max;
  while (rest > 127) {
    bytes.push(128 + (rest % 128));
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

/** A string that is not Huffman-coded. */
export function text(value: string): number[] {
  return [...integer(0, 7, value.length), ...Buffer.from(value, "latin1")];
}

/** What a decoder's flat list holds. */
export function pairs(fields: readonly string[]): Field[] {
  return Array.from({ length: fields.length / 2 }, (_, i): Field => [fields[2 * i]!, fields[2 * i + 1]!]);
}
