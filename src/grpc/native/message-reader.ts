// The receiving half of a call: body bytes in, messages out, in order, as fast as the handler takes them.
//
//   Request := *Length-Prefixed-Message EOS
//
// A message that lies wholly in what has arrived is handed on as a view; another one is put together in a pooled buffer. What
// arrives while nobody takes messages (the handler has paused the call, or a message is being inflated) is held, without
// flow-control credit, so the client stops. Credit is given for bytes that were handed on or copied into their message: those
// are bounded by the budget of MessageBuffers instead, or a message larger than the window could never come.
//
// It is a base class, not a part, so that a call is one object.
//
// Invariants: `deliver` and `requestEnded` are called in the order sent, never while the call is paused, never from within
// `pause` or `resume`, and never after `stopReading`. Every buffer goes back once, whatever happens in `deliver`.

import type { RequestStream } from "../../http2/request.ts";
import type { Status } from "../server.ts";
import type { CallContext } from "./call-context.ts";
import { HeldBytes } from "./held-bytes.ts";
import type { InflateFailure, InflateOwner } from "./inflater.ts";
import { type MessageOwner, PartialMessage } from "./partial-message.ts";
import {
  badFlag,
  COMPRESSED_WITHOUT_ENCODING,
  CUT_MESSAGE,
  evicted,
  MALFORMED_GZIP,
  messageTooLarge,
  NO_MESSAGE,
  noMemory,
  SECOND_MESSAGE,
  slowMessage,
} from "./refusals.ts";

const PREFIX_BYTES = 5;

export abstract class MessageReader implements MessageOwner, InflateOwner {
  protected readonly context: CallContext;
  protected readonly stream: RequestStream;
  readonly #gzip: boolean;
  /** The method takes one message. */
  readonly #single: boolean;
  /** Of the message that is delivered: no other one begins between its first byte and its delivery. */
  messageCompressed = false;
  /** Messages that are complete. */
  #messages = 0;
  #partial: PartialMessage | undefined;
  #held: HeldBytes | undefined;
  #heldBytes = 0;
  /** The compressed message that is at the inflater: it lies in a buffer of the pool. */
  #inflating: Buffer | undefined;
  /** An inflated message that came while the call was paused. */
  #inflated: Buffer | undefined;
  #paused = false;
  /** The client has ended its side, and the handler has not been told yet. */
  #endPending = false;
  /** The rest of what is held is looked at in the end of this turn. */
  #scheduled = false;
  #over = false;

  /**
   * @param single the method takes one message.
   * @param gzip what compressed messages are compressed with; false: there may be none.
   */
  constructor(context: CallContext, stream: RequestStream, single: boolean, gzip: boolean) {
    this.context = context;
    this.stream = stream;
    this.#single = single;
    this.#gzip = gzip;
  }

  /** One message, `buffer[start, end)`, lent until this returns. */
  protected abstract deliver(buffer: Buffer, start: number, end: number): void;
  /** The request is complete, and every message was delivered. */
  protected abstract requestEnded(): void;
  /** Ends the call because of what its client did. */
  protected abstract refuse(status: Status): void;

  /** Nothing more is read: the call is over. */
  get over(): boolean {
    return this.#over;
  }

  data(buffer: Buffer, start: number, end: number): void {
    let at = start;
    if (!this.#over && !this.#isWaiting()) at = this.#read(buffer, start, end);
    if (this.#over) at = end;
    else if (at < end) this.#hold(buffer, at, end);
    if (at > start) this.stream.consume(at - start);
  }

  /** The client sends nothing more. */
  ended(): void {
    if (this.#over) return;
    if (this.#isWaiting()) this.#endPending = true;
    else this.#endRequest();
  }

  pause(): void {
    if (this.#over || this.#paused) return;
    this.#paused = true;
    // The client cannot be blamed for bytes that it may not send.
    if (this.#partial !== undefined) this.context.incomplete.remove(this.#partial);
  }

  resume(): void {
    if (this.#over || !this.#paused) return;
    this.#paused = false;
    if (this.#partial !== undefined) this.context.incomplete.add(this.#partial);
    if (this.#scheduled || (!this.#isWaiting() && !this.#endPending)) return;
    this.#scheduled = true;
    this.context.clock.setImmediate(() => {
      this.#scheduled = false;
      this.#goOn();
    });
  }

  timedOut(): void {
    const { limits, observer } = this.context;
    const status = slowMessage(limits.messageTimeoutMs);
    observer.attack("slow_message", this.stream.peer, status.message);
    this.refuse(status);
  }

  evicted(): void {
    this.refuse(evicted(this.context.limits.receiveBytesMax));
  }

  inflated(bytes: Buffer | undefined, failure: InflateFailure | undefined): void {
    this.context.buffers.release(this.#inflating!);
    this.#inflating = undefined;
    if (this.#over) return;
    if (failure === "malformed") {
      this.refuse(MALFORMED_GZIP);
    } else if (failure === "too_large") {
      this.#refuseTooLarge("compressed_message_too_large", undefined);
    } else if (this.#paused) {
      if (this.context.buffers.reserve(bytes!.length, this)) this.#inflated = bytes;
      else this.#refuseForMemory();
    } else {
      this.deliver(bytes!, 0, bytes!.length);
      this.#goOn();
    }
  }

  /** Gives everything back. */
  protected stopReading(): void {
    if (this.#over) return;
    this.#over = true;
    const { buffers, incomplete } = this.context;
    if (this.#partial !== undefined) {
      incomplete.remove(this.#partial);
      const buffer = this.#partial.detach();
      if (buffer !== undefined) buffers.release(buffer);
      this.#partial = undefined;
    }
    if (this.#inflated !== undefined) buffers.unreserve(this.#inflated.length);
    this.#inflated = undefined;
    if (this.#held === undefined) return;
    this.#held.release(buffers);
    this.#held = undefined;
    this.stream.consume(this.#heldBytes);
    this.#heldBytes = 0;
  }

  /** May the next message not be delivered? */
  #isStopped(): boolean {
    return this.#paused || this.#over || this.#inflating !== undefined;
  }

  /** Does something that came earlier have to be delivered first? */
  #isWaiting(): boolean {
    return this.#isStopped() || this.#held !== undefined || this.#inflated !== undefined;
  }

  /** Delivers the messages of `buffer[start, end)`, and begins the last one. @returns where it had to stop. */
  #read(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && !this.#isStopped()) {
      const partial = this.#partial;
      if (partial !== undefined) {
        at = this.#readOn(partial, buffer, at, end);
        continue;
      }
      if (end - at >= PREFIX_BYTES) {
        const flag = buffer[at]!;
        const length = buffer.readUInt32BE(at + 1);
        if (!this.#accepts(flag, length)) return end;
        const body = at + PREFIX_BYTES;
        if (length <= end - body) {
          at = body + length;
          this.#completed(flag, buffer, body, at);
          continue;
        }
      }
      this.#partial = new PartialMessage(this);
      this.context.incomplete.add(this.#partial);
    }
    return at;
  }

  #readOn(partial: PartialMessage, buffer: Buffer, start: number, end: number): number {
    let at = start;
    if (!partial.hasPrefix) {
      at = partial.takePrefix(buffer, at, end);
      if (!partial.hasPrefix) return at;
      if (!this.#accepts(partial.flag, partial.length)) return end;
    }
    // Its prefix came alone, as some clients send it.
    if (!partial.hasBody && partial.length <= end - at) {
      const body = at;
      at += partial.length;
      this.#forgetPartial(partial);
      this.#completed(partial.flag, buffer, body, at);
      return at;
    }
    if (at === end) return at;
    at = partial.takeBody(this.context.buffers, buffer, at, end);
    if (at < 0) {
      this.#refuseForMemory();
      return end;
    }
    if (!partial.complete) return at;
    this.#forgetPartial(partial);
    const whole = partial.detach()!;
    if (partial.flag === 0) {
      this.#messages++;
      try {
        this.deliver(whole, 0, partial.length);
      } finally {
        this.context.buffers.release(whole);
      }
    } else {
      this.#inflate(whole, partial.length);
    }
    return at;
  }

  #forgetPartial(partial: PartialMessage): void {
    this.#partial = undefined;
    this.context.incomplete.remove(partial);
  }

  /** A message lies in `buffer[start, end)`. */
  #completed(flag: number, buffer: Buffer, start: number, end: number): void {
    if (flag === 0) {
      this.#messages++;
      this.deliver(buffer, start, end);
      return;
    }
    const copy = this.context.buffers.acquire(end - start, this);
    if (copy === undefined) {
      this.#refuseForMemory();
      return;
    }
    buffer.copy(copy, 0, start, end);
    this.#inflate(copy, end - start);
  }

  /** @param compressed holds the message, and is the pool's. */
  #inflate(compressed: Buffer, length: number): void {
    this.#messages++;
    this.#inflating = compressed;
    this.context.inflater.inflate(compressed.subarray(0, length), this);
  }

  /** Is a message with this prefix taken? The call is over if it is not. */
  #accepts(flag: number, length: number): boolean {
    if (flag > 1) this.refuse(badFlag(flag));
    else if (flag === 1 && !this.#gzip) this.refuse(COMPRESSED_WITHOUT_ENCODING);
    else if (this.#single && this.#messages > 0) this.refuse(SECOND_MESSAGE);
    else if (length > this.context.limits.messageBytesMax) this.#refuseTooLarge("message_too_large", length);
    else {
      this.messageCompressed = flag === 1;
      return true;
    }
    return false;
  }

  #hold(buffer: Buffer, start: number, end: number): void {
    const held = (this.#held ??= new HeldBytes());
    this.#heldBytes += end - start;
    if (!held.push(this.context.buffers, this, buffer, start, end)) this.#refuseForMemory();
  }

  /** Takes up what had to wait. */
  #goOn(): void {
    if (this.#isStopped()) return;
    if (this.#inflated !== undefined) {
      const bytes = this.#inflated;
      this.#inflated = undefined;
      this.context.buffers.unreserve(bytes.length);
      this.deliver(bytes, 0, bytes.length);
    }
    while (this.#held !== undefined && !this.#isStopped()) this.#readHeld(this.#held);
    if (this.#endPending && !this.#isWaiting()) this.#endRequest();
  }

  /** Reads the oldest chunk of what is held. */
  #readHeld(held: HeldBytes): void {
    const { buffers } = this.context;
    const chunk = held.shift()!;
    const { buffer, start, end } = chunk;
    let at = end;
    try {
      at = this.#read(buffer, start, end);
    } finally {
      // The chunk is none of those that `stopReading` gives back, because it is lent to the handler meanwhile.
      if (this.#over || at === end) buffers.release(buffer);
      else held.restore(chunk, at);
    }
    if (this.#over) return;
    this.#heldBytes -= at - start;
    if (held.empty) this.#held = undefined;
    this.stream.consume(at - start);
  }

  #endRequest(): void {
    this.#endPending = false;
    if (this.#partial !== undefined) this.refuse(CUT_MESSAGE);
    else if (this.#single && this.#messages === 0) this.refuse(NO_MESSAGE);
    else this.requestEnded();
  }

  #refuseTooLarge(attack: "message_too_large" | "compressed_message_too_large", bytes: number | undefined): void {
    const status = messageTooLarge(bytes, this.context.limits.messageBytesMax);
    this.context.observer.attack(attack, this.stream.peer, status.message);
    this.refuse(status);
  }

  #refuseForMemory(): void {
    this.refuse(noMemory(this.context.limits.receiveBytesMax));
  }
}
