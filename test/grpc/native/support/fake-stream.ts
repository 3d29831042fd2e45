// An HTTP/2 stream without HTTP/2: holds its user to the rules of src/http2/request.ts, and remembers what was answered.

import assert from "node:assert/strict";
import { ErrorCode } from "../../../../src/http2/error-code.ts";
import { HeaderDecoder } from "../../../../src/http2/hpack/decoder.ts";
import type { RequestReceiver, RequestStream } from "../../../../src/http2/request.ts";

export type Fields = Readonly<Record<string, string>>;

export function decodeBlock(block: Uint8Array): Fields {
  const decoder = new HeaderDecoder({ tableBytesMax: 4096, listBytesMax: 1 << 20 });
  const { fields } = decoder.decode(Buffer.from(block), 0, block.length);
  const decoded: Record<string, string> = {};
  for (let i = 0; i < fields.length; i += 2) decoded[fields[i]!] = fields[i + 1]!;
  return decoded;
}

export interface AnsweredMessage {
  readonly flag: number;
  readonly bytes: Buffer;
}

export class FakeStream implements RequestStream {
  static #count = 0;
  readonly peer = `192.0.2.1:${FakeStream.#count++}`;
  readonly peerIdentity = undefined;
  receiver!: RequestReceiver;
  unsentBytes = 0;
  /** Body bytes that came and were not consumed. */
  unconsumed = 0;
  headers: Fields | undefined;
  readonly messages: AnsweredMessage[] = [];
  /** A body that is no messages. */
  text = "";
  trailers: Fields | undefined;
  resetCode: ErrorCode | undefined;
  /** The block that the answer ended with, as it was given. */
  endBlock: Uint8Array | undefined;
  #gone = false;

  get open(): boolean {
    return this.trailers === undefined && this.resetCode === undefined && !this.#gone;
  }

  respond(block: Uint8Array): void {
    if (!this.open) return;
    assert.equal(this.headers, undefined, "headers are sent once");
    this.headers = decodeBlock(block);
  }

  write(prefix: Uint8Array, bytes: Uint8Array): void {
    if (!this.open) return;
    assert.ok(this.headers !== undefined, "headers come before the body");
    if (prefix.length === 0) {
      this.text += Buffer.from(bytes).toString();
      return;
    }
    assert.equal(prefix.length, 5);
    assert.equal(Buffer.from(prefix).readUInt32BE(1), bytes.length);
    this.messages.push({ flag: prefix[0]!, bytes: Buffer.from(bytes) });
  }

  end(block: Uint8Array): void {
    if (!this.open) return;
    this.endBlock = block;
    this.trailers = decodeBlock(block);
  }

  reset(code: ErrorCode): void {
    if (this.open) this.resetCode = code;
  }

  consume(bytes: number): void {
    assert.ok(bytes >= 0);
    // Trailers that wait behind unsent bytes leave the stream open for credit.
    if (!this.open && (this.trailers === undefined || this.unsentBytes === 0)) return;
    this.unconsumed -= bytes;
    assert.ok(this.unconsumed >= 0, "more was consumed than came");
  }

  /** Bytes of the body arrive, lent as a piece of a larger buffer whose content is something else afterwards. */
  arrive(bytes: Uint8Array): void {
    if (!this.open) return;
    const buffer = Buffer.alloc(bytes.length + 16, 0xdd);
    buffer.set(bytes, 8);
    this.unconsumed += bytes.length;
    this.receiver.data(buffer, 8, 8 + bytes.length);
    buffer.fill(0xee);
  }

  halfClose(): void {
    if (this.open) this.receiver.ended();
  }

  /** The client resets the stream. */
  cancel(): void {
    if (!this.open) return;
    this.#gone = true;
    this.receiver.closed(ErrorCode.CANCEL);
  }

  /** The status that the call ended with. */
  get status(): string | undefined {
    return this.trailers?.["grpc-status"];
  }

  get statusMessage(): string {
    return decodeURIComponent(this.trailers?.["grpc-message"] ?? "");
  }
}
