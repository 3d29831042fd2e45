// The labels that samples have: which were put on when the profiler took them.
//
// The profiler notes with each sample an object that was handed to it, and handing one over costs 130 ns where caches are warm and
// 250 where they are not; labels change a hundred thousand times a second, of which the profiler sees forty. So what is handed
// over is a holder, and putting on labels writes them into it, as long as no sample was taken with it. The profiler counts its
// samples in memory that can be read from here. A holder that a sample was taken with stays as it is, and the next labels come into
// a new one: forty times a second.
//
// Rejected: handing over every label set, which was 2 % of a worker's CPU under unary calls of one event.
//
// Invariant: a holder does not change any more once a sample has it. A signal between the look at the count and the write gives one
// sample the labels of the next nanosecond.

import { time } from "@datadog/pprof";
import { type Labels, NO_LABELS } from "../telemetry/attribution.ts";

const SAMPLES = time.constants.kSampleCount as number;

class Holder {
  labels: Labels;

  constructor(labels: Labels) {
    this.labels = labels;
  }
}

/** One for the profiler of a process. */
export class SampleContext {
  #holder = new Holder(NO_LABELS);
  /** The profiler's state, in which it counts the samples of the slice. */
  #state = new Uint32Array(SAMPLES + 1);
  /** How many there were when the holder was new. */
  #samples = 0;

  /** Those that are put on. */
  get labels(): Labels {
    return this.#holder.labels;
  }

  put(labels: Labels): void {
    if (this.#state[SAMPLES] === this.#samples) this.#holder.labels = labels;
    else this.#replace(labels);
  }

  /** To be called when the profiler has started, and after each cut: from here on it counts anew. */
  sliceBegins(): void {
    this.#state = time.getState() as Uint32Array<ArrayBuffer>;
    this.#replace(this.#holder.labels);
  }

  #replace(labels: Labels): void {
    this.#holder = new Holder(labels);
    // First: a sample that is taken before the new one is handed over makes it be replaced, too, which does no harm.
    this.#samples = this.#state[SAMPLES]!;
    if (time.isStarted()) time.setContext(this.#holder);
  }
}

/** The labels of a sample, given what the profiler noted with it. */
export function labelsOfSample(context: object | undefined): Labels {
  return context instanceof Holder ? context.labels : NO_LABELS;
}
