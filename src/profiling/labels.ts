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
import type { Attribution, Labels, Origin } from "../telemetry/attribution.ts";

export const LABEL_NAMES = ["method", "topic", "caller", "stage"];

const NONE: Labels = Object.freeze({});

/** How many peers, callers or topics are remembered; beyond that they are made anew, with the same content. */
const REMEMBERED_MAX = 1_024;

/** Values by key; forgets all of them when there are too many, which costs making them again. */
class Interned<T> {
  readonly #values = new Map<string, T>();

  get(key: string, make: () => T): T {
    let value = this.#values.get(key);
    if (value === undefined) {
      if (this.#values.size >= REMEMBERED_MAX) this.#values.clear();
      this.#values.set(key, (value = make()));
    }
    return value;
  }
}

/** A caller's name, or its address without its port, because each of its connections has another one. */
export function callerOf(peer: string): string {
  const end = peer.lastIndexOf(":");
  const host = end > 0 && /^\d+$/.test(peer.slice(end + 1)) ? peer.slice(0, end) : peer;
  return host.replace(/^\[(.*)\]$/, "$1");
}

class CallOrigin implements Origin {
  readonly #method: string;
  readonly #caller: string;
  readonly #byTopic = new Interned<Labels>();
  #lastTopic: string | undefined;
  #lastLabels = NONE;

  constructor(method: string, caller: string) {
    this.#method = method;
    this.#caller = caller;
  }

  of(topic: string): Labels {
    if (topic === this.#lastTopic) return this.#lastLabels;
    const make = () => Object.freeze({ method: this.#method, topic, caller: this.#caller, stage: "receive" });
    this.#lastLabels = this.#byTopic.get(topic, make);
    this.#lastTopic = topic;
    return this.#lastLabels;
  }
}

/** Labels the samples of this process's profiler; there is one of each at most. */
export class SampleLabels implements Attribution {
  readonly #clock: Clock;
  readonly #stages = { produce: new Interned<Labels>(), settle: new Interned<Labels>() };
  /** By method, then by peer: connections of one caller share an origin. */
  readonly #origins = new Map<string, { byPeer: Interned<Origin>; byCaller: Interned<Origin> }>();
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
    let known = this.#origins.get(method);
    if (known === undefined) this.#origins.set(method, (known = { byPeer: new Interned(), byCaller: new Interned() }));
    const { byPeer, byCaller } = known;
    return byPeer.get(peer, () => {
      const caller = callerOf(peer);
      return byCaller.get(caller, () => new CallOrigin(method, caller));
    });
  }

  stage(stage: "produce" | "settle", topic: string): Labels {
    return this.#stages[stage].get(topic, () => Object.freeze({ topic, stage }));
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
