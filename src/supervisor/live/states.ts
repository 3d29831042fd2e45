// What workers tell of their Kafka client and their callers every few seconds, summed over the workers.

import type { LiveCaller, LivePartition } from "../../admin/live/model.ts";
import type { EarlierState } from "../inspection.ts";

export interface Telling {
  readonly name: string;
  readonly told: EarlierState | undefined;
}

export const PARTITIONS_MAX = 50;
export const CALLERS_MAX = 25;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Bytes that wait for each broker, by its name. */
export function queuedBytesOf(slots: readonly Telling[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const { told } of slots)
    for (const { broker, queuedBytes } of told?.state.kafka?.partitions ?? [])
      if (broker !== undefined) sums.set(broker, (sums.get(broker) ?? 0) + queuedBytes);
  return sums;
}

export interface PartitionSums {
  readonly all: readonly LivePartition[];
  /** The busiest of them. */
  readonly told: readonly LivePartition[];
  readonly leftOut: number;
}

export function partitionsOf(slots: readonly Telling[]): PartitionSums {
  const sums = new Map<string, Mutable<LivePartition>>();
  let leftOut = 0;
  for (const { told } of slots) {
    const { partitions, partitionsLeftOut } = told?.state.kafka ?? { partitions: [], partitionsLeftOut: 0 };
    // Workers have the same partitions, so those that each leaves out are the same ones.
    leftOut = Math.max(leftOut, partitionsLeftOut);
    for (const { topic, partition, broker, queuedBatches, queuedBytes, inFlight, retries, problem } of partitions) {
      const key = `${partition} ${topic}`;
      const sum = sums.get(key);
      if (sum === undefined) {
        const known = { topic, partition, queuedBatches, queuedBytes, inFlight, retries };
        sums.set(key, { ...known, broker: broker ?? null, problem: problem ?? null });
        continue;
      }
      sum.queuedBatches += queuedBatches;
      sum.queuedBytes += queuedBytes;
      sum.inFlight += inFlight;
      sum.retries += retries;
      sum.broker ??= broker ?? null;
      sum.problem ??= problem ?? null;
    }
  }
  const all = [...sums.values()].sort(
    (a, b) =>
      b.queuedBytes - a.queuedBytes ||
      b.inFlight - a.inFlight ||
      a.topic.localeCompare(b.topic, "en") ||
      a.partition - b.partition,
  );
  const busiest = all.slice(0, PARTITIONS_MAX);
  return { all, told: busiest, leftOut: leftOut + all.length - busiest.length };
}

export function callersOf(slots: readonly Telling[]): {
  readonly callers: readonly LiveCaller[];
  readonly callersLeftOut: number;
} {
  const sums = new Map<string, Mutable<LiveCaller> & { workers: string[] }>();
  let leftOut = 0;
  for (const { name, told } of slots) {
    const { callers, callersLeftOut } = told?.state.callers ?? { callers: [], callersLeftOut: 0 };
    leftOut = Math.max(leftOut, callersLeftOut);
    for (const { address, identity, connections, streams, unsentBytes, oldestSeconds } of callers) {
      const key = `${address}\0${identity ?? ""}`;
      let sum = sums.get(key);
      if (sum === undefined) {
        const nothing = { connections: 0, streams: 0, unsentBytes: 0, oldestSeconds: 0, workers: [] };
        sums.set(key, (sum = { address, identity: identity ?? null, ...nothing }));
      }
      sum.connections += connections;
      sum.streams += streams;
      sum.unsentBytes += unsentBytes;
      sum.oldestSeconds = Math.max(sum.oldestSeconds, oldestSeconds);
      sum.workers.push(name);
    }
  }
  const all = [...sums.values()].sort((a, b) => b.streams - a.streams || b.connections - a.connections);
  const callers = all.slice(0, CALLERS_MAX);
  return { callers, callersLeftOut: leftOut + all.length - callers.length };
}
