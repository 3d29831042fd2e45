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
  type Origin,
  type Origins,
  type TopicStage,
} from "../telemetry/attribution.ts";
import { NO_LABELS, type SampleContext } from "./sample-context.ts";

export const LABEL_NAMES = ["method", "topic", "caller", "stage"];

/** How many callers or topics are remembered; beyond that they are made anew, with the same content. */
const REMEMBERED_MAX = 1_024;
/** Peers have ports: more than connections that a worker takes by default, so that those that stay are not forgotten. */
const PEERS_MAX = 16_384;

/**
 * Values by key; forgets all of them when there are too many, which costs making them again. The last one is found without a
 * look-up: one read from a socket brings many messages of one connection, mostly for one topic. That way is short enough to become
 * part of whoever asks, so what is not is elsewhere.
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
    return key === this.#lastKey ? this.#last : this.#lookUp(key);
  }

  /** @returns the value. */
  set(key: string, value: T): T {
    if (this.#values.size >= this.#max) this.#values.clear();
    this.#values.set(key, value);
    this.#lastKey = key;
    return (this.#last = value);
  }

  #lookUp(key: string): T | undefined {
    this.#lastKey = key;
    return (this.#last = this.#values.get(key));
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
    return this.#byTopic.get(topic) ?? this.#add(topic);
  }

  #add(topic: string): Labels {
    const labels = Object.freeze({ method: this.#method, topic, caller: this.#caller, stage: "receive" });
    return this.#byTopic.set(topic, labels);
  }
}

class CallOrigins implements Origins {
  readonly #method: string;
  readonly #byPeer = new Interned<Origin>(PEERS_MAX);
  /** Connections of one caller share an origin. */
  readonly #byCaller = new Interned<Origin>();

  constructor(method: string) {
    this.#method = method;
  }

  of(peer: string): Origin {
    return this.#byPeer.get(peer) ?? this.#add(peer);
  }

  #add(peer: string): Origin {
    const caller = callerOf(peer);
    const known = this.#byCaller.get(caller);
    return this.#byPeer.set(peer, known ?? this.#byCaller.set(caller, new CallOrigin(this.#method, caller)));
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
    return new CallOrigins(method);
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
