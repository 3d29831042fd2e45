// What a header list on some stream is: a request that is taken or refused, trailers, or a frame too late. And the open requests.
//
// Invariant: a stream is in the table from before its handler knows of it until it is closed, and no handler is called with a
// request that breaks a rule of RFC 9113 section 8.

import type { Clock } from "../clock.ts";
import type { Bodies } from "./bodies.ts";
import { Budget } from "./budgets.ts";
import { ErrorCode, StreamError } from "./error-code.ts";
import type { GoingAway } from "./going-away.ts";
import { encodeHeaders } from "./hpack/encoder.ts";
import type { HeaderList } from "./hpack/header-list.ts";
import type { Http2Observer } from "./observer.ts";
import type { Http2Options } from "./options.ts";
import type { Penalties } from "./penalties.ts";
import type { RequestHandler, RequestHeaders } from "./request.ts";
import { checkTrailers, requestOf } from "./request-headers.ts";
import type { Sender } from "./sender.ts";
import { Stream, type StreamHost } from "./stream.ts";
import type { StreamTable } from "./stream-table.ts";
import type { Transport } from "./transport.ts";
import type { WorkerContext } from "./worker-context.ts";

const TOO_LARGE = encodeHeaders([[":status", "431"]]);

/** The parts of the same connection that requests depend on. */
export interface RequestsParts {
  readonly sender: Sender;
  readonly streams: StreamTable;
  readonly penalties: Penalties;
  readonly bodies: Bodies;
  readonly goingAway: GoingAway;
}

export class Requests implements StreamHost {
  readonly peer: string;
  readonly peerIdentity: string | undefined;
  readonly sender: Sender;
  readonly #handler: RequestHandler;
  readonly #observer: Http2Observer;
  readonly #clock: Clock;
  readonly #options: Http2Options;
  readonly #streams: StreamTable;
  readonly #penalties: Penalties;
  readonly #bodies: Bodies;
  readonly #goingAway: GoingAway;

  constructor({ peer, peerIdentity }: Transport, context: WorkerContext, parts: RequestsParts) {
    this.peer = peer;
    this.peerIdentity = peerIdentity;
    this.sender = parts.sender;
    this.#handler = context.handler;
    this.#observer = context.observer;
    this.#clock = context.clock;
    this.#options = context.options;
    this.#streams = parts.streams;
    this.#penalties = parts.penalties;
    this.#bodies = parts.bodies;
    this.#goingAway = parts.goingAway;
  }

  /**
   * A header list has come.
   * @param unfolded it is too large, and its block was made to be unfolded to that.
   * @throws ConnectionError
   */
  headers(id: number, list: HeaderList, endStream: boolean, unfolded: boolean): void {
    const stream = this.#streams.open.get(id);
    if (stream !== undefined) this.#trailers(stream, list, endStream);
    else if (id > this.#streams.lastId) this.#request(id, list, endStream, unfolded);
    else {
      this.#penalties.frameOnClosed(id);
      this.#penalties.spend(Budget.PROVOKED_RESETS);
    }
  }

  #request(id: number, list: HeaderList, endStream: boolean, unfolded: boolean): void {
    if (id > this.#goingAway.lastTakenId) return;
    this.#streams.lastId = id;
    this.#penalties.request();
    if (this.#streams.open.size >= this.#options.streamsMax || this.sender.full) {
      this.#penalties.reset(id, ErrorCode.REFUSED_STREAM);
      this.#penalties.spend(Budget.REFUSED_STREAMS);
      return;
    }
    if (list.tooLarge) {
      this.#refuseTooLarge(id, endStream, unfolded);
      return;
    }
    const headers = (list.memo ??= requestOf(list)) as RequestHeaders | StreamError;
    if (headers instanceof StreamError || (endStream && (headers.contentLength ?? 0) > 0)) {
      this.#penalties.reset(id, ErrorCode.PROTOCOL_ERROR);
      this.#penalties.spend(Budget.PROVOKED_RESETS);
      return;
    }
    this.#open(id, headers, endStream);
  }

  #refuseTooLarge(id: number, endStream: boolean, unfolded: boolean): void {
    this.#penalties.spend(Budget.LARGE_HEADER_LISTS);
    const detail = `a header list of more than ${this.#options.headerListBytesMax} bytes (GRPC_HEADER_LIST_BYTES_MAX)`;
    this.#observer.attack(unfolded ? "hpack_bomb" : "header_list_too_large", this.peer, detail);
    this.sender.headers(id, TOO_LARGE, true);
    if (!endStream) this.#penalties.reset(id, ErrorCode.NO_ERROR);
  }

  #open(id: number, headers: RequestHeaders, endStream: boolean): void {
    const { streamWindowBytes } = this.#options;
    const { nowMs } = this.#penalties;
    const stream = new Stream(this, id, this.sender.initialWindow, streamWindowBytes, headers.contentLength, nowMs);
    this.#streams.open.add(stream);
    this.#observer.streamOpened();
    stream.receiver = this.#handler(stream, headers);
    if (endStream) this.#bodies.endOfRequest(stream);
  }

  #trailers(stream: Stream, list: HeaderList, endStream: boolean): void {
    if (stream.remoteClosed) this.#penalties.failStream(stream, ErrorCode.STREAM_CLOSED);
    else if (!endStream || list.tooLarge || checkTrailers(list) !== undefined) {
      this.#penalties.failStream(stream, ErrorCode.PROTOCOL_ERROR);
    } else this.#bodies.endOfRequest(stream);
  }

  /** Ends all of them: the connection is over. */
  lose(code: ErrorCode): void {
    for (const stream of this.#streams.open.toArray()) stream.lose(code);
  }

  /** Asks all of them to end by then. @param deadlineMs milliseconds since the epoch. */
  tellGoingAway(deadlineMs: number): void {
    for (const stream of this.#streams.open.toArray()) if (stream.open) stream.receiver.goingAway(deadlineMs);
  }

  // What streams ask.

  credit(stream: Stream | undefined, bytes: number): void {
    this.#bodies.credit(stream, bytes);
  }

  streamClosed(stream: Stream, resetByUs: boolean): void {
    this.#streams.open.delete(stream.id);
    if (resetByUs) this.#streams.remember(stream.id, "reset by us");
    this.sender.forget(stream);
    this.#observer.streamClosed(this.#clock.recentMonotonic() - stream.openedAtMs);
    this.#goingAway.closeIfDone();
  }
}
