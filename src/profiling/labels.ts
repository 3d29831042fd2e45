// The labels of samples: which method, topic, caller and stage the main thread worked for when a sample was taken.
//
// Rejected: contexts that follow promises (V8's continuation data): 700 ns for each message, for work that is synchronous anyway.
// Without them setting a context costs 130 ns, so it is set only when it changes, which is once a turn where one topic is
// written, and label sets are made once for each method, caller and topic.
//
// Invariants: what is marked is taken back at the end of the turn, so nobody pays for what comes later, idling included. The
// samples' labels are the label sets themselves; they are frozen.

import { time } from "@datadog/pprof";
import type { Clock } from "../clock.ts";
import {
  type Attribution,
  callerOf,
  type CommonStage,
  type Labels,
  type Origin,
  type TopicStage,
} from "../telemetry/attribution.ts";

export const LABEL_NAMES = ["method", "topic", "caller", "stage"];

const NONE: Labels = Object.freeze({});

/** How many callers or topics are remembered; beyond that they are made anew, with the same content. */
const REMEMBERED_MAX = 1_024;
/** Peers have ports: more than connections that a worker takes by default, so that those that stay are not forgotten. */
const PEERS_MAX = 16_384;

/**
 * Values by key; forgets all of them when there are too many, which costs making them again. The last one is found without a
 * look-up: one read from a socket brings many messages of one connection, mostly for one topic.
 */
class Interned<T> {
  readonly #values = new Map<string, T>();
  readonly #max: number;
  #lastKey: string | undefined;
  #last: T | undefined;

  constructor(max = REMEMBERED_MAX) {
    this.#max = max;
  }

  get(key: string): T | undefined {
    if (key !== this.#lastKey) {
      this.#last = this.#values.get(key);
      this.#lastKey = key;
    }
    return this.#last;
  }

  /** @returns the value. */
  set(key: string, value: T): T {
    if (this.#values.size >= this.#max) this.#values.clear();
    this.#values.set(key, value);
    this.#lastKey = key;
    return (this.#last = value);
  }
}

class CallOrigin implements Origin {
  readonly #method: string;
  readonly #caller: string;
  readonly #byTopic = new Interned<Labels>();

  constructor(method: string, caller: string) {
    this.#method = method;
    this.#caller = caller;
  }

  of(topic: string): Labels {
    return (
      this.#byTopic.get(topic) ??
      this.#byTopic.set(topic, Object.freeze({ method: this.#method, topic, caller: this.#caller, stage: "receive" }))
    );
  }
}

/** Labels the samples of this process's profiler; there is one of each at most. */
export class SampleLabels implements Attribution {
  readonly #clock: Clock;
  /** By method, then by peer: connections of one caller share an origin. */
  readonly #origins = new Interned<{ byPeer: Interned<Origin>; byCaller: Interned<Origin> }>();
  readonly #endTurn = (): void => {
    this.#ending = false;
    this.#put(NONE);
  };
  #current = NONE;
  #ending = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  origin(method: string, peer: string): Origin {
    const known =
      this.#origins.get(method) ??
      this.#origins.set(method, { byPeer: new Interned(PEERS_MAX), byCaller: new Interned() });
    const origin = known.byPeer.get(peer);
    if (origin !== undefined) return origin;
    const caller = callerOf(peer);
    return known.byPeer.set(
      peer,
      known.byCaller.get(caller) ?? known.byCaller.set(caller, new CallOrigin(method, caller)),
    );
  }

  ofTopic(stage: TopicStage, topic: string): Labels {
    return Object.freeze({ topic, stage });
  }

  ofAll(stage: CommonStage): Labels {
    return Object.freeze({ stage });
  }

  mark(labels: Labels): void {
    if (labels === this.#current) return;
    this.#put(labels);
    if (this.#ending) return;
    this.#ending = true;
    this.#clock.setImmediate(this.#endTurn);
  }

  enter(labels: Labels): Labels {
    const previous = this.#current;
    this.#put(labels);
    return previous;
  }

  leave(previous: Labels): void {
    this.#put(previous);
  }

  #put(labels: Labels): void {
    if (labels === this.#current) return;
    this.#current = labels;
    if (time.isStarted()) time.setContext(labels);
  }
}
