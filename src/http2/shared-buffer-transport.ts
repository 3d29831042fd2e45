// A transport whose socket reads into one buffer that all connections of a worker share.
//
// Node.js gives each read a buffer of its own, 64 KB that live until the collector finds them: on the prototype of this server that
// and copying from them was half of the work. `onread` reads into a given buffer, but only `net.Socket`'s constructor takes
// it, and an accepted socket exists already. So its handle is moved to a socket of our own: `_handle`, the one private field
// that is used here, and nowhere else. Where it is not as expected, `moveToSharedBuffer` says so and the accepted socket is
// used as it is.
//
// Writing: Node.js tries to write at once, and nearly always that is all there is. `writableLength` says so right away; only where it
// does not, the end is waited for, behind an empty write, since writes end in order.

import { Socket, type SocketConstructorOpts } from "node:net";
import { listenToEnd, peerOf } from "./stream-transport.ts";
import type { Transport, TransportListener } from "./transport.ts";

/** Shared by every connection of the process: what is read is dealt with, or copied, before the next read. */
const READ_BUFFER = Buffer.allocUnsafeSlow(256 * 1024);
const NO_BYTES = new Uint8Array(0);

interface WithHandle {
  _handle?: unknown;
}

/**
 * Takes an accepted socket's handle over.
 * @param accepted not reading yet (`pauseOnConnect`).
 * @returns undefined if it cannot be done; the socket is as it was then.
 */
export function moveToSharedBuffer(accepted: Socket): SharedBufferTransport | undefined {
  const holder = accepted as WithHandle;
  const handle = holder._handle;
  if (typeof handle !== "object" || handle === null || !("readStart" in handle)) return undefined;
  return new SharedBufferTransport(accepted, handle, () => {
    holder._handle = null;
  });
}

export class SharedBufferTransport implements Transport {
  readonly peer: string;
  readonly peerIdentity = undefined;
  readonly #socket: Socket;
  readonly #accepted: Socket;
  #listener: TransportListener | undefined;

  constructor(accepted: Socket, handle: object, release: () => void) {
    this.peer = peerOf(accepted);
    this.#accepted = accepted;
    const options = { handle, manualStart: true, onread: { buffer: READ_BUFFER, callback: this.#onRead } };
    // `handle` is not in the types.
    this.#socket = new Socket(options as SocketConstructorOpts);
    release();
  }

  /** Starts to read. */
  listen(listener: TransportListener): void {
    this.#listener = listener;
    this.#socket.setNoDelay(true);
    listenToEnd(this.#socket, listener);
    // The server counts its connections by the sockets that it has accepted.
    this.#socket.on("close", () => this.#accepted.destroy());
    this.#socket.resume();
  }

  write(bytes: Uint8Array): boolean {
    this.#socket.write(bytes);
    return this.#haveAllLeft();
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    this.#socket.cork();
    for (const bytes of pieces) this.#socket.write(bytes);
    this.#socket.uncork();
    return this.#haveAllLeft();
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

  #haveAllLeft(): boolean {
    if (this.#socket.writableLength === 0) return true;
    this.#socket.write(NO_BYTES, this.#onWritten);
    return false;
  }

  readonly #onWritten = (error?: Error | null): void => {
    if (error === undefined || error === null) this.#listener?.drained();
  };

  readonly #onRead = (length: number, buffer: Uint8Array): boolean => {
    this.#listener?.received(buffer as Buffer, length);
    return true;
  };
}
