// One client's connection: its life, from the preface to the last byte, and the parts it is made of.
//
//     transport ──▶ Frames ─┬─▶ HeaderFrames ──▶ Requests ──▶ Stream ──▶ RequestReceiver
//                           ├─▶ Bodies ────────────────────────▲ │
//                           └─▶ ControlFrames                    │ answers
//     transport ◀── Output ◀── Sender ◀──────────────────────────┘
//
// Requests go to the RequestHandler; what there is to write is written at the end of the turn. A broken rule of the connection's
// is thrown as a ConnectionError and ends it with GOAWAY; one of a stream's ends the stream (Penalties). Either way everybody else
// is served on.
//
// Invariants: after `closed` no stream is open, no page is held, and no handler is called; nothing that is thrown while a client is
// read or written to leaves here.

import type { Clock } from "../clock.ts";
import { Bodies } from "./bodies.ts";
import { ControlFrames } from "./control-frames.ts";
import { ConnectionError, ErrorCode } from "./error-code.ts";
import { FrameType } from "./frame.ts";
import { Frames } from "./frames.ts";
import { GoingAway } from "./going-away.ts";
import { HeaderFrames } from "./header-frames.ts";
import { Lifespan } from "./lifespan.ts";
import type { CloseReason, Http2Observer } from "./observer.ts";
import type { Http2Options } from "./options.ts";
import { Penalties } from "./penalties.ts";
import { PrefaceReader, type Stranger } from "./preface.ts";
import { Requests } from "./requests.ts";
import { Sender } from "./sender.ts";
import { writeSettings } from "./settings.ts";
import { StreamTable } from "./stream-table.ts";
import type { Transport, TransportListener } from "./transport.ts";
import type { EndOfTurn } from "./turn.ts";
import type { WorkerContext } from "./worker-context.ts";

export interface ConnectionContext extends WorkerContext {
  /** The connection is gone. */
  closed(connection: Connection): void;
}

/** How long a client may take to hang up once it was told to. */
const LINGER_MS = 1_000;

const NO_BYTES = new Uint8Array(0);
const KEEPALIVE_PING = Buffer.from("\u0001sluice\u0000", "latin1");

type Phase = "preface" | "open" | "closing" | "closed";

export class Connection implements TransportListener, EndOfTurn {
  readonly #transport: Transport;
  readonly #context: ConnectionContext;
  readonly #observer: Http2Observer;
  readonly #clock: Clock;
  readonly #options: Http2Options;
  readonly #streams = new StreamTable();
  readonly #sender: Sender;
  readonly #goingAway: GoingAway;
  readonly #penalties: Penalties;
  readonly #bodies: Bodies;
  readonly #requests: Requests;
  readonly #control: ControlFrames;
  readonly #frames: Frames;
  readonly #lifespan: Lifespan;
  readonly #preface = new PrefaceReader();
  #phase: Phase = "preface";
  #closingAtMs = 0;

  constructor(transport: Transport, context: ConnectionContext) {
    const { observer, clock, options } = context;
    const nowMs = clock.monotonic();
    this.#transport = transport;
    this.#context = context;
    this.#observer = observer;
    this.#clock = clock;
    this.#options = options;
    const streams = this.#streams;
    const sender = new Sender(transport, context, this);
    const goingAway = new GoingAway(observer, sender, streams, () => this.#close());
    const penalties = new Penalties(sender, streams, nowMs);
    const bodies = new Bodies(options, sender, streams, penalties);
    const requests = new Requests(transport, context, { sender, streams, penalties, bodies, goingAway });
    const headers = new HeaderFrames(options.headerListBytesMax, requests, penalties);
    const control = new ControlFrames(observer, { sender, streams, penalties, goingAway });
    this.#sender = sender;
    this.#goingAway = goingAway;
    this.#penalties = penalties;
    this.#bodies = bodies;
    this.#requests = requests;
    this.#control = control;
    this.#frames = new Frames(headers, bodies, control);
    this.#lifespan = new Lifespan(options, nowMs, context.random());
    observer.connectionOpened(transport.peerIdentity ?? transport.peer);
  }

  get peer(): string {
    return this.#transport.peer;
  }

  get peerIdentity(): string | undefined {
    return this.#transport.peerIdentity;
  }

  get streamCount(): number {
    return this.#streams.open.size;
  }

  /** Bytes that the client has not taken. */
  get unsentBytes(): number {
    return this.#sender.unsentBytes;
  }

  get ageMs(): number {
    return this.#lifespan.ageMs(this.#clock.monotonic());
  }

  // What the server asks.

  /** One connection too many: says so, and closes. */
  refuse(): void {
    const { connectionsMax } = this.#options;
    const detail = `this server takes ${connectionsMax} connections (GRPC_CONNECTIONS_MAX): try again later, or elsewhere`;
    this.#observer.attack("connections_over_limit", this.#transport.peer, detail);
    this.#sender.frame(FrameType.SETTINGS, 0, 0, NO_BYTES);
    this.#fail(new ConnectionError(ErrorCode.NO_ERROR, detail), "over_limit");
  }

  /** Takes no more streams, lets those that are open end, and closes. */
  goAway(reason: "drain" | "idle" | "age"): void {
    if (this.#goingAway.announced || this.#isOver()) return;
    if (this.#phase === "preface") {
      this.#goingAway.reason = reason;
      this.#close();
    } else this.#goingAway.announce(reason, this.#clock.monotonic());
  }

  /** Ends it now, with what is unsent. */
  destroy(reason: CloseReason): void {
    this.#goingAway.reason ??= reason;
    this.#transport.destroy();
  }

  /** Looks after everything that depends on time; once a second. Never throws: others are looked after, too. */
  sweep(): void {
    try {
      this.#sweep();
    } catch (thrown) {
      this.#endForFault(thrown);
    }
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonic();
    this.#penalties.nowMs = nowMs;
    if (this.#phase === "closed") return;
    this.#streams.open.shrink();
    if (this.#phase === "closing") {
      if (nowMs - this.#closingAtMs > LINGER_MS) this.#transport.destroy();
      return;
    }
    this.#goingAway.check(nowMs);
    const verdict = this.#lifespan.check(nowMs, {
      established: this.#control.hasSettings,
      incompleteSinceMs: this.#frames.incompleteSince(nowMs),
      streams: this.#streams.open.size,
      unsentBytes: this.#sender.unsentBytes,
      sentBytes: this.#sender.sentBytes,
      socketHasRoom: !this.#sender.busy,
    });
    if (verdict === undefined) return;
    if (verdict.action === "ping") this.#sender.frame(FrameType.PING, 0, 0, KEEPALIVE_PING);
    else if (verdict.action === "go_away") {
      if (verdict.reason === "age") this.#requests.tellGoingAway(this.#clock.now() + this.#options.ageGraceMs);
      this.goAway(verdict.reason);
    } else {
      const { reason, attack, detail } = verdict;
      const code = attack === undefined ? ErrorCode.NO_ERROR : ErrorCode.ENHANCE_YOUR_CALM;
      this.#fail(new ConnectionError(code, detail, attack), reason);
    }
  }

  // What the transport tells.

  received(buffer: Buffer, length: number): void {
    if (this.#isOver()) return;
    const nowMs = this.#clock.recentMonotonic();
    this.#penalties.nowMs = nowMs;
    this.#lifespan.received(nowMs);
    this.#observer.bytes("received", length);
    try {
      const at = this.#phase === "preface" ? this.#readPreface(buffer, length) : 0;
      if (this.#phase === "open") this.#frames.read(buffer, at, length);
    } catch (thrown) {
      this.#caught(thrown);
    }
  }

  drained(): void {
    if (this.#phase === "closed") return;
    this.#sender.drained();
    this.endTurn();
  }

  ended(): void {
    this.#goingAway.reason ??= "client";
    this.#close();
  }

  closed(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#frames.stop();
    this.#requests.lose(ErrorCode.CANCEL);
    this.#sender.dispose();
    const ageMs = this.#lifespan.ageMs(this.#clock.monotonic());
    this.#observer.connectionClosed(this.#goingAway.reason ?? "lost", ageMs, this.peerIdentity ?? this.peer);
    this.#context.closed(this);
  }

  // The end of the turn.

  /** Never throws: the turn is that of other connections, too. */
  endTurn(): void {
    if (this.#phase === "closed") return;
    try {
      if (this.#phase === "open") {
        if (this.#sender.overflown) this.#failOverflown();
        else this.#bodies.announce();
      }
      this.#sender.flush();
    } catch (thrown) {
      this.#endForFault(thrown);
    }
  }

  /** Without GOAWAY: it would have to go the way that has failed. */
  #endForFault(thrown: unknown): void {
    this.#observer.fault(thrown);
    this.destroy("protocol");
  }

  #failOverflown(): void {
    const { unsentBytesMax } = this.#options;
    const detail = `far more than ${unsentBytesMax} bytes of answers were not taken (GRPC_UNSENT_BYTES_MAX)`;
    this.#fail(new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, detail, "slow_read"), "attack");
  }

  // The beginning.

  /** @returns where the frames begin. */
  #readPreface(buffer: Buffer, length: number): number {
    const at = this.#preface.read(buffer, length);
    if (typeof at !== "number") {
      this.#refuseStranger(at);
      return length;
    }
    if (this.#preface.complete) {
      this.#phase = "open";
      this.#sender.frame(FrameType.SETTINGS, 0, 0, writeSettings(this.#options));
    }
    return at;
  }

  #refuseStranger({ answer, detail }: Stranger): void {
    this.#observer.attack("not_http2", this.#transport.peer, detail);
    this.#goingAway.reason ??= "not_http2";
    if (answer === undefined) this.#goingAway.say(0, ErrorCode.PROTOCOL_ERROR, detail);
    else this.#sender.raw(answer);
    this.#close();
  }

  // The end.

  #isOver(): boolean {
    return this.#phase === "closing" || this.#phase === "closed";
  }

  /** Whatever reading a client's bytes throws ends its connection, and nothing else. */
  #caught(thrown: unknown): void {
    if (thrown instanceof ConnectionError) {
      this.#fail(thrown, thrown.attack === undefined ? "protocol" : "attack");
    } else {
      this.#observer.fault(thrown);
      this.#fail(new ConnectionError(ErrorCode.INTERNAL_ERROR, "a fault of the server's"), "protocol");
    }
  }

  #fail(error: ConnectionError, reason: CloseReason): void {
    if (this.#isOver()) return;
    this.#goingAway.reason = reason;
    if (error.attack !== undefined) this.#observer.attack(error.attack, this.#transport.peer, error.message);
    this.#goingAway.say(this.#streams.lastId, error.code, error.message);
    this.#close();
  }

  /** Nothing is read any more; what is laid down still goes out, then FIN. */
  #close(): void {
    if (this.#isOver()) return;
    this.#phase = "closing";
    this.#closingAtMs = this.#clock.monotonic();
    this.#frames.stop();
    this.#requests.lose(ErrorCode.CANCEL);
    this.#sender.finish();
  }
}
