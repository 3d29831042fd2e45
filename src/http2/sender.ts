// Our half of a connection: everything that is written, within the client's windows and what its socket takes.
//
// Frames are laid into the output as they come to be, and leave together at the end of the turn. Body bytes for which there is no
// window, or no room in the output, wait in their streams and take turns. A client that takes nothing is not read either, so that
// it makes no more answers. One that lets too much pile up gets no more calls (`full`), and in the end is cut by the connection
// (`overflown`).
//
// Invariants: nothing is written while the transport is busy; FIN follows the last byte that was laid down, and nothing follows it.

import { ConnectionError, ErrorCode } from "./error-code.ts";
import { FrameType, INT31_MAX } from "./frame.ts";
import type { Http2Observer } from "./observer.ts";
import { Output } from "./output.ts";
import { SendQueue } from "./send-queue.ts";
import { DEFAULT_WINDOW_BYTES, lowersHeaderTable, readSettings } from "./settings.ts";
import type { Stream, StreamSender } from "./stream.ts";
import type { StreamMap } from "./stream-map.ts";
import type { Transport } from "./transport.ts";
import type { EndOfTurn, Turn } from "./turn.ts";
import type { WorkerContext } from "./worker-context.ts";

/** Answers' bodies wait in their streams while this much waits for the socket. */
const OUTPUT_HIGH_BYTES = 64 * 1024;
/** With this much unsent and a socket that takes nothing, nothing more is read, so that no more answers come to be. */
const OUTPUT_PAUSE_BYTES = 128 * 1024;

/** An honest client with large answers takes them; beyond this many times the limit, nobody is waited for. */
const OVERFLOW_FACTOR = 4;

/** A header block that begins with it makes the client's dynamic table empty (RFC 7541 section 6.3). */
const EMPTY_TABLE = Buffer.from([0x20]);

export class Sender implements StreamSender {
  readonly #transport: Transport;
  readonly #observer: Http2Observer;
  readonly #turn: Turn;
  readonly #unsentBytesMax: number;
  readonly #connection: EndOfTurn;
  readonly #output: Output;
  readonly #queue = new SendQueue();
  sendWindow: number = DEFAULT_WINDOW_BYTES;
  /** What a new stream may be sent, in bytes. */
  initialWindow: number = DEFAULT_WINDOW_BYTES;
  /** Frames of answers that were written; whoever reads them sets them back. */
  answered = false;
  dataFrames = 0;
  /** Far more is unsent than a connection may hold; told at the end of the turn, because it is found out while a handler writes. */
  overflown = false;
  /** The client's dynamic table. */
  #table: "as it began" | "to be emptied" | "emptied" = "as it began";
  #phase: "open" | "finishing" | "finished" = "open";
  #scheduled = false;
  #paused = false;

  /** @param connection whose end of the turn is to call `flush`. */
  constructor(transport: Transport, context: WorkerContext, connection: EndOfTurn) {
    this.#transport = transport;
    this.#observer = context.observer;
    this.#turn = context.turn;
    this.#unsentBytesMax = context.options.unsentBytesMax;
    this.#connection = connection;
    this.#output = new Output(transport, context.pages);
  }

  /** Bytes that the client has not taken, in the output and in streams. */
  get unsentBytes(): number {
    return this.#output.unsentBytes + this.#queue.unsentBytes;
  }

  /** Bytes that were ever handed to the transport. */
  get sentBytes(): number {
    return this.#output.sentBytes;
  }

  /** The transport has not taken all of the last write. */
  get busy(): boolean {
    return this.#output.busy;
  }

  // Frames.

  /** A frame whose payload is short. */
  frame(type: number, flags: number, id: number, payload: Uint8Array): void {
    this.#output.frame(type, flags, id, payload);
    this.schedule();
  }

  windowUpdate(id: number, increment: number): void {
    this.#output.number(FrameType.WINDOW_UPDATE, id, increment);
    this.schedule();
  }

  reset(id: number, code: ErrorCode): void {
    this.#observer.reset("sent", code);
    this.#output.number(FrameType.RST_STREAM, id, code);
    this.schedule();
  }

  headers(id: number, block: Uint8Array, endStream: boolean): void {
    if (this.#table === "to be emptied") {
      this.#table = "emptied";
      this.#output.headers(id, Buffer.concat([EMPTY_TABLE, block]), endStream);
    } else {
      this.#output.headers(id, block, endStream);
    }
    this.schedule();
  }

  /** Bytes that are no frame. */
  raw(bytes: Uint8Array): void {
    this.#output.raw(bytes);
    this.schedule();
  }

  // Answers.

  get mayWrite(): boolean {
    return this.#output.unsentBytes < OUTPUT_HIGH_BYTES && !this.#queue.waiting;
  }

  writeHeaders(stream: Stream, block: Uint8Array, endStream: boolean): void {
    this.answered = true;
    this.headers(stream.id, block, endStream);
  }

  writeData(stream: Stream, prefix: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    const length = prefix.length + end - start;
    stream.sendWindow -= length;
    this.sendWindow -= length;
    this.answered = true;
    this.dataFrames++;
    this.#output.data(stream.id, 0, prefix, bytes, start, end);
    this.schedule();
  }

  queued(stream: Stream, bytes: number): void {
    this.#queue.add(stream, bytes);
    if (this.unsentBytes > OVERFLOW_FACTOR * this.#unsentBytesMax) this.overflown = true;
    this.schedule();
  }

  /** More is unsent than a connection may hold: no more calls are taken. */
  get full(): boolean {
    return this.unsentBytes > this.#unsentBytesMax;
  }

  /** The stream is closed; what it has unsent is dropped. */
  forget(stream: Stream): void {
    this.#queue.remove(stream);
  }

  // What the client says of its windows and its table.

  /** @throws ConnectionError */
  settings(payload: Buffer, start: number, end: number, streams: StreamMap): void {
    const windowBytes = readSettings(payload, start, end, this.initialWindow);
    // Told once: nothing is below a table of no bytes.
    if (this.#table === "as it began" && lowersHeaderTable(payload, start, end)) this.#table = "to be emptied";
    const difference = windowBytes - this.initialWindow;
    this.initialWindow = windowBytes;
    if (difference === 0) return;
    for (const stream of streams.toArray()) {
      if (stream.sendWindow + difference > INT31_MAX) {
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "SETTINGS make a stream's window larger than 2^31-1");
      }
      stream.sendWindow += difference;
      this.#queue.unblock(stream);
    }
  }

  /** @throws ConnectionError if the window is larger than one may be. */
  widen(increment: number): void {
    this.sendWindow += increment;
    if (this.sendWindow > INT31_MAX) {
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is larger than 2^31-1");
    }
    if (this.#queue.waiting) this.schedule();
  }

  /** @param increment with which the stream's window is not larger than one may be. */
  widenStream(stream: Stream, increment: number): void {
    stream.sendWindow += increment;
    if (stream.unsentBytes === 0) return;
    this.#queue.unblock(stream);
    this.schedule();
  }

  // The socket.

  /** Asks for the end of the turn; whatever is written does. */
  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#turn.schedule(this.#connection);
  }

  /** The end of the turn: what may leave leaves. */
  flush(): void {
    this.#scheduled = false;
    const before = this.#output.sentBytes;
    this.#pump();
    this.#output.flush();
    // Where the socket takes everything at once, there may be room for more.
    while (!this.#output.busy && this.#queue.waiting && this.#hasRoom()) {
      this.#pump();
      this.#output.flush();
    }
    const sent = this.#output.sentBytes - before;
    if (sent > 0) this.#observer.bytes("sent", sent);
    this.#pauseOrResume();
    if (this.#phase === "finishing" && this.#output.unsentBytes === 0) {
      this.#phase = "finished";
      this.#transport.end();
    }
  }

  /** The transport has let go of what it was given. */
  drained(): void {
    this.#output.drained();
  }

  /** Once no stream is left: FIN is to follow what is laid down. */
  finish(): void {
    this.#phase = "finishing";
    // A client that sends and does not read is not waited for.
    this.#pauseOrResume();
    this.schedule();
  }

  /** The transport is gone. */
  dispose(): void {
    this.#output.dispose();
  }

  #pump(): void {
    this.#queue.pump(this.#hasRoom, this.#onStall);
  }

  readonly #hasRoom = (): boolean => {
    if (this.#output.unsentBytes >= OUTPUT_HIGH_BYTES) return false;
    if (this.sendWindow > 0) return true;
    this.#onStall();
    return false;
  };

  readonly #onStall = (): void => {
    this.#observer.windowStalled();
  };

  #pauseOrResume(): void {
    const pause = this.#phase === "open" && this.#output.busy && this.unsentBytes > OUTPUT_PAUSE_BYTES;
    if (pause === this.#paused) return;
    this.#paused = pause;
    if (pause) this.#transport.pause();
    else this.#transport.resume();
  }
}
