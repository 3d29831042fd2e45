// HPACK's decoder (RFC 7541): a connection's header blocks, in the order of the wire, as header lists.
//
//     block      = *2size-update *field
//     field      = indexed                1xxxxxxx: index, 7-bit prefix
//                / literal, inserted      01xxxxxx: index of the name, 6-bit prefix, or 0 and the name; then the value
//                / literal, not inserted  000nxxxx: the same with a 4-bit prefix; n: never to be inserted by anybody
//     size-update =                       001xxxxx: bytes, 5-bit prefix
//     string     =                        hxxxxxxx: length, 7-bit prefix, then so many bytes; h: they are Huffman-coded
//
// Two ways in: a block that was decoded before while the dynamic table stood as it stands is looked up (block-cache.ts);
// any other is decoded. The second has to be fast too, as grpc-go inserts `grpc-timeout` anew with each request.
//
// A list over its limit is an answer, not an error: its fields are dropped, and the rest of the block is decoded for what it
// does to the table, without making strings that nobody keeps. So 16 KiB of one-byte indices to an entry of 4 KiB cost 16 Ki steps
// and no memory. What is no valid HPACK is the connection's end, since the table can no longer be the same on both sides.

import { type Attack, ConnectionError, ErrorCode } from "../error-code.ts";
import { BlockCache } from "./block-cache.ts";
import { DynamicTable, ENTRY_OVERHEAD_BYTES } from "./dynamic-table.ts";
import type { HeaderList } from "./header-list.ts";
import { decodeHuffman, huffmanText } from "./huffman.ts";
import { IntegerReader } from "./integer.ts";
import { latin1Text } from "./latin1.ts";
import { STATIC_ENTRIES, STATIC_NAMES, STATIC_VALUES } from "./static-table.ts";

export interface HeaderDecoderOptions {
  /** What we announced as SETTINGS_HEADER_TABLE_SIZE, which is also where the table begins. */
  readonly tableBytesMax: number;
  /** A header list's size as RFC 9113 section 10.5.1 counts it: bytes of names and values, and 32 a field. */
  readonly listBytesMax: number;
  /** How many blocks are looked up instead of decoded. Default 16; 0: none. */
  readonly cachedBlocksMax?: number;
}

const CACHED_BLOCKS_MAX = 16;

/** RFC 7541 section 4.2: the smallest size since the last block, and the size now. */
const SIZE_UPDATES_PER_BLOCK = 2;

// One for all connections: it holds nothing between two calls.
const integers = new IntegerReader();

export class HeaderDecoder {
  /** Changes of the table's size that all blocks have held. Each may empty the table, and honest clients send a handful. */
  sizeUpdates = 0;
  /**
   * Size of the list that was found too large last. Against the bytes of its block it tells an HPACK bomb, which is ten times
   * as large and more, from a list that is long.
   */
  listBytes = 0;

  readonly #tableBytesMax: number;
  readonly #listBytesMax: number;
  readonly #table: DynamicTable;
  readonly #cache: BlockCache;
  /** The next byte of the block that is being decoded. */
  #at = 0;
  /** Length of the string read last, whether it was made or not. */
  #textLength = 0;

  constructor(options: HeaderDecoderOptions) {
    this.#tableBytesMax = options.tableBytesMax;
    this.#listBytesMax = options.listBytesMax;
    this.#table = new DynamicTable(options.tableBytesMax);
    this.#cache = new BlockCache(options.cachedBlocksMax ?? CACHED_BLOCKS_MAX);
  }

  /**
   * Decodes one whole block, `buffer[start, end)`: HEADERS and its CONTINUATIONs. Nothing of the buffer is kept.
   *
   * @throws {ConnectionError} COMPRESSION_ERROR; the decoder is of no use any more.
   */
  decode(buffer: Buffer, start: number, end: number): HeaderList {
    return this.#cache.find(buffer, start, end) ?? this.#decodeAnew(buffer, start, end);
  }

  #decodeAnew(buffer: Buffer, start: number, end: number): HeaderList {
    const listBytesMax = this.#listBytesMax;
    const fields: string[] = [];
    let listBytes = 0;
    this.#at = start;
    let tableChanges = start < end && this.#readSizeUpdates(buffer, end);
    while (this.#at < end) {
      const first = buffer[this.#at]!;
      const wanted = listBytes <= listBytesMax;
      let name: string;
      let value: string;
      if (first >= 0x80) {
        const index = this.#readInteger(buffer, end, 0x7f);
        name = this.#nameAt(index);
        value = this.#valueAt(index);
        listBytes += name.length + value.length + ENTRY_OVERHEAD_BYTES;
      } else if (first >= 0x40) {
        const index = this.#readInteger(buffer, end, 0x3f);
        name = index === 0 ? this.#readText(buffer, end, true) : this.#nameAt(index);
        value = this.#readText(buffer, end, true);
        listBytes += name.length + value.length + ENTRY_OVERHEAD_BYTES;
        this.#table.add(name, value);
        tableChanges = true;
      } else if (first < 0x20) {
        const index = this.#readInteger(buffer, end, 0x0f);
        name = index === 0 ? this.#readText(buffer, end, wanted) : this.#nameAt(index);
        listBytes += (index === 0 ? this.#textLength : name.length) + ENTRY_OVERHEAD_BYTES;
        value = this.#readText(buffer, end, wanted);
        listBytes += this.#textLength;
      } else {
        throw compressionError("the size of the dynamic table is changed inside a header block");
      }
      if (listBytes <= listBytesMax) fields.push(name, value);
    }
    if (tableChanges) this.#cache.clear();
    if (listBytes > listBytesMax) {
      this.listBytes = listBytes;
      return headerList([], true);
    }
    const list = headerList(fields, false);
    if (!tableChanges) this.#cache.keep(buffer, start, end, list);
    return list;
  }

  /** Returns whether there were any. */
  #readSizeUpdates(buffer: Buffer, end: number): boolean {
    let count = 0;
    while (this.#at < end && (buffer[this.#at]! & 0xe0) === 0x20) {
      if (++count > SIZE_UPDATES_PER_BLOCK) {
        throw compressionError(
          "a header block changes the size of the dynamic table more than twice",
          "hpack_table_churn",
        );
      }
      const bytes = this.#readInteger(buffer, end, 0x1f);
      if (bytes > this.#tableBytesMax) {
        throw compressionError(`a dynamic table of ${bytes} bytes, where ${this.#tableBytesMax} were allowed`);
      }
      this.#table.resize(bytes);
    }
    this.sizeUpdates += count;
    return count > 0;
  }

  #readInteger(buffer: Buffer, end: number, prefix: number): number {
    const value = buffer[this.#at]! & prefix;
    if (value < prefix) {
      this.#at++;
      return value;
    }
    const long = integers.read(buffer, this.#at, end, prefix);
    this.#at = integers.at;
    return long;
  }

  /** @param wanted false: it is checked, and "" is returned. */
  #readText(buffer: Buffer, end: number, wanted: boolean): string {
    if (this.#at >= end) throw compressionError("the header block ends before a string");
    const huffman = buffer[this.#at]! >= 0x80;
    const length = this.#readInteger(buffer, end, 0x7f);
    const start = this.#at;
    if (length > end - start) throw compressionError("the header block ends inside a string");
    this.#at = start + length;
    if (huffman) {
      this.#textLength = decodeHuffman(buffer, start, start + length);
      return wanted ? huffmanText(this.#textLength) : "";
    }
    this.#textLength = length;
    return wanted ? latin1Text(buffer, start, start + length) : "";
  }

  #nameAt(index: number): string {
    if (index <= STATIC_ENTRIES && index > 0) return STATIC_NAMES[index]!;
    return this.#table.name(this.#ageOf(index));
  }

  #valueAt(index: number): string {
    if (index <= STATIC_ENTRIES && index > 0) return STATIC_VALUES[index]!;
    return this.#table.value(this.#ageOf(index));
  }

  #ageOf(index: number): number {
    const age = index - STATIC_ENTRIES - 1;
    if (index === 0 || age >= this.#table.count) throw compressionError(`header index ${index} is in no table`);
    return age;
  }
}

function headerList(fields: readonly string[], tooLarge: boolean): HeaderList {
  return { fields, tooLarge, memo: undefined };
}

function compressionError(message: string, attack?: Attack): ConnectionError {
  return new ConnectionError(ErrorCode.COMPRESSION_ERROR, message, attack);
}
