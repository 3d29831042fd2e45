// GOAWAY (RFC 9113 section 6.8): how a connection ends so that no request is lost, and why it does.
//
// It is said twice. The first one takes every stream still, because requests are on their way when it leaves; it is followed by
// a PING. When that is answered, all of them are here, and the second one names the last that is taken. Once the open ones have
// ended, the connection is closed. A client that does not answer the PING is not waited for.

import { ErrorCode } from "./error-code.ts";
import { FrameType, INT31_MAX, writeUint32 } from "./frame.ts";
import type { CloseReason, Http2Observer } from "./observer.ts";
import type { Sender } from "./sender.ts";
import type { StreamTable } from "./stream-table.ts";

/** How long a client may take to answer the PING between the two GOAWAYs. */
const PONG_MS = 1_000;
/** Bytes of GOAWAY's debug data. */
const TEXT_BYTES_MAX = 1_024;

const PING = Buffer.from("\u0002sluice\u0000", "latin1");

export class GoingAway {
  readonly #observer: Http2Observer;
  readonly #sender: Sender;
  readonly #streams: StreamTable;
  readonly #onDone: () => void;
  /** Why the connection is to end, as soon as that is known. */
  reason: CloseReason | undefined;
  /** The last stream that is taken. */
  lastTakenId = INT31_MAX;
  /** GOAWAY was said first without, then with the last stream that is taken. */
  #said: "nothing" | "announcement" | "last stream" = "nothing";
  #announcedAtMs = 0;

  /** @param onDone the last stream has ended: close it. */
  constructor(observer: Http2Observer, sender: Sender, streams: StreamTable, onDone: () => void) {
    this.#observer = observer;
    this.#sender = sender;
    this.#streams = streams;
    this.#onDone = onDone;
  }

  get announced(): boolean {
    return this.#said !== "nothing";
  }

  /** Says it for the first time. */
  announce(reason: CloseReason, nowMs: number): void {
    this.reason = reason;
    this.#said = "announcement";
    this.#announcedAtMs = nowMs;
    this.say(INT31_MAX, ErrorCode.NO_ERROR, reason);
    this.#sender.frame(FrameType.PING, 0, 0, PING);
  }

  /** A PING was answered. */
  answered(payload: Buffer): void {
    if (this.#said === "announcement" && payload.equals(PING)) this.#finalise();
  }

  /** Goes on without the answer, if that takes too long. */
  check(nowMs: number): void {
    if (this.#said === "announcement" && nowMs - this.#announcedAtMs > PONG_MS) this.#finalise();
  }

  /** To be called when a stream has left the table. */
  closeIfDone(): void {
    if (this.#said === "last stream" && this.#streams.open.size === 0) this.#onDone();
  }

  /** Writes GOAWAY. @param text for people: plain ASCII. */
  say(lastId: number, code: ErrorCode, text: string): void {
    const debug = Buffer.from(text, "latin1").subarray(0, TEXT_BYTES_MAX);
    const payload = Buffer.alloc(8 + debug.length);
    writeUint32(payload, 0, lastId);
    writeUint32(payload, 4, code);
    debug.copy(payload, 8);
    this.#observer.goaway("sent", code);
    this.#sender.frame(FrameType.GOAWAY, 0, 0, payload);
  }

  #finalise(): void {
    this.#said = "last stream";
    this.lastTakenId = this.#streams.lastId;
    this.say(this.lastTakenId, ErrorCode.NO_ERROR, this.reason ?? "");
    this.closeIfDone();
  }
}
