// What all calls of a worker share.

import type { Clock } from "../../clock.ts";
import type { Http2Observer } from "../../http2/observer.ts";
import type { Deadlines } from "./deadlines.ts";
import type { IncompleteMessages } from "./incomplete-messages.ts";
import type { Inflater } from "./inflater.ts";
import type { MessageBuffers } from "./message-buffers.ts";
import type { Notices } from "./notices.ts";

export interface CallLimits {
  /** Bytes of one message, uncompressed (GRPC_MESSAGE_BYTES_MAX). */
  readonly messageBytesMax: number;
  /** Bytes of messages that are incomplete or held, of all calls (GRPC_RECEIVE_BYTES_MAX). */
  readonly receiveBytesMax: number;
  /** A message, from its first byte to its last (GRPC_MESSAGE_TIMEOUT). */
  readonly messageTimeoutMs: number;
}

export interface CallContext {
  readonly clock: Clock;
  readonly observer: Pick<Http2Observer, "attack">;
  readonly notices: Notices;
  readonly limits: CallLimits;
  readonly buffers: MessageBuffers;
  readonly incomplete: IncompleteMessages;
  readonly inflater: Inflater;
  readonly deadlines: Deadlines;
}
