// A transport over a socket's public interface: 'data' events and write callbacks. TLS goes this way, and plaintext where the
// shared read buffer cannot be had.

import type { Socket } from "node:net";
import type { PeerCertificate, TLSSocket } from "node:tls";
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
    this.#socket.resume();
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

export function peerOf({ remoteAddress, remotePort = 0 }: Socket): string {
  // It is closed already.
  if (remoteAddress === undefined) return "unknown";
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}

function identityOf(socket: Socket): string | undefined {
  if (!("authorized" in socket) || socket.authorized !== true) return undefined;
  const certificate = (socket as TLSSocket).getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  return commonNameOf(certificate.toLegacyObject().subject) ?? firstNameOf(certificate.subjectAltName);
}

/** Empty and absent are the same. */
function commonNameOf(subject: Partial<PeerCertificate["subject"]> | undefined): string | undefined {
  const names: string | readonly string[] | undefined = subject?.CN;
  const name = typeof names === "string" ? names : names?.[0];
  return name === "" ? undefined : name;
}

//   subjectAltName = name *( ", " name ) ; name = type ":" ( text | JSON string, where the text has commas or quotes )
/** The first of the names that a certificate is for, as newer authorities write it: there is often no other. */
function firstNameOf(subjectAltName: string | undefined): string | undefined {
  const [, quoted, plain] = /^[^:]+:(?:("(?:[^"\\]|\\.)*")|([^,]+))/.exec(subjectAltName ?? "") ?? [];
  return quoted === undefined ? plain : (JSON.parse(quoted) as string);
}
