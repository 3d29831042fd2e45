// The topics of PERSISTED events while the cluster is away: what is taken for them stays unassigned, as without brokers.
//
// The problem: a worker that starts while Kafka is away knows no topic, and an acknowledgement from the disk must not need
// Kafka. So once a lookup found no broker that answers, names are taken for topics as long as that holds. It is found out
// about by one lookup at a time, beside the batches: they do not wait for it, and a cluster in trouble is not asked by each.
//
// Invariants: the cluster counts as away only if a lookup found it so a moment ago, or another one is under way since; what any
// lookup is answered ends that at once.

import type { Clock } from "../clock.ts";
import type { IngestError } from "../errors.ts";
import { clusterIsAway, type TopicInfo } from "./producer.ts";
import { UnassignedTopics } from "./unassigned-topics.ts";

/** How long the cluster is taken to be away after a lookup found it so, in milliseconds. Traffic asks again before that. */
const AWAY_TTL_MS = 1_000;

export class AwayTopics {
  readonly #clock: Clock;
  readonly #lookup: (name: string) => Promise<void>;
  readonly #unassigned = new UnassignedTopics();
  #awayUntilMs = Number.NEGATIVE_INFINITY;
  #asking = false;

  /** @param lookup asks the cluster for a topic and calls `told`; never rejects. */
  constructor(clock: Clock, lookup: (name: string) => Promise<void>) {
    this.#clock = clock;
    this.#lookup = lookup;
  }

  /** What a lookup brought; undefined: a topic. */
  told(error: IngestError | undefined): void {
    const away = error !== undefined && clusterIsAway(error);
    this.#awayUntilMs = away
      ? Math.max(this.#awayUntilMs, this.#clock.monotonic() + AWAY_TTL_MS)
      : Number.NEGATIVE_INFINITY;
  }

  /** Was the cluster found away, and nothing else since? */
  get isAway(): boolean {
    return this.#clock.monotonic() < this.#awayUntilMs;
  }

  /** The topic as one without partitions, for when the cluster is away; undefined if the name cannot be taken. */
  topic(name: string): TopicInfo | undefined {
    const info = this.#unassigned.topic(name);
    if (info !== undefined && !this.#asking && this.isAway) void this.#ask(name);
    return info;
  }

  /** Until the answer is there, what was found last holds. */
  async #ask(name: string): Promise<void> {
    this.#asking = true;
    this.#awayUntilMs = Number.POSITIVE_INFINITY;
    await this.#lookup(name);
    this.#asking = false;
    this.#awayUntilMs = Math.min(this.#awayUntilMs, this.#clock.monotonic() + AWAY_TTL_MS);
  }
}
