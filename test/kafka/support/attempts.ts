// What a producer really sent, batch by batch, and the faults it met.

import { createHash } from "node:crypto";

import type { FakeCluster, Fault, ProduceRequest } from "../../support/fake-broker.ts";
import { valuesOf } from "./batches.ts";

/** One record batch in one Produce request. */
export interface Attempt {
  readonly nodeId: number;
  readonly connection: number;
  readonly topic: string;
  readonly partition: number;
  readonly producerId: bigint;
  readonly epoch: number;
  readonly sequence: number;
  readonly count: number;
  readonly values: readonly string[];
  /** Of all bytes of the batch. */
  readonly digest: string;
  readonly atMs: number;
}

/**
 * Records every attempt from now on. The n-th Produce request (from 0) meets the n-th fault, if there is one.
 *
 * @param faults or a function that gives the fault for a request, told the attempts in it and how many came before.
 */
export function watch(
  cluster: FakeCluster,
  faults: readonly (Fault | undefined)[] | ((attempts: readonly Attempt[], before: number) => Fault | undefined) = [],
): Attempt[] {
  const all: Attempt[] = [];
  let requests = 0;
  cluster.onProduce = (request) => {
    const before = all.length;
    const attempts = attemptsOf(request);
    all.push(...attempts);
    const nth = requests++;
    return typeof faults === "function" ? faults(attempts, before) : faults[nth];
  };
  return all;
}

function attemptsOf({ nodeId, connection, atMs, partitions }: ProduceRequest): Attempt[] {
  return partitions.map(({ topic, partition, producerId, epoch, baseSequence, count, bytes }) => ({
    nodeId,
    connection,
    topic,
    partition,
    producerId,
    epoch,
    sequence: baseSequence,
    count,
    values: valuesOf(bytes!),
    digest: createHash("sha256").update(bytes!).digest("hex"),
    atMs,
  }));
}

/** "epoch:sequence+count", as short as a test wants to read it. */
export function sequences(attempts: readonly Attempt[]): string[] {
  return attempts.map(({ epoch, sequence, count }) => `${epoch}:${sequence}+${count}`);
}
