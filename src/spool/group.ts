// Entries that share one write and one sync.

import type { IngestError } from "../errors.ts";
import type { SegmentState } from "./segment-state.ts";

/** Told the outcome of one entry, exactly once, in a later turn of the event loop. */
export interface AppendListener {
  /** @param position of the entry in the segment, and its size there; bytes. */
  synced(sequence: number, segment: SegmentState, position: number, bytes: number): void;
  failed(error: IngestError): void;
}

export class Group {
  readonly firstSequence: number;
  /** As they lie on disk, one after the other. */
  readonly buffers: Buffer[] = [];
  bytes = 0;
  /** Entries that hold events. */
  live = 0;
  readonly #listeners: AppendListener[] = [];
  readonly #sizes: number[] = [];

  constructor(firstSequence: number) {
    this.firstSequence = firstSequence;
  }

  /** Entries. */
  get count(): number {
    return this.#sizes.length;
  }

  /** Adds an entry: its header and payload, in one buffer or two. */
  add(head: Buffer, body: Buffer | undefined, live: boolean, listener: AppendListener): void {
    const bytes = head.length + (body?.length ?? 0);
    this.buffers.push(head);
    if (body !== undefined) this.buffers.push(body);
    this.bytes += bytes;
    if (live) this.live++;
    this.#listeners.push(listener);
    this.#sizes.push(bytes);
  }

  tellSynced(segment: SegmentState, firstPosition: number): void {
    let position = firstPosition;
    for (let i = 0; i < this.#sizes.length; i++) {
      const bytes = this.#sizes[i]!;
      this.#listeners[i]!.synced(this.firstSequence + i, segment, position, bytes);
      position += bytes;
    }
  }

  tellFailed(error: IngestError): void {
    for (const listener of this.#listeners) listener.failed(error);
  }
}
