// Server-sent events to one client, as far as it takes them.
//
//   message = [ "id: " id LF ] [ "event: " name LF ] "data: " data LF LF        ; data is one line, as JSON is
//           / ":" LF LF                                                         ; a comment
//
// Rejected: waiting for a slow reader, or keeping what it has not taken. The next second is worth more than the last one, and
// memory is the service's: a client that has not taken some hundred kilobytes loses its connection, and comes back by itself.

import type { ServerResponse } from "node:http";
import type { FastifyReply } from "fastify";

export interface Message {
  readonly id?: number;
  readonly event?: string;
  /** Without line breaks. */
  readonly data: string;
}

/** What a message is on the wire. */
export function messageText({ id, event, data }: Message): string {
  return `${id === undefined ? "" : `id: ${id}\n`}${event === undefined ? "" : `event: ${event}\n`}data: ${data}\n\n`;
}

/** A message of nothing, which clients pass over. */
export const COMMENT = ":\n\n";

/** What may wait for a client, in bytes, beside its first message: that may be a history of a megabyte, over a slow line. */
const UNTAKEN_BYTES_MAX = 512 * 1024;
/** How long a browser waits before it comes back. */
const RETRY_MS = 2_000;

export class EventStream {
  readonly #response: ServerResponse;
  readonly #untakenBytesMax: number;
  #firstLength: number | undefined;
  #closed = false;

  constructor(response: ServerResponse, untakenBytesMax = UNTAKEN_BYTES_MAX) {
    this.#response = response;
    this.#untakenBytesMax = untakenBytesMax;
    response.once("close", () => (this.#closed = true));
  }

  /** Takes the answer out of the framework's hands, and begins it. */
  static begin(reply: FastifyReply): EventStream {
    // No proxy shall keep it back until it is complete, which it never is.
    const headers = reply.type("text/event-stream; charset=utf-8").header("x-accel-buffering", "no").getHeaders();
    reply.hijack();
    const { raw } = reply;
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) raw.setHeader(name, value);
    raw.writeHead(200);
    raw.write(`retry: ${RETRY_MS}\n\n`);
    return new EventStream(raw);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Calls once, when it is over, whoever ended it. */
  onClosed(listener: () => void): void {
    this.#response.once("close", listener);
  }

  /** @param text as `messageText` gives it. A client that does not take it is dropped. */
  send(text: string): void {
    if (this.#closed) return;
    this.#firstLength ??= text.length;
    if (this.#response.writableLength > this.#firstLength + this.#untakenBytesMax) {
      this.#closed = true;
      this.#response.destroy();
      return;
    }
    this.#response.write(text);
  }

  end(): void {
    if (!this.#closed) this.#response.end();
  }
}
