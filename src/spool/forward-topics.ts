// The topics of spooled batches, as Kafka has them, and which of them wait and why.
//
// A topic that is not there, or not allowed, is asked for again after a pause that doubles each time: what was acknowledged
// waits for an operator to mend it. One line in the log when a topic begins to wait, and one when it flows again.

import type { Clock, Timer } from "../clock.ts";
import { Code, IngestError } from "../errors.ts";
import { clusterIsAway, type Producer, type TopicInfo } from "../ingest/producer.ts";
import type { Logger } from "../telemetry/log.ts";
import type { TopicBacklog } from "./backlog.ts";
import { type LaneForwarder, nextBackoffMs } from "./lane-forwarder.ts";

/** When no broker answers it is not the topic that waits: it is asked for again soon after one does. */
const AWAY_BACKOFF_MS_MAX = 5_000;

interface TopicState {
  info: TopicInfo | undefined;
  lookingUp: boolean;
  backoffMs: number;
  timer: Timer | undefined;
  /** Why nothing is known of it. */
  error: IngestError | undefined;
  /** Lanes that have to send something again. */
  readonly failing: Set<LaneForwarder>;
}

export class ForwardTopics {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #producer: Producer;
  readonly #found: (topic: TopicBacklog) => void;
  readonly #topics = new Map<string, TopicState>();
  #closed = false;

  /** @param found called when it is worth asking for the topic's info again. */
  constructor(
    dependencies: { readonly log: Logger; readonly clock: Clock; readonly producer: Producer },
    found: (topic: TopicBacklog) => void,
  ) {
    this.#log = dependencies.log;
    this.#clock = dependencies.clock;
    this.#producer = dependencies.producer;
    this.#found = found;
  }

  /** What is known of the topic; if nothing is, it is looked up, and `found` is called later. */
  info(backlog: TopicBacklog): TopicInfo | undefined {
    const topic = this.#topic(backlog.name);
    const info = this.#producer.topic(backlog.name) ?? topic.info;
    if (info !== undefined && topic.error !== undefined) {
      // It was found by somebody else's question.
      const before = errorOf(topic);
      topic.error = undefined;
      topic.backoffMs = 0;
      this.#logChange(backlog.name, before, errorOf(topic));
    }
    if (info === undefined && !topic.lookingUp && topic.timer === undefined) void this.#lookup(backlog, topic);
    return info;
  }

  /** Kafka says that there is no such topic. */
  forget(name: string): void {
    this.#topic(name).info = undefined;
  }

  /** Notes what became of a lane: why it waits, or that it flows. */
  note(forwarder: LaneForwarder): void {
    const { name } = forwarder.topic;
    const topic = this.#topic(name);
    const before = errorOf(topic);
    if (forwarder.error === undefined) topic.failing.delete(forwarder);
    else topic.failing.add(forwarder);
    this.#logChange(name, before, errorOf(topic));
  }

  /** One sentence for each topic that waits. */
  problems(): string[] {
    return [...this.#topics].flatMap(([name, topic]) => {
      const error = errorOf(topic);
      return error === undefined ? [] : [`spooled batches of topic ${name} wait: ${error.message}`];
    });
  }

  dispose(): void {
    this.#closed = true;
    for (const { timer } of this.#topics.values()) if (timer !== undefined) this.#clock.clearTimeout(timer);
  }

  #topic(name: string): TopicState {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = {
        info: undefined,
        lookingUp: false,
        backoffMs: 0,
        timer: undefined,
        error: undefined,
        failing: new Set(),
      };
      this.#topics.set(name, topic);
    }
    return topic;
  }

  async #lookup(backlog: TopicBacklog, topic: TopicState): Promise<void> {
    const before = errorOf(topic);
    topic.lookingUp = true;
    try {
      topic.info = await this.#producer.lookup(backlog.name);
      topic.error = undefined;
      topic.backoffMs = 0;
    } catch (thrown) {
      // Somebody else's question may have found it meanwhile.
      if (this.#producer.topic(backlog.name) === undefined) topic.error = IngestError.from(thrown);
    }
    topic.lookingUp = false;
    if (this.#closed) return;
    this.#logChange(backlog.name, before, errorOf(topic));
    if (topic.error === undefined) {
      this.#found(backlog);
      return;
    }
    const backoffMsMax = clusterIsAway(topic.error) ? AWAY_BACKOFF_MS_MAX : Infinity;
    topic.backoffMs = Math.min(backoffMsMax, nextBackoffMs(topic.backoffMs));
    topic.timer = this.#clock.setTimeout(() => {
      topic.timer = undefined;
      this.#found(backlog);
    }, topic.backoffMs);
    topic.timer.unref?.();
  }

  #logChange(name: string, before: IngestError | undefined, after: IngestError | undefined): void {
    if (before === undefined && after !== undefined) {
      // Where in the code it was noticed is of interest only if it is a bug.
      const why = after.code === Code.INTERNAL ? { err: after } : { reason: after.message };
      this.#log.warn({ topic: name, ...why }, "spooled batches of a topic wait; they are tried again");
    } else if (before !== undefined && after === undefined) {
      this.#log.info({ topic: name }, "spooled batches of a topic flow again");
    }
  }
}

function errorOf(topic: TopicState): IngestError | undefined {
  return topic.error ?? [...topic.failing][0]?.error;
}
