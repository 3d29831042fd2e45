// A transport over a socket's public interface: 'data' events and write callbacks. TLS goes this way, and plaintext where the
// shared read buffer cannot be had.

import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Transport, TransportListener } from "./transport.ts";

export class StreamTransport implements Transport {
  readonly peer: string;
  readonly peerIdentity: string | undefined;
  readonly #socket: Socket;
  #listener!: TransportListener;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.peer = peerOf(socket);
    this.peerIdentity = identityOf(socket);
  }

  /** Starts to read. */
  listen(listener: TransportListener): void {
    this.#listener = listener;
    this.#socket.setNoDelay(true);
    this.#socket.on("data", (bytes: Buffer) => listener.received(bytes, bytes.length));
    listenToEnd(this.#socket, listener);
  }

  write(bytes: Uint8Array): boolean {
    this.#socket.write(bytes, this.#onWritten);
    return false;
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    this.#socket.cork();
    for (const [i, bytes] of pieces.entries()) {
      if (i + 1 < pieces.length) this.#socket.write(bytes);
      else this.#socket.write(bytes, this.#onWritten);
    }
    this.#socket.uncork();
    return false;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  readonly #onWritten = (error?: Error | null): void => {
    // After an error 'close' follows.
    if (error === undefined || error === null) this.#listener.drained();
  };
}

/** What is left of a socket's life, however it is read. */
export function listenToEnd(socket: Socket, listener: TransportListener): void {
  socket.on("end", () => listener.ended());
  // 'close' follows, and says it; without a listener 'error' would end the process.
  socket.on("error", () => {});
  socket.on("close", () => listener.closed());
}

export function peerOf({ remoteAddress = "unknown", remotePort = 0 }: Socket): string {
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}

function identityOf(socket: Socket): string | undefined {
  if (!("authorized" in socket) || socket.authorized !== true) return undefined;
  const subject = (socket as TLSSocket).getPeerCertificate().subject?.CN;
  return Array.isArray(subject) ? subject[0] : subject;
}
