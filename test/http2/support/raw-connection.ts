// A client that sends any bytes over a socket, valid HTTP/2 or not, and shows what comes back as frames.
//
// Every wait ends: with what it waits for, or with an error that tells everything that was seen instead.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { HpackDecoder } from "../../../bench/load/hpack.ts";
import {
  contentOf,
  describe,
  Flag,
  type Frame,
  FrameSplitter,
  ping,
  PREFACE,
  settings,
  settingsAck,
  Type,
  windowUpdate,
} from "./frames.ts";
import { messagesOf } from "./grpc.ts";

const WAIT_MS = 10_000;
/** How much of what was seen a failure tells. */
const SHOWN = 12;

export interface Answer {
  /** Of the header block and the trailers, by name. */
  readonly fields: ReadonlyMap<string, string>;
  readonly messages: readonly Buffer[];
  /** The code of RST_STREAM, where the stream ended so. */
  readonly reset: number | undefined;
}

export interface Goaway {
  readonly lastId: number;
  readonly code: number;
  readonly debug: string;
}

export interface RawOptions {
  /** The client's settings; undefined: neither the preface nor settings are sent. */
  readonly settings?: readonly (readonly [setting: number, value: number])[] | undefined;
  readonly tls?: ConnectionOptions;
  /** Gives all windows back as bytes arrive. */
  readonly takes?: boolean;
  /** False: the server's settings are not acknowledged. */
  readonly acknowledges?: boolean;
}

interface Waiter {
  readonly check: () => void;
}

export class RawConnection implements Disposable {
  readonly socket: Socket;
  /** Everything that came. */
  readonly frames: Frame[] = [];
  readonly #takes: boolean;
  readonly #acknowledges: boolean;
  readonly #splitter = new FrameSplitter();
  readonly #decoder = new HpackDecoder();
  readonly #answers = new Map<
    number,
    { fields: Map<string, string>; body: Buffer[]; ended: boolean; reset?: number }
  >();
  readonly #fragments: Buffer[] = [];
  readonly #waiters = new Set<Waiter>();
  #bytes: Buffer = Buffer.alloc(0);
  #received = 0;
  #closed = false;
  #error: Error | undefined;
  #isHttp2 = true;

  private constructor(socket: Socket, { takes = false, acknowledges = true }: RawOptions) {
    this.socket = socket;
    this.#takes = takes;
    this.#acknowledges = acknowledges;
    socket.on("data", (bytes: Buffer) => {
      this.#arrived(bytes);
      this.#check();
    });
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("close", () => {
      this.#closed = true;
      this.#check();
    });
  }

  static async open(
    address: { readonly host: string; readonly port: number },
    options: RawOptions = { settings: [] },
  ): Promise<RawConnection> {
    const { host, port } = address;
    const socket =
      options.tls === undefined
        ? connect({ host, port, noDelay: true })
        : connectTls({ host, port, ALPNProtocols: ["h2"], rejectUnauthorized: false, ...options.tls });
    const connection = new RawConnection(socket, options);
    await once(socket, options.tls === undefined ? "connect" : "secureConnect");
    if (options.settings !== undefined) connection.send(PREFACE, settings(options.settings));
    return connection;
  }

  /** What is written after the server has closed is lost, as it should be. */
  send(...pieces: readonly Uint8Array[]): void {
    if (!this.#closed && this.socket.writable) this.socket.write(Buffer.concat(pieces));
  }

  /** As `send`; resolves once the system has taken the bytes, or the connection is gone. */
  async sendAll(...pieces: readonly Uint8Array[]): Promise<void> {
    if (this.#closed || !this.socket.writable) return;
    const taken = Promise.withResolvers<void>();
    this.socket.write(Buffer.concat(pieces), () => {
      taken.resolve();
    });
    await Promise.race([taken.promise, this.closed(60_000)]);
  }

  /** The first bytes that came, as text. */
  get text(): string {
    return this.#bytes.toString("latin1");
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Bytes that came in all. */
  get received(): number {
    return this.#received;
  }

  /** Waits until `find` finds something in what came. */
  async until<T>(what: string, find: () => T | undefined, timeoutMs = WAIT_MS): Promise<T> {
    const found = Promise.withResolvers<T>();
    const waiter: Waiter = {
      check: () => {
        const value = find();
        if (value !== undefined) found.resolve(value);
        else if (this.#closed) found.reject(new Error(`closed, but ${what} was awaited; ${this.#seen()}`));
      },
    };
    const timer = setTimeout(() => {
      found.reject(new Error(`${what} did not come in ${timeoutMs} ms; ${this.#seen()}`));
    }, timeoutMs);
    this.#waiters.add(waiter);
    waiter.check();
    try {
      return await found.promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
  }

  async goaway(timeoutMs = WAIT_MS): Promise<Goaway> {
    return await this.until("GOAWAY", () => this.#goaway(), timeoutMs);
  }

  /** The first GOAWAY that came, if one has. */
  get wentAway(): Goaway | undefined {
    return this.#goaway();
  }

  /** The code that the server reset the stream with. */
  async reset(id: number, timeoutMs = WAIT_MS): Promise<number> {
    return await this.until(`RST_STREAM of ${id}`, () => this.#answers.get(id)?.reset, timeoutMs);
  }

  /** The code that the server has reset the stream with, if it has. */
  wasReset(id: number): number | undefined {
    return this.#answers.get(id)?.reset;
  }

  /** The whole answer on a stream. */
  async answer(id: number, timeoutMs = WAIT_MS): Promise<Answer> {
    return await this.until(
      `the answer on stream ${id}`,
      () => {
        const answer = this.#answers.get(id);
        if (answer === undefined || (!answer.ended && answer.reset === undefined)) return undefined;
        return { fields: answer.fields, messages: messagesOf(Buffer.concat(answer.body)), reset: answer.reset };
      },
      timeoutMs,
    );
  }

  /** Messages that came whole on a stream that goes on. */
  messages(id: number): number {
    const body = Buffer.concat(this.#answers.get(id)?.body ?? []);
    let count = 0;
    for (let at = 0; body.length - at >= 5; count++) {
      at += 5 + body.readUInt32BE(at + 1);
      if (at > body.length) break;
    }
    return count;
  }

  /** Body bytes that came on a stream. */
  bodyBytes(id: number): number {
    return (this.#answers.get(id)?.body ?? []).reduce((sum, { length }) => sum + length, 0);
  }

  /** Waits until the server has dealt with everything that was sent before. */
  async roundTrip(timeoutMs = WAIT_MS): Promise<void> {
    const token = Buffer.alloc(8);
    token.writeUInt32BE(Math.floor(Math.random() * 2 ** 32));
    this.send(ping(token));
    await this.until(
      "the answer to PING",
      () => this.frames.find((each) => each.type === Type.PING && each.flags & Flag.ACK && each.payload.equals(token)),
      timeoutMs,
    );
  }

  async closed(timeoutMs = WAIT_MS): Promise<void> {
    await this.until("the end of the connection", () => (this.#closed ? true : undefined), timeoutMs);
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #goaway(): Goaway | undefined {
    const found = this.frames.find(({ type }) => type === Type.GOAWAY);
    if (found === undefined) return undefined;
    const { payload } = found;
    return { lastId: payload.readUInt32BE(0), code: payload.readUInt32BE(4), debug: payload.toString("latin1", 8) };
  }

  #arrived(bytes: Buffer): void {
    if (this.#received === 0) {
      this.#bytes = Buffer.from(bytes);
      this.#isHttp2 = bytes.length >= 9 && bytes[3] === Type.SETTINGS;
    }
    this.#received += bytes.length;
    if (!this.#isHttp2) return;
    let taken = 0;
    for (const each of this.#splitter.push(bytes)) {
      this.#frame(each);
      this.frames.push(each);
      if (each.type === Type.DATA) taken += each.payload.length;
      if (each.type === Type.DATA && this.#takes && each.payload.length > 0) {
        this.send(windowUpdate(each.id, each.payload.length));
      }
    }
    if (this.#takes && taken > 0) this.send(windowUpdate(0, taken));
  }

  #frame(frame: Frame): void {
    const { type, flags, id, payload } = frame;
    if (type === Type.SETTINGS && !(flags & Flag.ACK) && this.#acknowledges) this.send(settingsAck());
    if (type === Type.RST_STREAM) this.#answer(id).reset = payload.readUInt32BE(0);
    if (type === Type.DATA) this.#answer(id).body.push(contentOf(frame));
    if (type === Type.HEADERS || type === Type.CONTINUATION) {
      this.#fragments.push(type === Type.HEADERS ? contentOf(frame) : payload);
      if (flags & Flag.END_HEADERS) {
        for (const [name, value] of this.#decoder.decode(Buffer.concat(this.#fragments.splice(0)))) {
          this.#answer(id).fields.set(name, value);
        }
      }
    }
    if ((type === Type.DATA || type === Type.HEADERS) && flags & Flag.END_STREAM) this.#answer(id).ended = true;
  }

  #answer(id: number) {
    let answer = this.#answers.get(id);
    if (answer === undefined) {
      answer = { fields: new Map<string, string>(), body: [], ended: false };
      this.#answers.set(id, answer);
    }
    return answer;
  }

  #check(): void {
    for (const waiter of this.#waiters) waiter.check();
  }

  #seen(): string {
    const shown = this.frames.slice(-SHOWN).map(describe);
    const error = this.#error === undefined ? "" : `, ${this.#error.message}`;
    const state = `${this.#closed ? "closed" : "open"}${error}`;
    const text = this.#isHttp2 ? "" : `, text ${JSON.stringify(this.text.slice(0, 200))}`;
    return `${state}${text}; ${this.frames.length} frames came, the last of them: ${shown.join("; ") || "none"}`;
  }
}
