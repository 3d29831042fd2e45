// Who calls, as metrics: batches and events by caller.
//
// A caller is known by its name or its address without the port, as in profiles. Addresses come and go with pods, so a caller that
// has no connection and no call and has sent nothing for a while is forgotten, with its series, and another one may have its
// place among those that are told by name.
//
// Invariants: what is remembered is bounded; a call keeps its caller, so that nobody is forgotten while one is open.

import type { Counter } from "../telemetry/instruments.ts";
import { callerOf } from "../telemetry/attribution.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/** Peers have ports: more than connections that a worker takes by default, so that those that stay are not forgotten. */
const PEERS_MAX = 16_384;
/** Looks, one a second, at which a caller has to have been quiet. */
const QUIET_LOOKS = 300;

/** One caller, or all those that are told together. */
export class Caller {
  readonly label: string;
  readonly requests: Counter;
  readonly events: Counter;
  openCalls = 0;
  /** What it had sent at the last look, and how many looks ago that was new. */
  seenRequests = 0;
  quietLooks = 0;

  constructor(label: string, { grpcCallerRequests, grpcCallerEvents }: Metrics) {
    this.label = label;
    this.requests = grpcCallerRequests.with(label);
    this.events = grpcCallerEvents.with(label);
  }
}

export class Callers {
  readonly #metrics: Metrics;
  readonly #byPeer = new Map<string, Caller>();
  readonly #byLabel = new Map<string, Caller>();
  #lastPeer: string | undefined;
  #last: Caller | undefined;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** @param peer the caller's address, with its port, or the name that it has shown. */
  of(peer: string): Caller {
    // Calls come in turns of their connections.
    if (peer === this.#lastPeer && this.#last !== undefined) return this.#last;
    this.#lastPeer = peer;
    return (this.#last = this.#byPeer.get(peer) ?? this.#add(peer));
  }

  /** Forgets callers that are gone; to be called once a second. */
  retireGone(): void {
    const { grpcCallerConnections } = this.#metrics;
    // Whoever connects has a place, and may never call: a load balancer that looks whether the port is open.
    for (const [label = ""] of grpcCallerConnections.labels) this.#labelled(label);
    for (const caller of this.#byLabel.values()) {
      const { label, openCalls, requests, seenRequests } = caller;
      caller.seenRequests = requests.value;
      const isQuiet = openCalls === 0 && requests.value === seenRequests;
      const connections = grpcCallerConnections.find(label)?.value ?? 0;
      if (!isQuiet || connections > 0) caller.quietLooks = 0;
      else if (++caller.quietLooks >= QUIET_LOOKS) this.#retire(caller);
    }
  }

  #add(peer: string): Caller {
    const [label = ""] = this.#metrics.grpcCallerRequests.labelsOf([callerOf(peer)]);
    const caller = this.#labelled(label);
    if (this.#byPeer.size >= PEERS_MAX) this.#byPeer.clear();
    this.#byPeer.set(peer, caller);
    return caller;
  }

  #labelled(label: string): Caller {
    let caller = this.#byLabel.get(label);
    if (caller === undefined) this.#byLabel.set(label, (caller = new Caller(label, this.#metrics)));
    return caller;
  }

  #retire({ label }: Caller): void {
    const { grpcCallerRequests, grpcCallerEvents, grpcCallerConnections } = this.#metrics;
    if (!grpcCallerRequests.release("caller", label)) return;
    for (const family of [grpcCallerRequests, grpcCallerEvents, grpcCallerConnections]) family.remove(label);
    this.#byLabel.delete(label);
    // Some of those that were told together may have a name of their own now.
    this.#byPeer.clear();
    this.#last = undefined;
  }
}
