// The labels of samples: which method, topic, caller and stage the main thread worked for when a sample was taken.
//
// Rejected: contexts that follow promises (V8's continuation data): 700 ns for each message, for work that is synchronous anyway.
// Label sets are made once for each method, caller and topic, and putting one on costs next to nothing (sample-context.ts).
//
// Invariants: what is marked is taken back at the end of the turn, so nobody pays for what comes later, idling included. The
// samples' labels are the label sets themselves; they are frozen.

import type { Clock } from "../clock.ts";
import {
  type Attribution,
  callerOf,
  type CommonStage,
  type Labels,
  NO_LABELS,
  type Origins,
  type TopicStage,
} from "../telemetry/attribution.ts";
import type { SampleContext } from "./sample-context.ts";

export const LABEL_NAMES = ["method", "topic", "caller", "stage"];

/** How many callers or topics are remembered; beyond that they are made anew, with the same content. */
const REMEMBERED_MAX = 1_024;
/** Peers have ports: more than connections that a worker takes by default, so that those that stay are not forgotten. */
const PEERS_MAX = 16_384;

/**
 * Values by key, made when they are first asked for; forgets all of them when there are too many, which costs making them again.
 * The last one is found without a look-up: one read from a socket brings many messages of one connection, mostly for one topic.
 * That way is short enough to become part of whoever asks, so what is not is elsewhere.
 */
class Interned<T> {
  readonly #make: (key: string) => T;
  readonly #max: number;
  readonly #values = new Map<string, T>();
  #lastKey: string | undefined;
  #last: T | undefined;

  constructor(make: (key: string) => T, max = REMEMBERED_MAX) {
    this.#make = make;
    this.#max = max;
  }

  of(key: string): T {
    return key === this.#lastKey ? this.#last! : this.#find(key);
  }

  #find(key: string): T {
    let value = this.#values.get(key);
    if (value === undefined) {
      value = this.#make(key);
      if (this.#values.size >= this.#max) this.#values.clear();
      this.#values.set(key, value);
    }
    this.#lastKey = key;
    return (this.#last = value);
  }
}

/** Labels the samples of this process's profiler. */
export class SampleLabels implements Attribution {
  readonly #clock: Clock;
  readonly #context: SampleContext;
  #ending = false;
  readonly #endTurn = (): void => {
    this.#ending = false;
    this.#context.put(NO_LABELS);
  };

  constructor(clock: Clock, context: SampleContext) {
    this.#clock = clock;
    this.#context = context;
  }

  origins(method: string): Origins {
    // Connections of one caller share an origin.
    const byCaller = new Interned(
      (caller) => new Interned<Labels>((topic) => Object.freeze({ method, topic, caller, stage: "receive" })),
    );
    return new Interned((peer) => byCaller.of(callerOf(peer)), PEERS_MAX);
  }

  ofTopic(stage: TopicStage, topic: string): Labels {
    return Object.freeze({ topic, stage });
  }

  ofAll(stage: CommonStage): Labels {
    return Object.freeze({ stage });
  }

  mark(labels: Labels): void {
    if (labels !== this.#context.labels) this.#change(labels);
  }

  enter(labels: Labels): Labels {
    const previous = this.#context.labels;
    this.#context.put(labels);
    return previous;
  }

  leave(previous: Labels): void {
    this.#context.put(previous);
  }

  #change(labels: Labels): void {
    this.#context.put(labels);
    if (this.#ending) return;
    this.#ending = true;
    this.#clock.setImmediate(this.#endTurn);
  }
}
