// Everything around one PartitionProducer, simulated without a socket: connections that break, requests of a broken
// connection that arrive late or never, leaders that move, metadata that lags. The log is the fake broker's.

import { createHash } from "node:crypto";
import assert from "node:assert/strict";

import { systemClock } from "../../../src/clock.ts";
import type { BatchSettler } from "../../../src/ingest/producer.ts";
import type { Entry } from "../../../src/kafka/direct/entry.ts";
import { type PartitionHost, PartitionProducer } from "../../../src/kafka/direct/partition.ts";
import type { PartitionResult } from "../../../src/kafka/direct/produce.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { hasValidCrc, readBatchHeader } from "../../../src/wire/record-batch.ts";
import { PartitionLog } from "../../support/fake-broker/partition-log.ts";
import { batchOf, valuesOf } from "./batches.ts";
import type { Chance } from "./random.ts";

interface Request {
  readonly entry: Entry;
  /** As they were when they were sent. */
  readonly bytes: Buffer;
  response: PartitionResult | undefined;
}

export interface Faults {
  readonly breaks: number;
  readonly moves: number;
  /** An error code instead of an append, or after it. */
  readonly errors: number;
  readonly errorCodes: readonly number[];
}

export const CALM: Faults = { breaks: 0, moves: 0, errors: 0, errorCodes: [] };

const BROKERS = 3;
const REQUESTS_MAX = 5;
/** Batches beyond this are answered with MESSAGE_TOO_LARGE. */
const BATCH_BYTES_MAX = 150;

export class World implements PartitionHost {
  readonly log = new PartitionLog();
  readonly metrics = createMetrics();
  readonly partition: PartitionProducer;
  faults: Faults = CALM;
  readonly #chance: Chance;
  readonly #settler: BatchSettler;
  #leader = 0;
  #leaderEpoch = 0;
  #producerIds = 0;
  /** By broker. */
  readonly #connections: Request[][] = Array.from({ length: BROKERS }, () => []);
  readonly #zombies: { readonly broker: number; readonly bytes: Buffer }[] = [];
  /** What somebody asked for and comes at some time. */
  readonly #due: (() => void)[] = [];
  readonly #digests = new Map<string, string>();

  constructor(chance: Chance, settler: BatchSettler) {
    this.#chance = chance;
    this.#settler = settler;
    const dependencies = {
      log: silentLogger(),
      metrics: this.metrics,
      clock: systemClock,
      random: () => chance.next(),
    };
    this.partition = new PartitionProducer("t", 0, { ...dependencies, host: this });
    this.leaderSuspect();
  }

  enqueue(values: readonly string[]): void {
    this.partition.enqueue(batchOf("t", 0, values), this.#settler);
  }

  stored(): string[] {
    return this.log.batches.flatMap(({ bytes }) => valuesOf(bytes));
  }

  /** One thing happens. */
  step(): void {
    const { breaks, moves } = this.faults;
    this.#pump();
    if (this.#chance.hit(moves)) {
      this.#leader = this.#chance.below(BROKERS);
      this.#leaderEpoch++;
    }
    const busy = this.#connections.map((_, broker) => broker).filter((broker) => this.#connections[broker]!.length > 0);
    if (busy.length > 0 && this.#chance.hit(breaks)) return this.#break(this.#chance.pick(busy));
    const choice = this.#chance.below(10);
    if (choice === 0 && this.#zombies.length > 0) return this.#arriveLate();
    if (choice < 4 && this.#due.length > 0) {
      const [due] = this.#due.splice(this.#chance.below(this.#due.length), 1);
      return due!();
    }
    if (busy.length > 0) this.#serve(this.#chance.pick(busy));
  }

  // --- The host of the partition ----------------------------------------------------------------------------------------

  ready(): void {}
  unready(): void {}

  needProducerId(): void {
    if (this.#due.includes(this.#giveProducerId)) return;
    this.#due.push(this.#giveProducerId);
  }

  leaderSuspect(): void {
    this.#due.push(() => this.partition.setLeader(this.#leader, this.#leaderEpoch));
  }

  limitsSuspect(): void {}
  renegotiate(): void {}

  unblockAfter(): void {
    this.#due.push(() => this.partition.unblock());
  }

  readonly #giveProducerId = (): void => this.partition.setProducerId(BigInt(++this.#producerIds), 0);

  // --- The network ------------------------------------------------------------------------------------------------------

  #pump(): void {
    for (;;) {
      const { leader } = this.partition;
      const connection = leader < 0 ? undefined : this.#connections[leader];
      if (connection === undefined || connection.length >= REQUESTS_MAX) return;
      const entry = this.partition.take();
      if (entry === undefined) return;
      const bytes = Buffer.from(entry.bytes);
      this.#checkBinding(bytes);
      const inFlight = this.#connections.flat().length;
      assert.ok(inFlight < REQUESTS_MAX, "at most five are in flight, wherever");
      for (const [broker, requests] of this.#connections.entries()) {
        assert.ok(
          broker === leader || requests.length === 0,
          "the old leader has answered before the new one is asked",
        );
      }
      connection.push({ entry, bytes, response: undefined });
    }
  }

  #checkBinding(bytes: Buffer): void {
    assert.ok(hasValidCrc(bytes), "the checksum is right");
    const digest = createHash("sha1").update(bytes).digest("hex");
    const known = this.#digests.get(sequenceOf(bytes));
    assert.ok(known === undefined || known === digest, "a sequence is bound to its bytes");
    this.#digests.set(sequenceOf(bytes), digest);
  }

  #break(broker: number): void {
    for (const { entry, bytes, response } of this.#connections[broker]!.splice(0)) {
      if (response === undefined && this.#chance.hit(0.5)) this.#zombies.push({ broker, bytes });
      this.partition.lost(entry);
    }
  }

  #arriveLate(): void {
    const { broker, bytes } = this.#zombies.shift()!;
    this.#append(broker, bytes);
  }

  #serve(broker: number): void {
    const requests = this.#connections[broker]!;
    const [oldest] = requests;
    const undelivered = requests.find(({ response }) => response === undefined);
    if (oldest!.response !== undefined && (undelivered === undefined || this.#chance.hit(0.5))) {
      requests.shift();
      this.partition.result(oldest!.entry, oldest!.response);
    } else if (undelivered !== undefined) {
      undelivered.response = this.#answer(broker, undelivered.bytes);
    }
  }

  #answer(broker: number, bytes: Buffer): PartitionResult {
    const { errors, errorCodes } = this.faults;
    if (!this.#chance.hit(errors)) return this.#append(broker, bytes);
    const code = this.#chance.pick(errorCodes);
    const mayBeStored = code === 7 || code === 20 || code === 56;
    if (mayBeStored && this.#chance.hit(0.5)) this.#append(broker, bytes);
    return result(code);
  }

  #append(broker: number, bytes: Buffer): PartitionResult {
    if (broker !== this.#leader) {
      const currentLeader = { nodeId: this.#leader, epoch: this.#leaderEpoch };
      if (!this.#chance.hit(0.5)) return result(6);
      this.#due.push(() => this.partition.setLeader(currentLeader.nodeId, currentLeader.epoch));
      return result(6, { currentLeader });
    }
    if (bytes.length > BATCH_BYTES_MAX) {
      // Its parts may have its sequences: the broker never takes it.
      this.#digests.delete(sequenceOf(bytes));
      return result(10);
    }
    const bad = valuesOf(bytes).flatMap((value, index) => (value.startsWith("bad") ? [{ index, message: "no" }] : []));
    if (bad.length > 0) return result(87, { recordErrors: bad.length > 1 ? bad : [] });
    const { producerId, producerEpoch: epoch, baseSequence, count } = readBatchHeader(bytes);
    const appended = this.log.append({ producerId, epoch, baseSequence, count }, bytes);
    return result(appended.errorCode, { baseOffset: appended.baseOffset });
  }
}

function sequenceOf(bytes: Buffer): string {
  const { producerId, producerEpoch, baseSequence } = readBatchHeader(bytes);
  return `${producerId}:${producerEpoch}:${baseSequence}`;
}

export function result(errorCode: number, more: Partial<PartitionResult> = {}): PartitionResult {
  const nothing = { baseOffset: -1, errorMessage: undefined, recordErrors: [], currentLeader: undefined };
  return { topic: "t", partition: 0, ...nothing, errorCode, ...more };
}
