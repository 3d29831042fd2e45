// Events of a topic as they come in, for people to look at: a few a second, however many there are.
//
//   GET /debug/live/tail?topic=clicks     server-sent events: { "lines": [one JSON text an event], "leftOut": n } a second,
//                                         and `problem` with a sentence before it ends by itself
//
// Invariants: what is read follows what is shown. After a second's worth it stops reading, and then goes on at the end of the
// topic, so that a topic of a million events a second costs no more than one of twenty. A line has a bound, too.

import type { TailedEvent, TopicTail } from "../state.ts";
import { COMMENT, type EventStream, messageText } from "./event-stream.ts";

export const TAILS_MAX = 4;
export const EVENTS_PER_SECOND = 20;
export const BYTES_PER_SECOND = 64 * 1024;
/** Of one event as it is shown, in characters. */
export const LINE_LENGTH_MAX = 4 * 1024;

/** What is shown of one second. */
export interface TailedSecond {
  readonly lines: readonly string[];
  /** Events that were read and are not shown; those that were never read are not counted. */
  readonly leftOut: number;
}

/** What fits into a second. */
class Share {
  readonly lines: string[] = [];
  leftOut = 0;
  #bytes = 0;

  get full(): boolean {
    return this.lines.length >= EVENTS_PER_SECOND || this.#bytes >= BYTES_PER_SECOND;
  }

  add(event: TailedEvent): void {
    if (this.full) {
      this.leftOut += 1;
      return;
    }
    const line = event.line();
    const shown = line.length > LINE_LENGTH_MAX ? `${line.slice(0, LINE_LENGTH_MAX)}…` : line;
    this.lines.push(shown);
    this.#bytes += shown.length;
  }
}

export interface TailDependencies {
  readonly read: TopicTail;
  /** Resolves after so many milliseconds, or when the signal is aborted. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
}

const SECOND_MS = 1_000;
/** A client whose host is gone says nothing: that it does not take what is sent is all there is to notice it by. */
const QUIET_MS_MAX = 15_000;

/** Resolves when the stream is closed or the topic cannot be read any more. */
export async function tailTopic(
  { read, pause, now }: TailDependencies,
  topic: string,
  stream: Pick<EventStream, "closed" | "send" | "end" | "onClosed">,
): Promise<void> {
  const closed = new AbortController();
  stream.onClosed(() => {
    closed.abort();
  });
  const { signal } = closed;
  let share = new Share();
  let beganMs = now();
  let saidMs = beganMs;
  let behind = false;
  const skip = () => {
    const skips = behind;
    behind = false;
    return skips;
  };
  const say = (text: string) => {
    stream.send(text);
    saidMs = now();
  };
  const flush = () => {
    const { lines, leftOut } = share;
    if (lines.length > 0 || leftOut > 0) say(messageText({ data: JSON.stringify({ lines, leftOut }) }));
    share = new Share();
    beganMs = now();
  };
  // What has come is shown when its second is over, also if nothing else comes.
  const timer = setInterval(() => {
    if (!share.full && now() - beganMs >= SECOND_MS) flush();
    if (now() - saidMs >= QUIET_MS_MAX) say(COMMENT);
  }, SECOND_MS / 2);
  try {
    for await (const events of read(topic, skip, signal)) {
      for (const event of events) share.add(event);
      if (share.full) {
        const leftMs = SECOND_MS - (now() - beganMs);
        if (leftMs > 0) await pause(leftMs, signal);
        flush();
        behind = true;
      }
      if (signal.aborted) return;
    }
    flush();
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    if (!signal.aborted) stream.send(messageText({ event: "problem", data: JSON.stringify(problem) }));
  } finally {
    clearInterval(timer);
    stream.end();
  }
}
