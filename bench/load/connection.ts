// The load client's HTTP/2 connection: gRPC calls with prebuilt messages over a bare socket.
//
// On two cores the client sits beside the server it measures, so it must cost less than the fastest server. grpc-js gives
// about 15,000 calls per CPU-second and node:http2 about 25,000, and either would be measured instead of the server. Hence
// own frames: everything that one turn of the event loop sends on a connection leaves in one write, and answers are read
// in place. It keeps to the server's SETTINGS and flow control, as any client has to; it does not know TLS, and it takes
// every protocol error and GOAWAY for the end of the connection.
//
// Invariants: a call's messages are written in order; nothing is written past the server's windows; calls that wait for
// the connection's window write a frame each in turns, so that none starves (its answers would be missing from the
// latencies); the header blocks of requests go out in the order in which they were encoded.

import net from "node:net";
import { Call, type CallEvents, type Outgoing } from "./call.ts";
import { FrameReader, type FrameEvents } from "./frame-reader.ts";
import { Flag, FrameType, FrameWriter, PAYLOAD_BYTES_MAX, Setting } from "./frames.ts";
import { HpackDecoder, requestBlocks, type RequestBlocks } from "./hpack.ts";
import { writeSequence } from "./requests.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** All connections read into it: what one read brings is dealt with before the next one. */
const READ_BUFFER = Buffer.allocUnsafeSlow(256 * 1024);
/** Every window, until somebody says otherwise. */
const DEFAULT_WINDOW_BYTES = 65_535;
/** What the server may send before it hears of us; answers are small, so it never waits. */
const STREAM_WINDOW_BYTES = 1 << 20;
const CONNECTION_WINDOW_BYTES = 8 << 20;

const GRPC_UNKNOWN = 2;
const GRPC_UNAVAILABLE = 14;

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** The full method, for example `/sluice.v1.EventIngest/Publish`. */
  readonly path: string;
  readonly userAgent: string;
}

export class Connection implements FrameEvents {
  readonly #socket: net.Socket;
  readonly #endpoint: Endpoint;
  readonly #reader = new FrameReader(this);
  readonly #writer: FrameWriter;
  readonly #decoder = new HpackDecoder();
  readonly #calls = new Map<number, Call>();
  /** Calls that have something to send and room in their own window, in the order of their turns. */
  readonly #waiting = new Set<Call>();
  readonly #ready = Promise.withResolvers<void>();
  #flushing = false;
  #reading = false;
  #blocks: RequestBlocks | undefined;
  #nextId = 1;
  #sendWindow = DEFAULT_WINDOW_BYTES;
  #initialSendWindow = DEFAULT_WINDOW_BYTES;
  #concurrentMax = Infinity;
  #received = 0;
  #failure: Error | undefined;

  private constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
    this.#socket = net.connect({
      host: endpoint.host,
      port: endpoint.port,
      noDelay: true,
      onread: {
        buffer: READ_BUFFER,
        callback: (bytes, buffer) => {
          this.#read(buffer as Buffer, bytes);
          return true;
        },
      },
    });
    this.#writer = new FrameWriter(this.#socket);
    this.#socket.once("connect", () => this.#open());
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.on("close", () => this.#fail(new Error("the server closed the connection")));
  }

  /** Resolves when the server's SETTINGS are here; rejects if there is no gRPC server at the endpoint. */
  static async connect(endpoint: Endpoint): Promise<Connection> {
    const connection = new Connection(endpoint);
    await connection.#ready.promise;
    return connection;
  }

  /** How many calls the server lets this connection have at a time. */
  get concurrentMax(): number {
    return this.#concurrentMax;
  }

  /** Opens a call; on a connection that has ended, `onEnd` comes before this returns. */
  call(events: CallEvents): Call {
    const call = new Call(this.#nextId, events, this.#initialSendWindow);
    this.#nextId += 2;
    if (this.#failure !== undefined) {
      call.end(GRPC_UNAVAILABLE, this.#failure.message);
      return call;
    }
    this.#calls.set(call.id, call);
    const blocks = this.#blocks!;
    const block = call.id === 1 ? blocks.first : blocks.later;
    this.#writer.head(block.length, FrameType.HEADERS, Flag.END_HEADERS, call.id);
    this.#writer.payload(block, 0, block.length);
    this.#flushSoon();
    return call;
  }

  /** Sends a prebuilt message (prefix included) with this sequence; `last` ends our side of the call. */
  send(call: Call, message: Buffer, sequence: number, last: boolean): void {
    if (this.#failure !== undefined) return;
    call.queue.push({ message, sequence, last, offset: 0 });
    this.#want(call);
    this.#pump();
    this.#flushSoon();
  }

  /** Ends our side of a call that has nothing more to send. */
  end(call: Call): void {
    if (this.#failure !== undefined || !this.#calls.has(call.id)) return;
    this.#writer.head(0, FrameType.DATA, Flag.END_STREAM, call.id);
    this.#flushSoon();
  }

  /** Closes the socket; calls that are open end with UNAVAILABLE. */
  close(): void {
    this.#writer.flush();
    this.#socket.destroySoon();
  }

  onData(id: number, bytes: Buffer, start: number, end: number, counted: number, last: boolean): void {
    this.#received += counted;
    if (this.#received > CONNECTION_WINDOW_BYTES / 4) {
      this.#writer.windowUpdate(0, this.#received);
      this.#received = 0;
    }
    const call = this.#calls.get(id);
    if (call === undefined) return;
    call.received += counted;
    if (call.received > STREAM_WINDOW_BYTES / 4) {
      this.#writer.windowUpdate(id, call.received);
      call.received = 0;
    }
    call.receive(bytes, start, end);
    if (last) this.#end(id, GRPC_UNKNOWN, "the call ended without trailers");
  }

  onHeaders(id: number, block: Buffer, last: boolean): void {
    // Decoded even if the call is gone: the block may change the table that later blocks refer to.
    const headers = this.#decoder.decode(block);
    this.#calls.get(id)?.receiveHeaders(headers);
    if (last) this.#end(id, GRPC_UNKNOWN, "the call ended without a grpc-status");
  }

  onReset(id: number, code: number): void {
    this.#end(id, GRPC_UNAVAILABLE, `the server reset the call with code ${code}`);
  }

  onSettings(bytes: Buffer, start: number, end: number): void {
    let tableBytes = 4096;
    for (let at = start; at < end; at += 6) {
      const setting = bytes.readUInt16BE(at);
      const value = bytes.readUInt32BE(at + 2);
      if (setting === Setting.HEADER_TABLE_SIZE) tableBytes = value;
      else if (setting === Setting.MAX_CONCURRENT_STREAMS) this.#concurrentMax = value;
      else if (setting === Setting.INITIAL_WINDOW_SIZE) {
        for (const call of this.#calls.values()) {
          call.sendWindow += value - this.#initialSendWindow;
          this.#want(call);
        }
        this.#initialSendWindow = value;
      }
    }
    this.#writer.head(0, FrameType.SETTINGS, Flag.ACK, 0);
    const { host, port, path, userAgent } = this.#endpoint;
    this.#blocks ??= requestBlocks(path, `${host}:${port}`, userAgent, tableBytes);
    this.#ready.resolve();
    this.#pump();
  }

  onPing(bytes: Buffer, start: number, end: number): void {
    this.#writer.head(end - start, FrameType.PING, Flag.ACK, 0);
    this.#writer.payload(bytes, start, end);
  }

  onGoaway(code: number, text: string): void {
    throw new Error(`the server said GOAWAY with code ${code} ${text}`.trimEnd());
  }

  onWindowUpdate(id: number, increment: number): void {
    const call = this.#calls.get(id);
    if (id === 0) this.#sendWindow += increment;
    else if (call !== undefined) {
      call.sendWindow += increment;
      this.#want(call);
    }
    this.#pump();
  }

  #open(): void {
    this.#socket.write(PREFACE);
    this.#writer.settings([
      [Setting.ENABLE_PUSH, 0],
      [Setting.INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES],
    ]);
    this.#writer.windowUpdate(0, CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES);
    this.#writer.flush();
  }

  #read(buffer: Buffer, length: number): void {
    this.#reading = true;
    try {
      this.#reader.read(buffer, length);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#reading = false;
    }
    this.#writer.flush();
  }

  /** The call has something to send, as far as its own window allows. */
  #want(call: Call): void {
    if (call.queue.length > 0 && call.sendWindow > 0) this.#waiting.add(call);
  }

  /** Writes what the connection's window allows, frame by frame in turns. */
  #pump(): void {
    // A call that is added again while the set is walked comes after all others.
    for (const call of this.#waiting) {
      if (this.#sendWindow <= 0) return;
      this.#waiting.delete(call);
      this.#writeFrame(call, call.queue[0]!);
      this.#want(call);
    }
  }

  #writeFrame(call: Call, item: Outgoing): void {
    const { message } = item;
    const bytes = Math.min(call.sendWindow, this.#sendWindow, PAYLOAD_BYTES_MAX, message.length - item.offset);
    const done = item.offset + bytes === message.length;
    this.#writer.head(bytes, FrameType.DATA, done && item.last ? Flag.END_STREAM : 0, call.id);
    // The pool's message is shared by all calls: its sequence is this call's only while it is copied.
    writeSequence(message, item.sequence);
    this.#writer.payload(message, item.offset, item.offset + bytes);
    call.sendWindow -= bytes;
    this.#sendWindow -= bytes;
    item.offset += bytes;
    if (done) call.queue.shift();
  }

  /** What is sent while a chunk is read leaves after it; anything else at the end of this turn. */
  #flushSoon(): void {
    if (this.#reading || this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#writer.flush();
    });
  }

  #end(id: number, status: number, message: string): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    this.#calls.delete(id);
    this.#waiting.delete(call);
    call.end(status, message);
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#ready.reject(error);
    this.#socket.destroy();
    for (const id of this.#calls.keys()) this.#end(id, GRPC_UNAVAILABLE, error.message);
  }
}
