// HTTP/2's error codes (RFC 9113 section 7), and the two kinds of error that a peer can cause.
//
// A StreamError ends one stream with RST_STREAM; a ConnectionError ends everything with GOAWAY. Which of them it is, is decided
// where the error is found, because the RFC says it rule by rule.

export const ErrorCode = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  CONNECT_ERROR: 0xa,
  ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc,
  HTTP_1_1_REQUIRED: 0xd,
} as const;
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

const NAMES: Partial<Record<number, string>> = Object.fromEntries(
  Object.entries(ErrorCode).map(([name, code]) => [code, name]),
);

/** A code's name in the RFC, for metrics and logs; codes that nobody has registered are all `UNKNOWN`. */
export function errorCodeName(code: number): string {
  return NAMES[code] ?? "UNKNOWN";
}

/** Ends the connection. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  readonly code: ErrorCode;
  /** What the peer did, where it is a known attack rather than a mistake. */
  readonly attack: Attack | undefined;

  /** @param message goes into GOAWAY's debug data: plain ASCII. */
  constructor(code: ErrorCode, message: string, attack?: Attack) {
    super(message);
    this.code = code;
    this.attack = attack;
  }
}

/** Ends one stream. */
export class StreamError extends Error {
  override readonly name = "StreamError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Ways to hurt a server that have a limit of their own; the values are the label `attack` of a metric. */
export const ATTACKS = [
  "rapid_reset",
  "made_you_reset",
  "continuation_flood",
  "hpack_bomb",
  "hpack_table_churn",
  "header_list_too_large",
  "empty_frame_flood",
  "ping_flood",
  "settings_flood",
  "priority_flood",
  "window_update_flood",
  "unknown_frame_flood",
  "zero_window",
  "slow_read",
  "slow_headers",
  "slow_message",
  "slow_handshake",
  "streams_over_limit",
  "connections_over_limit",
  "message_too_large",
  "compressed_message_too_large",
  "not_http2",
] as const;
export type Attack = (typeof ATTACKS)[number];
