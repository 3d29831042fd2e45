// What is in a spool and not in Kafka yet: the lanes of every topic, how many batches and events that is, and who may go.
//
// Order. Batches of one partition leave in the order in which they came. Batches that were taken while no broker was there
// have no partition yet and may end up in any, so those of a topic and its partitions' batches wait for each other: a batch
// goes only if nothing older is open that could end up in the same partition.

import { UNASSIGNED_PARTITION } from "../ingest/producer.ts";
import type { Counter, Gauge } from "../telemetry/instruments.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { Lane, type LaneEntry } from "./lane.ts";

/** Partition UNASSIGNED_PARTITION: what was done may have been in the way of every partition of the topic. */
export type DoneListener = (topic: string, partition: number) => void;

/** One topic's lanes and counts. */
export class TopicBacklog {
  readonly name: string;
  readonly utf8: Buffer;
  readonly lanes = new Map<number, Lane>();
  /** Batches taken while no brokers were set, or none answered. */
  readonly unassigned: Lane;
  /** Events that are on disk and not done. */
  readonly spooled: Gauge;
  readonly forwarded: Counter;
  readonly deadLettered: Counter;

  constructor(name: string, metrics: Metrics) {
    this.name = name;
    this.utf8 = Buffer.from(name, "utf8");
    this.unassigned = new Lane(name, UNASSIGNED_PARTITION);
    this.spooled = metrics.eventsSpooled.with(name);
    this.forwarded = metrics.eventsForwarded.with(name);
    this.deadLettered = metrics.eventsDeadLettered.with(name);
  }

  lane(partition: number): Lane {
    if (partition === UNASSIGNED_PARTITION) return this.unassigned;
    let lane = this.lanes.get(partition);
    if (lane === undefined) this.lanes.set(partition, (lane = new Lane(this.name, partition)));
    return lane;
  }

  /** Batches that are not done and may end up in the partition. */
  backlog(partition: number): number {
    return this.unassigned.backlog + (this.lanes.get(partition)?.backlog ?? 0);
  }

  /** Events that are on disk and not done, as the lanes hold them: what `spooled` has to be. */
  get events(): number {
    let events = this.unassigned.events;
    for (const lane of this.lanes.values()) events += lane.events;
    return events;
  }

  /** May the lane's next batch go, as far as the lanes of its topic are concerned? */
  mayGo(lane: Lane): boolean {
    if (lane.partition !== UNASSIGNED_PARTITION) return this.unassigned.oldestOrder > lane.nextOrder;
    for (const other of this.lanes.values()) if (other.oldestOrder < lane.nextOrder) return false;
    return true;
  }
}

export class Backlog {
  readonly #metrics: Metrics;
  readonly #topics = new Map<string, TopicBacklog>();
  readonly #done: DoneListener[] = [];
  #nextOrder = 1;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  topics(): Iterable<TopicBacklog> {
    return this.#topics.values();
  }

  topic(name: string): TopicBacklog {
    let topic = this.#topics.get(name);
    if (topic === undefined) this.#topics.set(name, (topic = new TopicBacklog(name, this.#metrics)));
    return topic;
  }

  /** Events that are on disk and not done, by topic; O(topic-partitions). */
  events(): ReadonlyMap<string, number> {
    return new Map(Array.from(this.#topics.values(), ({ name, events }) => [name, events]));
  }

  /** O(1). */
  count(topic: string, partition: number): number {
    return this.#topics.get(topic)?.backlog(partition) ?? 0;
  }

  /** How many batches have come for the partition so far, synced or not. */
  arrivals(topic: string, partition: number): number {
    return this.#topics.get(topic)?.lanes.get(partition)?.arrivals ?? 0;
  }

  /** Are all of the partition's batches done but for those that came after so many, and all that may yet end up in it? */
  isDone(topic: string, partition: number, arrivals: number): boolean {
    const known = this.#topics.get(topic);
    if (known === undefined) return true;
    const lane = known.lanes.get(partition);
    return known.unassigned.backlog === 0 && (lane === undefined || lane.backlog === 0 || lane.doneThrough >= arrivals);
  }

  onDone(listener: DoneListener): void {
    this.#done.push(listener);
  }

  /** A batch that was just synced. */
  push(topic: TopicBacklog, lane: Lane, entry: Omit<LaneEntry, "order">): void {
    lane.push({ ...entry, order: this.#nextOrder++ });
    topic.spooled.inc(entry.count);
  }

  /**
   * Takes over the batches of a directory that was just opened, but for those that are done.
   *
   * @param recovered lanes whose entries' order is their sequence number.
   * @returns the events taken over, by topic, and the bytes of their batches.
   */
  adopt(recovered: Iterable<Lane>): { readonly events: ReadonlyMap<string, number>; readonly bytes: number } {
    const events = new Map<string, number>();
    let bytes = 0;
    const base = this.#nextOrder;
    for (const from of recovered) {
      const topic = this.topic(from.topic);
      const lane = topic.lane(from.partition);
      for (let entry = from.peek(); entry !== undefined; entry = from.peek()) {
        from.setDone(from.take());
        this.#nextOrder = Math.max(this.#nextOrder, base + entry.order + 1);
        if (entry.segment.isDone(entry.sequence)) continue;
        lane.push({ ...entry, order: base + entry.order });
        topic.spooled.inc(entry.count);
        events.set(from.topic, (events.get(from.topic) ?? 0) + entry.count);
        bytes += entry.bytes;
      }
    }
    return { events, bytes };
  }

  /** Tells whoever waits. Call it whenever a batch of the lane has left the backlog. */
  tellDone(topic: TopicBacklog, lane: Lane): void {
    for (const listener of this.#done) listener(topic.name, lane.partition);
  }

  /** When the oldest open batch was persisted, in milliseconds since the epoch; Infinity if there is none. */
  oldestPersistedAtMs(): number {
    let oldest = Infinity;
    for (const topic of this.#topics.values()) {
      oldest = Math.min(oldest, topic.unassigned.oldestPersistedAtMs);
      for (const lane of topic.lanes.values()) oldest = Math.min(oldest, lane.oldestPersistedAtMs);
    }
    return oldest;
  }
}
