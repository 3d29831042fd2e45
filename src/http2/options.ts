// Every limit of the HTTP/2 server, with its default. What an operator may want to change is an option of the service; the rest
// are rates that no honest client comes near, and are constants in budgets.ts.

export interface Http2Options {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** PEM; undefined: plaintext with prior knowledge (h2c). */
  readonly tls: TlsOptions | undefined;

  /** Connections at a time; one more is told GOAWAY and closed. */
  readonly connectionsMax: number;
  /** SETTINGS_MAX_CONCURRENT_STREAMS: open streams of a connection. */
  readonly streamsMax: number;
  /** SETTINGS_INITIAL_WINDOW_SIZE: body bytes of one stream that were received and not consumed. */
  readonly streamWindowBytes: number;
  /** The same over all streams of a connection. */
  readonly connectionWindowBytes: number;
  /** SETTINGS_MAX_HEADER_LIST_SIZE: a request's header list, as RFC 9113 section 10.5.1 counts it. */
  readonly headerListBytesMax: number;
  /**
   * Bytes of answers that a connection may hold because its client does not take them. Beyond it no more streams are taken, and at
   * four times as many it is cut.
   */
  readonly unsentBytesMax: number;

  /** For TLS, the preface and the first SETTINGS. */
  readonly handshakeTimeoutMs: number;
  /** For a header block, from its first frame to its last. */
  readonly headersTimeoutMs: number;
  /** How long a client with answers to take may take none. */
  readonly stallTimeoutMs: number;
  /** A connection on which nothing came for this long is sent a PING; */
  readonly keepaliveTimeMs: number;
  /** and has this long to answer. */
  readonly keepaliveTimeoutMs: number;
  /** A connection without streams is closed after this. */
  readonly idleMaxMs: number;
  /** A connection is asked to end after this, give or take a tenth; */
  readonly ageMaxMs: number;
  /** and its streams have this long to end. */
  readonly ageGraceMs: number;
}

export interface TlsOptions {
  readonly cert: string;
  readonly key: string;
  /** Clients have to show a certificate that one of these has signed. */
  readonly clientCa: string | undefined;
}
