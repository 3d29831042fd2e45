// What a connection needs of a socket, so that it runs over a TCP socket, a TLS socket, or bytes made up by a test.

export interface Transport {
  /** The client's address, for example `127.0.0.1:53124`. */
  readonly peer: string;
  /** The common name of the client's certificate, or the first of its other names, where one was asked for and verified. */
  readonly peerIdentity: string | undefined;
  /**
   * Sends bytes. True: they have left already, and their memory may be used again. False: it may not, and nothing more may be
   * written, until `TransportListener.drained` is called.
   */
  write(bytes: Uint8Array): boolean;
  /** As `write` for several pieces, in one system call where there is a way to do that. */
  writeAll(pieces: readonly Uint8Array[]): boolean;
  /** Nothing more is received until `resume`. */
  pause(): void;
  resume(): void;
  /** Sends FIN once everything that was written has left. */
  end(): void;
  /** Closes at once. `TransportListener.closed` follows, if it has not been called. */
  destroy(): void;
}

/** Never called before a method of the transport returns. */
export interface TransportListener {
  /** `buffer[0, length)` has arrived, and is lent until this returns. */
  received(buffer: Buffer, length: number): void;
  /** What was written has left. */
  drained(): void;
  /** The client sends nothing more. */
  ended(): void;
  /** The socket is gone. The last call. */
  closed(): void;
}
