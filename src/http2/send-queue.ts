// Streams whose answers could not be sent at once: the client's windows are used up, or its socket is.
//
// They take turns, a frame each, so that one long answer does not hold up the others. A stream that its own window holds up waits
// outside of the line until the client gives it room.

import type { Stream } from "./stream.ts";

export class SendQueue {
  /** Those that may send as soon as the connection can, in the order of their turns. */
  readonly #ready = new Set<Stream>();
  /** Bytes that are unsent over all streams. */
  unsentBytes = 0;

  /** More bytes of a stream wait. */
  add(stream: Stream, bytes: number): void {
    this.unsentBytes += bytes;
    this.#ready.add(stream);
  }

  /** The stream is closed; what it had is dropped. */
  remove(stream: Stream): void {
    // As nearly always: then it is not in here.
    if (stream.unsentBytes === 0) return;
    this.unsentBytes -= stream.unsentBytes;
    this.#ready.delete(stream);
  }

  /** The stream's own window has grown. */
  unblock(stream: Stream): void {
    if (stream.unsentBytes > 0) this.#ready.add(stream);
  }

  /**
   * Sends a frame of each stream in turns for as long as there is room.
   * @param hasRoom asked before each frame: can the connection send body bytes?
   * @param onStall told of a stream that its own window holds up.
   */
  pump(hasRoom: () => boolean, onStall: () => void): void {
    while (this.#ready.size > 0 && hasRoom()) {
      const stream = this.#ready.values().next().value!;
      this.#ready.delete(stream);
      const sent = stream.sendUnsent();
      this.unsentBytes -= sent;
      if (sent === 0) onStall();
      else if (stream.unsentBytes > 0) this.#ready.add(stream);
    }
  }

  /** Does anything wait that could be sent but for the connection? */
  get waiting(): boolean {
    return this.#ready.size > 0;
  }
}
