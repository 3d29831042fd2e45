// One kafkajs producer from its birth to its first rejection. After that it gets nothing new, finishes what it has, and is
// closed: kafkajs does not forget what went wrong.

import type { Producer } from "kafkajs";
import { assert } from "../../errors.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { KafkaOptions } from "../options.ts";
import { Client } from "./client.ts";
import { messagesOf } from "./messages.ts";

/** The broker gives up waiting for its replicas before this side gives up on it. */
const REPLICATION_SHARE = 0.5;
const ACKS_ALL = -1;

export class Session {
  readonly #client: Client;
  readonly #producer: Producer;
  readonly #replicationMs: number;
  #connecting: Promise<void> | undefined;
  #outstanding = 0;
  #retired = false;
  #closed = false;

  constructor(log: Logger, metrics: Metrics, options: KafkaOptions) {
    this.#client = new Client(log, metrics, options);
    this.#replicationMs = Math.ceil(options.requestTimeoutMs * REPLICATION_SHARE);
    this.#producer = this.#client.kafka.producer({
      // Its own retries would hide what failed, and with it whether a record may be stored twice.
      retry: { retries: 0 },
      maxInFlightRequests: 1,
      idempotent: false,
      allowAutoTopicCreation: false,
      metadataMaxAge: options.metadataMaxAgeMs,
      createPartitioner:
        () =>
        ({ message: { partition } }) => {
          assert(partition !== undefined, "every message has its partition");
          return partition;
        },
    });
    this.#producer.on(this.#producer.events.REQUEST, this.#client.observe);
  }

  get retired(): boolean {
    return this.#retired;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get connected(): boolean {
    return this.#client.connected;
  }

  /** Rejects if there is no broker to be had; the session is of no use then. */
  async connect(): Promise<void> {
    this.#connecting ??= this.#producer.connect();
    await this.#connecting;
  }

  /** Stores one batch of one partition. Resolves with the offset of its first record. */
  async send(topic: string, partition: number, batch: Buffer): Promise<number> {
    const messages = messagesOf(batch, partition);
    this.#outstanding++;
    try {
      await this.connect();
      const results = await this.#producer.send({ topic, messages, acks: ACKS_ALL, timeout: this.#replicationMs });
      const [result] = results;
      // kafkajs resolves with nothing at all if it knows no such partition.
      if (results.length !== 1 || result?.topicName !== topic || result.partition !== partition) {
        throw new UnansweredError(topic, partition);
      }
      return Number(result.baseOffset ?? result.offset ?? -1);
    } finally {
      this.#outstanding--;
      if (this.#retired && this.#outstanding === 0) this.close();
    }
  }

  /** Takes nothing new, and closes when nothing is under way. */
  retire(): void {
    this.#retired = true;
    if (this.#outstanding === 0) this.close();
  }

  /** Closes all connections at once. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#retired = true;
    this.#client.close();
    // It may wait for ever for what is closed, or reject: nobody cares any more.
    void this.#producer.disconnect().catch(() => {});
  }
}

/** kafkajs has no metadata of the partition. Nothing was sent. */
export class UnansweredError extends Error {
  override readonly name = "UnansweredError";

  constructor(topic: string, partition: number) {
    super(`kafkajs knows no partition ${partition} of topic ${topic}`);
  }
}
