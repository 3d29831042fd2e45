// Compares what was acknowledged with what there is. Some of it at the moment of the acknowledgement, the rest in the end.

import { Reason } from "../../src/errors.ts";
import type { PublishResponse } from "../../src/gen/sluice/v1/ingest_pb.js";
import { readDeadLetters } from "../../src/spool/dead-letter-reader.ts";
import { isRefused } from "../../src/spool/letter.ts";
import type { Family, Gauge, Counter } from "../../src/telemetry/instruments.ts";
import { partitionOfKey } from "../../src/wire/murmur2.ts";
import { nameOf, PERSISTED, REPLICATED, type SentBatch, type SentEvent } from "./history.ts";
import type { Copy, TopicLife } from "./logs.ts";
import { NO_PARTITION, NOWHERE, TAKEN_UNASSIGNED } from "./plan.ts";
import type { Life } from "./slot.ts";
import type { World } from "./world.ts";

// --- At the moment of an acknowledgement --------------------------------------------------------------------------------

/** An acknowledgement means stored, now; not that it will be. */
export function checkStored(world: World, event: SentEvent, durability: number): void {
  if (world.logs.find(event.name).length > 0) return;
  if (durability === PERSISTED && world.disk.isDurable(event.name)) return;
  const where = durability === REPLICATED ? "in Kafka" : "on the disk, synced, or in Kafka";
  world.history.violate(`${event.name} was acknowledged and is not ${where}`);
}

export function checkAnswer({ history, lives, logs, counts }: World, batch: SentBatch, answer: PublishResponse): void {
  const { placements } = answer;
  const durability: number = answer.durability;
  const label = `${batch.call.id}.${batch.sequence}`;
  const hasBrokers = lives.find(({ process }) => process.name === batch.call.process)!.config.kafkaBrokers.length > 0;
  const expected = batch.durability !== 0 ? batch.durability : hasBrokers ? REPLICATED : PERSISTED;
  if (durability !== expected) history.violate(`${label} asked for ${batch.durability} and was given ${durability}`);
  if (durability !== REPLICATED) {
    if (placements.length > 0) history.violate(`${label} is PERSISTED and has placements`);
    return;
  }
  const placed = new Set<string>();
  for (const { topic, partition, firstOffset, count } of placements) {
    let previous = -1;
    for (let i = 0; i < count; i++) {
      const offset = Number(firstOffset) + i;
      const there = logs.at(topic, partition, offset).map(({ value }) => history.events.get(nameOf(value)));
      const own = there.filter((each) => each?.batch === batch);
      if (own.length > 1) {
        // Two lives of a topic hold events of the batch at this offset: which of them is meant, nobody can tell.
        for (const each of own) placed.add(each!.name);
        continue;
      }
      const event = own[0];
      if (event === undefined || event.index <= previous || (placed.has(event.name) && logs.of(topic).length < 2)) {
        history.violate(`${label}: ${topic}/${partition}@${offset} does not hold its next event`);
        continue;
      }
      previous = event.index;
      placed.add(event.name);
    }
  }
  // A broker that only says "duplicate" names no offset.
  if (counts.has("duplicate answered")) return;
  for (const { name, outcome } of batch.events) {
    if (outcome.kind === "stored" && !placed.has(name)) history.violate(`${name} is stored, and nobody says where`);
  }
}

/** The ledger of a process, by topic: nothing comes from nowhere, nothing goes. */
export function checkLedger({ history, scheduler }: World, { process, service: { metrics } }: Life): void {
  const admitted = metrics.admittedBytes.with().value;
  if (admitted < 0) history.violate(`${process.name} has given back more of its byte budget than it took: ${admitted}`);
  const received = byTopic(metrics.eventsReceived);
  const stored = byTopic(metrics.eventsStored);
  const failed = byTopic(metrics.eventsFailed);
  const inFlight = byTopic(metrics.eventsInFlight);
  const persisted = byTopic(metrics.eventsStored, "persisted");
  const recovered = byTopic(metrics.eventsRecovered);
  const forwarded = byTopic(metrics.eventsForwarded);
  const deadLettered = byTopic(metrics.eventsDeadLettered);
  const spooled = byTopic(metrics.eventsSpooled);
  for (const topic of new Set([...received.keys(), ...spooled.keys(), ...recovered.keys()])) {
    const of = (column: ReadonlyMap<string, number>): number => column.get(topic) ?? 0;
    const at = `${process.name} at ${Math.round(scheduler.nowMs)} ms, topic ${topic}`;
    if (of(received) !== of(stored) + of(failed) + of(inFlight)) {
      history.violate(
        `${at}: ${of(received)} received, ${of(stored)} stored, ${of(failed)} failed, ${of(inFlight)} in flight`,
      );
    }
    if (of(persisted) + of(recovered) !== of(forwarded) + of(deadLettered) + of(spooled)) {
      history.violate(
        `${at}: ${of(persisted)} persisted, ${of(recovered)} recovered, ${of(forwarded)} forwarded, ${of(deadLettered)} dead-lettered, ${of(spooled)} spooled`,
      );
    }
  }
}

function byTopic(family: Family<Counter> | Family<Gauge>, label?: string): Map<string, number> {
  const sums = new Map<string, number>();
  for (const [labels, value] of family.snapshot().series) {
    if (label !== undefined && !labels.includes(label)) continue;
    sums.set(labels[0]!, (sums.get(labels[0]!) ?? 0) + (value as number));
  }
  return sums;
}

/** A drain that ends before its deadline has answered everything that had reached the service. */
export function checkDrained({ history }: World, process: string, drainedFromMs: number): void {
  for (const call of history.calls) {
    if (call.process !== process || call.cancelled || call.openedAtMs >= drainedFromMs) continue;
    for (const batch of call.batches.values()) {
      if (batch.reached && !batch.settled) {
        history.violate(`${call.id}.${batch.sequence} got no answer, and the drain of ${process} was in time`);
      }
    }
  }
}

// --- In the end ---------------------------------------------------------------------------------------------------------

export async function check(world: World): Promise<void> {
  const letters = await deadLetters(world);
  world.logs.look();
  for (const event of world.history.events.values()) checkEvent(world, event, letters);
  for (const life of world.logs.lives) {
    for (const [partition] of life.partitions.entries()) checkPartition(world, life, partition);
  }
  checkDuplicates(world);
  checkEnds(world);
  for (const violation of world.cluster.violations) world.history.violate(`not the protocol: ${violation}`);
}

/** The names of the events in the dead-letter logs. */
async function deadLetters(world: World): Promise<Set<string>> {
  const names = new Set<string>();
  for (let worker = 0; worker < world.plan.workers; worker++) {
    for await (const letter of readDeadLetters(world.disk.machine, `/data/dead-letters/worker-${worker}`)) {
      const values = letter.bytes.length === 0 ? [] : world.logs.decode(letter.bytes);
      for (const [record, value] of values.entries()) if (isRefused(letter, record)) names.add(nameOf(value));
    }
  }
  return names;
}

function checkEvent(world: World, event: SentEvent, letters: ReadonlySet<string>): void {
  const { history } = world;
  const { name, outcome, topic } = event;
  const copies = world.logs.find(name).length;
  const isDead = letters.has(name);
  switch (outcome.kind) {
    case "stored":
      if (copies === 0 && !(outcome.durability === PERSISTED && isDead)) {
        history.violate(`${name} for ${topic} was acknowledged and is lost`);
      }
      break;
    case "refused":
      if (copies > 0 || isDead) history.violate(`${name} was refused (${outcome.message}) and is stored`);
      break;
    case "failed":
      if (outcome.message.includes("nothing of the batch is stored") && (copies > 0 || isDead)) {
        history.violate(`${name} failed (${outcome.message}) and is stored`);
      }
      if (!outcome.retryable && copies > 0 && !mayBeStored(world, event, outcome.message)) {
        history.violate(`${name} failed for good (${outcome.message}) and is stored`);
      }
      if (!event.poison && !outcome.retryable && !isExplained(world, event, outcome.reason, outcome.message)) {
        history.violate(`${name} failed for good, and nothing is wrong with it: ${outcome.message}`);
      }
      break;
    case "open":
      // Its call ended without an answer: nobody knows.
      break;
  }
  if (event.poison && copies > 0) history.violate(`${name} is stored although Kafka refuses it`);
  if (isDead && !event.poison && !isRefusable(world, event)) {
    history.violate(`${name} became a dead letter, and nothing is wrong with it`);
  }
}

/** Was Kafka ever in a state in which it refuses the event for good? */
function isRefusable({ logs, counts }: World, { topic, partition }: SentEvent): boolean {
  return partition === NO_PARTITION || topic === NOWHERE || counts.has("limits changed") || logs.of(topic).length > 1;
}

/** Failed for good under circumstances in which an earlier try may have stored it. */
function mayBeStored({ logs, counts }: World, { topic }: SentEvent, message: string): boolean {
  return logs.of(topic).length > 1 || counts.has("limits changed") || message.includes("please report");
}

function isExplained({ logs, counts }: World, event: SentEvent, reason: number, message: string): boolean {
  switch (reason) {
    case Reason.UNKNOWN_TOPIC:
      return event.topic === NOWHERE || counts.has("topic deleted");
    case Reason.INVALID_PARTITION:
      return event.partition === NO_PARTITION || event.topic === NOWHERE || logs.of(event.topic).length > 1;
    case Reason.TOO_LARGE:
      return counts.has("limits changed");
    case Reason.NOT_AUTHORIZED:
    case Reason.INVALID_TOPIC:
      return counts.has("denied");
    default:
      return message.includes("please report") && counts.has("corrupt answered");
  }
}

/** What is stored is what was sent, where it belongs, and in the order in which it was sent. */
function checkPartition(world: World, life: TopicLife, partition: number): void {
  const { history, logs } = world;
  const seen = new Set<string>();
  const last = new Map<string, { readonly event: SentEvent; readonly offset: number }>();
  for (const batch of life.partitions[partition]!) {
    for (const { value, key, offset } of logs.records(batch)) {
      const at = `${life.topic}/${partition}@${offset}`;
      const event = history.events.get(nameOf(value));
      if (event === undefined || event.value !== value || event.key !== key || event.topic !== life.topic) {
        history.violate(`${at} holds what nobody sent: ${JSON.stringify(value.slice(0, 60))}`);
        continue;
      }
      if (
        event.partition !== undefined ? event.partition !== partition : !isKeysPartition(world, life, key, partition)
      ) {
        history.violate(`${event.name} lies in ${at}, where it does not belong`);
      }
      if (seen.has(event.name)) continue;
      seen.add(event.name);
      const { call } = event.batch;
      // What a process had on the wire when it died may arrive at any later time; nobody was told that it is stored.
      if (call.cutByDeath && event.outcome.kind !== "stored") continue;
      const line = `${call.id} ${orderOf(world, event)}`;
      const before = last.get(line);
      // A broker without its state takes any sequence: of several batches in flight the last may come to lie first. So does one
      // whose topic was created again under them.
      const isAgain = logs.of(life.topic)[0] !== life;
      const isForgetful =
        isAgain || (life.forgottenAt.get(partition) ?? []).some((end) => end <= (before?.offset ?? -1));
      // Refused by the limits of one moment, and taken later when all of its spooled batch was sent again.
      const isReplayed = world.counts.has("limits changed") && event.batch.durability !== REPLICATED;
      if (before !== undefined && isBefore(event, before.event) && !isForgetful && !isReplayed) {
        history.violate(`${event.name} lies in ${at} behind ${before.event.name}, which was sent later`);
      }
      last.set(line, { event, offset });
    }
  }
}

function isKeysPartition({ logs }: World, life: TopicLife, key: string | undefined, partition: number): boolean {
  if (key === undefined || life.grown || logs.of(life.topic).length > 1) return true;
  const bytes = Buffer.from(key, "latin1");
  return partitionOfKey(bytes, 0, bytes.length, life.partitions.length) === partition;
}

/**
 * Events of one stream with the same of this keep their order: those of a key or a named partition. Where the partitions were
 * known all the time, all that end up in one do.
 */
function orderOf({ counts }: World, { key, partition, name }: SentEvent): string {
  if (!counts.has(TAKEN_UNASSIGNED)) return "";
  if (partition !== undefined) return `partition ${partition}`;
  return key === undefined ? name : `key ${key}`;
}

function isBefore(a: SentEvent, b: SentEvent): boolean {
  if (a.batch === b.batch) return a.index < b.index;
  return a.batch.sequence < b.batch.sequence;
}

/** Nothing is stored twice, unless it is told that it may be, the brokers forgot that they have it, or a process died over it. */
function checkDuplicates(world: World): void {
  const { history, logs, lives } = world;
  for (const event of history.events.values()) {
    const byLife = Map.groupBy(logs.find(event.name), ({ life }) => life);
    for (const copies of byLife.values()) {
      if (copies.length < 2 || copies.some((copy, i) => i > 0 && wasForgotten(copies[i - 1]!, copy))) continue;
      const told = lives.some(({ service }) => service.metrics.kafkaPossibleDuplicates.with().value > 0);
      if (told) continue;
      const senders = new Set(copies.map(({ record }) => record.batch.producerId));
      if (senders.size > 1) world.count("duplicate under several producer ids");
      if (event.batch.durability !== REPLICATED && mayLoseStamps(world)) continue;
      history.violate(`${event.name} is stored ${copies.length} times, and nobody tells of possible duplicates`);
    }
  }
}

/**
 * A spooled batch goes again after a death under the numbers that it had, unless the disk did not take them, or was so full
 * that a segment had to go before the checkpoint that says what was done. And a batch that Kafka takes apart has numbers for the
 * whole, not for its parts.
 */
function mayLoseStamps({ lives, plan, counts }: World): boolean {
  const diskFailed = lives.some(({ service }) => service.metrics.spoolErrors.with("stamp").value > 0);
  return diskFailed || plan.troubles.has("full-disk") || counts.has("poison refused") || counts.has("limits changed");
}

/** Between these two, did the brokers of the partition forget what they have? */
function wasForgotten({ life, partition, record }: Copy, later: Copy): boolean {
  const ends = life.forgottenAt.get(partition) ?? [];
  return ends.some((end) => record.offset < end && end <= later.record.offset);
}

/** What sends batches under a new epoch, or tells that they failed, although they may be stored. */
const CAUSES_OF_DUPLICATES = [
  "producer state lost",
  "sequence answered",
  "fenced answered",
  "limits changed",
  "denied",
  "topic deleted",
  "poison refused",
];

/** Nothing is left over, and nobody raised an alarm without a cause. */
function checkEnds({ history, lives, pools, workers, counts, plan }: World): void {
  for (const { process, service } of lives) {
    const told = service.metrics.kafkaPossibleDuplicates.with().value;
    // What a process fails when it is ended may be stored, and its client sends it again.
    const isTold = told > 0 && !service.health().problems.includes("the worker is draining");
    if (isTold && !CAUSES_OF_DUPLICATES.some((cause) => counts.has(cause))) {
      history.violate(`${process.name} tells of ${told} possible duplicates, and there was no cause for any`);
    }
    // What a failed sync was about can be read until the power goes, and is taken for stored by the next process; and on a full
    // disk a segment goes before the checkpoint that says so.
    if ((plan.troubles.has("disk") && plan.troubles.has("power-cut")) || plan.troubles.has("full-disk")) continue;
    for (const kind of ["lost", "corrupt", "foreign"]) {
      if (service.metrics.spoolErrors.with(kind).value > 0) {
        history.violate(`${process.name} tells that its spool is damaged (${kind}), and the disk has lost nothing`);
      }
    }
  }
  const last = new Set(lives.slice(-workers).map(({ process }) => process.name));
  for (const [pool, process] of pools) {
    if (last.has(process) && pool.lentBuffers !== 0) {
      history.violate(`${process} ended with ${pool.lentBuffers} buffers that nobody gave back`);
    }
  }
}
