// Frames of a client that carry nothing of a request: SETTINGS, PING, PRIORITY, RST_STREAM, GOAWAY, WINDOW_UPDATE, and types that
// nobody knows (RFC 9113 sections 6.3 to 6.9 and 5.5).
//
// Each costs its client next to nothing, so each has a budget.

import { Budget } from "./budgets.ts";
import { ConnectionError, ErrorCode } from "./error-code.ts";
import { Flag, FrameType, INT31_MAX, readUint31, readUint32 } from "./frame.ts";
import type { GoingAway } from "./going-away.ts";
import type { Http2Observer } from "./observer.ts";
import type { Penalties } from "./penalties.ts";
import type { Sender } from "./sender.ts";
import type { Stream } from "./stream.ts";
import type { StreamTable } from "./stream-table.ts";

const NO_BYTES = new Uint8Array(0);

/** The parts of the same connection that these frames are about. */
export interface ControlledParts {
  readonly sender: Sender;
  readonly streams: StreamTable;
  readonly penalties: Penalties;
  readonly goingAway: GoingAway;
}

export class ControlFrames {
  readonly #observer: Http2Observer;
  readonly #sender: Sender;
  readonly #streams: StreamTable;
  readonly #penalties: Penalties;
  readonly #goingAway: GoingAway;
  /** The client's first SETTINGS have come. */
  hasSettings = false;

  constructor(observer: Http2Observer, { sender, streams, penalties, goingAway }: ControlledParts) {
    this.#observer = observer;
    this.#sender = sender;
    this.#streams = streams;
    this.#penalties = penalties;
    this.#goingAway = goingAway;
  }

  /** @throws ConnectionError */
  frame(type: number, flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    switch (type) {
      case FrameType.PRIORITY:
        this.#priority(id, buffer, start, end);
        break;
      case FrameType.RST_STREAM:
        this.#reset(id, buffer, start, end);
        break;
      case FrameType.SETTINGS:
        this.#settings(flags, id, buffer, start, end);
        break;
      case FrameType.PUSH_PROMISE:
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client");
      case FrameType.PING:
        this.#ping(flags, id, buffer, start, end);
        break;
      case FrameType.GOAWAY:
        this.#goAway(id, buffer, start, end);
        break;
      case FrameType.WINDOW_UPDATE:
        this.#windowUpdate(id, buffer, start, end);
        break;
      default:
        this.#penalties.spend(Budget.UNKNOWN_FRAMES);
    }
  }

  #priority(id: number, buffer: Buffer, start: number, end: number): void {
    if (id === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0");
    this.#penalties.spend(Budget.PRIORITIES);
    const stream = this.#streams.open.get(id);
    if (end - start !== 5) this.#failPriority(stream, id, ErrorCode.FRAME_SIZE_ERROR);
    else if (readUint31(buffer, start) === id) this.#failPriority(stream, id, ErrorCode.PROTOCOL_ERROR);
  }

  /** PRIORITY may come on any stream, but none that is idle can be reset. */
  #failPriority(stream: Stream | undefined, id: number, code: ErrorCode): void {
    if (stream !== undefined) {
      this.#penalties.failStream(stream, code);
      return;
    }
    if (this.#streams.isIdle(id)) throw new ConnectionError(code, "PRIORITY that is wrong, on an idle stream");
    this.#penalties.reset(id, code);
    this.#penalties.spend(Budget.PROVOKED_RESETS);
  }

  #reset(id: number, buffer: Buffer, start: number, end: number): void {
    assertLength("RST_STREAM", end - start, 4);
    this.#penalties.assertWasOpen(id);
    const code = readUint32(buffer, start);
    this.#observer.reset("received", code);
    const stream = this.#streams.open.get(id);
    if (stream === undefined) {
      this.#penalties.lateReset();
      return;
    }
    if (stream.open) this.#penalties.spend(Budget.RESETS);
    this.#streams.remember(id, "reset by the client");
    stream.lose(code as ErrorCode);
  }

  #settings(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    if (id !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream");
    const isAcknowledgement = (flags & Flag.ACK) !== 0;
    if (isAcknowledgement && end > start) {
      throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS is empty");
    }
    this.#penalties.spend(Budget.SETTINGS);
    if (isAcknowledgement) return;
    this.#sender.settings(buffer, start, end, this.#streams.open);
    this.hasSettings = true;
    this.#sender.frame(FrameType.SETTINGS, Flag.ACK, 0, NO_BYTES);
  }

  #ping(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    if (id !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PING on a stream");
    assertLength("PING", end - start, 8);
    const payload = buffer.subarray(start, end);
    if ((flags & Flag.ACK) !== 0) {
      this.#goingAway.answered(payload);
      this.#penalties.spend(Budget.PINGS);
      return;
    }
    // A client may measure every answer.
    if (!this.#sender.answered) this.#penalties.spend(Budget.PINGS);
    this.#sender.answered = false;
    this.#sender.frame(FrameType.PING, Flag.ACK, 0, payload);
  }

  #goAway(id: number, buffer: Buffer, start: number, end: number): void {
    if (id !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream");
    if (end - start < 8) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of less than 8 bytes");
    this.#penalties.spend(Budget.UNKNOWN_FRAMES);
    this.#observer.goaway("received", readUint32(buffer, start + 4));
    this.#goingAway.reason ??= "client";
  }

  #windowUpdate(id: number, buffer: Buffer, start: number, end: number): void {
    assertLength("WINDOW_UPDATE", end - start, 4);
    const increment = readUint31(buffer, start);
    if (this.#sender.dataFrames > 0) {
      // For every frame of an answer a client may give back its stream's window and the connection's.
      this.#penalties.give(Budget.WINDOW_UPDATES, 2 * this.#sender.dataFrames);
      this.#sender.dataFrames = 0;
    }
    this.#penalties.spend(Budget.WINDOW_UPDATES);
    if (id === 0) {
      if (increment === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
      this.#sender.widen(increment);
      return;
    }
    const stream = this.#streams.open.get(id);
    if (stream === undefined) this.#penalties.assertWasOpen(id);
    else if (increment === 0) this.#penalties.failStream(stream, ErrorCode.PROTOCOL_ERROR);
    else if (stream.sendWindow + increment > INT31_MAX) {
      this.#penalties.failStream(stream, ErrorCode.FLOW_CONTROL_ERROR);
    } else this.#sender.widenStream(stream, increment);
  }
}

function assertLength(name: string, length: number, expected: number): void {
  if (length !== expected) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `${name} of ${length} bytes`);
}
