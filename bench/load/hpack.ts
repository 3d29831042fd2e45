// HPACK (RFC 7541) as far as a gRPC load client needs it: one constant request header block, and a whole decoder.
//
// The request's headers never change, so the first block of a connection puts them into the server's dynamic table and
// every later block is seven bytes of indices: what grpc-go and grpc-java send too. Sending literals each time would make
// servers decode 150 bytes a request that no real client sends. The decoder keeps the dynamic table, because servers
// index their answers' headers; asking for a table of 0 would change what the servers do.

import { decodeHuffman } from "./huffman.ts";

export type Header = readonly [name: string, value: string];

// prettier-ignore
const STATIC_TABLE: readonly Header[] = [
  [":authority", ""], [":method", "GET"], [":method", "POST"], [":path", "/"], [":path", "/index.html"],
  [":scheme", "http"], [":scheme", "https"], [":status", "200"], [":status", "204"], [":status", "206"],
  [":status", "304"], [":status", "400"], [":status", "404"], [":status", "500"], ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"], ["accept-language", ""], ["accept-ranges", ""], ["accept", ""],
  ["access-control-allow-origin", ""], ["age", ""], ["allow", ""], ["authorization", ""], ["cache-control", ""],
  ["content-disposition", ""], ["content-encoding", ""], ["content-language", ""], ["content-length", ""],
  ["content-location", ""], ["content-range", ""], ["content-type", ""], ["cookie", ""], ["date", ""], ["etag", ""],
  ["expect", ""], ["expires", ""], ["from", ""], ["host", ""], ["if-match", ""], ["if-modified-since", ""],
  ["if-none-match", ""], ["if-range", ""], ["if-unmodified-since", ""], ["last-modified", ""], ["link", ""],
  ["location", ""], ["max-forwards", ""], ["proxy-authenticate", ""], ["proxy-authorization", ""], ["range", ""],
  ["referer", ""], ["refresh", ""], ["retry-after", ""], ["server", ""], ["set-cookie", ""],
  ["strict-transport-security", ""], ["transfer-encoding", ""], ["user-agent", ""], ["vary", ""], ["via", ""],
  ["www-authenticate", ""],
];

const TABLE_BYTES_MAX = 4096;
const ENTRY_OVERHEAD_BYTES = 32;

/** Decodes the header blocks of one connection, which must come in the order of the wire. */
export class HpackDecoder {
  readonly #dynamic: Header[] = [];
  #dynamicBytes = 0;
  #tableBytesMax = TABLE_BYTES_MAX;
  #position = 0;

  decode(block: Uint8Array): Header[] {
    const headers: Header[] = [];
    this.#position = 0;
    while (this.#position < block.length) {
      const first = block[this.#position]!;
      if (first & 0x80) {
        headers.push(this.#entry(this.#integer(block, 7)));
      } else if ((first & 0xe0) === 0x20) {
        this.#tableBytesMax = this.#integer(block, 5);
        this.#evict();
      } else {
        const indexed = (first & 0xc0) === 0x40;
        const nameIndex = this.#integer(block, indexed ? 6 : 4);
        const name = nameIndex === 0 ? this.#string(block) : this.#entry(nameIndex)[0];
        const header: Header = [name, this.#string(block)];
        if (indexed) this.#insert(header);
        headers.push(header);
      }
    }
    return headers;
  }

  #entry(index: number): Header {
    const header =
      index <= STATIC_TABLE.length ? STATIC_TABLE[index - 1] : this.#dynamic[index - 1 - STATIC_TABLE.length];
    if (header === undefined) throw new Error(`header index ${index} is in no table`);
    return header;
  }

  #insert(header: Header): void {
    this.#dynamic.unshift(header);
    this.#dynamicBytes += header[0].length + header[1].length + ENTRY_OVERHEAD_BYTES;
    this.#evict();
  }

  #evict(): void {
    while (this.#dynamicBytes > this.#tableBytesMax) {
      const [name, value] = this.#dynamic.pop()!;
      this.#dynamicBytes -= name.length + value.length + ENTRY_OVERHEAD_BYTES;
    }
  }

  #integer(block: Uint8Array, prefixBits: number): number {
    const max = (1 << prefixBits) - 1;
    let value = block[this.#position++]! & max;
    if (value < max) return value;
    for (let scale = 1; ; scale *= 128) {
      const byte = block[this.#position++];
      if (byte === undefined) throw new Error("a header block ends inside an integer");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  #string(block: Uint8Array): string {
    const huffman = (block[this.#position] ?? 0) & 0x80;
    const length = this.#integer(block, 7);
    const start = this.#position;
    this.#position += length;
    if (this.#position > block.length) throw new Error("a header block ends inside a string");
    if (huffman) return decodeHuffman(block, start, this.#position);
    return Buffer.from(block.buffer, block.byteOffset + start, length).toString("latin1");
  }
}

/** The header blocks of gRPC calls to one method: `first` opens a connection's first call, `later` every other. */
export interface RequestBlocks {
  readonly first: Buffer;
  readonly later: Buffer;
}

/** @param tableBytes what the server's SETTINGS allow the dynamic table to hold. */
export function requestBlocks(path: string, authority: string, userAgent: string, tableBytes: number): RequestBlocks {
  const fields = [
    { nameIndex: 4, name: ":path", value: path },
    { nameIndex: 1, name: ":authority", value: authority },
    { nameIndex: 31, name: "content-type", value: "application/grpc" },
    { nameIndex: 0, name: "te", value: "trailers" },
    { nameIndex: 58, name: "user-agent", value: userAgent },
  ];
  const methodAndScheme = [0x83, 0x86];
  const bytes = fields.reduce((sum, { name, value }) => sum + name.length + value.length + ENTRY_OVERHEAD_BYTES, 0);
  const indexed = bytes <= Math.min(tableBytes, TABLE_BYTES_MAX);
  const first = [...(indexed ? [] : [0x20]), ...methodAndScheme];
  for (const { nameIndex, name, value } of fields) {
    if (indexed) first.push(0x40 | nameIndex);
    else if (nameIndex < 15) first.push(nameIndex);
    else first.push(15, nameIndex - 15);
    if (nameIndex === 0) first.push(...literal(name));
    first.push(...literal(value));
  }
  if (!indexed) return { first: Buffer.from(first), later: Buffer.from(first.slice(1)) };
  // The newest entry of the dynamic table has the lowest index.
  const indices = fields.map((_, i) => 0x80 | (STATIC_TABLE.length + fields.length - i));
  return { first: Buffer.from(first), later: Buffer.from([...methodAndScheme, ...indices]) };
}

function literal(text: string): number[] {
  const bytes = Buffer.from(text, "latin1");
  if (bytes.length > 126) throw new Error(`"${text}" is too long for a header of the load client: 126 bytes at most`);
  return [bytes.length, ...bytes];
}
