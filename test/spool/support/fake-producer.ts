// A Kafka that does what a test says: it remembers what it was sent, and tells the outcome when it is asked to.

import { Code, IngestError, Reason } from "../../../src/errors.ts";
import type {
  BatchSettler,
  Producer,
  ProducerHealth,
  ProducerState,
  SealedBatch,
  TopicInfo,
} from "../../../src/ingest/producer.ts";

export interface Sent {
  readonly text: string;
  readonly batch: SealedBatch;
  readonly settler: BatchSettler;
}

export function topicInfo(name: string, partitions = 4): TopicInfo {
  return {
    name,
    partitions,
    maxBatchBytes: 1_048_588,
    timestampBeforeMaxMs: Infinity,
    timestampAfterMaxMs: Infinity,
    keyRequired: false,
  };
}

export function retryable(message = "no leader"): IngestError {
  return new IngestError(Code.UNAVAILABLE, message, { retryable: true });
}

export function refusal(message = "too large"): IngestError {
  return new IngestError(Code.INVALID_ARGUMENT, message, { reason: Reason.TOO_LARGE });
}

export class FakeProducer implements Producer {
  /** Sent and not told of, in order. */
  readonly inFlight: Sent[] = [];
  /** Everything that was stored, by topic and partition, in the order of the log. */
  readonly log = new Map<string, string[]>();
  readonly topics = new Map<string, TopicInfo>();
  /** What topic() knows without asking. */
  readonly known = new Set<string>();
  lookups = 0;
  /** Decides at once, if it is set; undefined leaves the batch in flight. */
  decide: ((sent: Sent) => "stored" | IngestError | undefined) | undefined;

  addTopic(name: string, partitions?: number): void {
    this.topics.set(name, topicInfo(name, partitions));
  }

  inspect(): ProducerState {
    return { client: "direct", unknown: [], partitions: [], partitionsLeftOut: 0 };
  }

  topic(name: string): TopicInfo | undefined {
    return this.known.has(name) ? this.topics.get(name) : undefined;
  }

  async lookup(name: string): Promise<TopicInfo> {
    this.lookups++;
    const info = this.topics.get(name);
    if (info === undefined) {
      throw new IngestError(Code.NOT_FOUND, `topic ${name} does not exist: create it`, {
        reason: Reason.UNKNOWN_TOPIC,
      });
    }
    this.known.add(name);
    return info;
  }

  send(batch: SealedBatch, settler: BatchSettler): void {
    const sent = { text: batch.bytes.toString(), batch, settler };
    this.inFlight.push(sent);
    const outcome = this.decide?.(sent);
    if (outcome === undefined) return;
    setImmediate(() => this.settle(sent.text, outcome));
  }

  /** The texts that are in flight. */
  get texts(): string[] {
    return this.inFlight.map(({ text }) => text);
  }

  /** Tells the outcome of a batch, or of some of its records. */
  settle(text: string, outcome: "stored" | IngestError, first = 0, count?: number): void {
    const at = this.inFlight.findIndex((sent) => sent.text === text);
    const sent = this.inFlight[at];
    if (sent === undefined) throw new Error(`${text} is not in flight: ${this.texts.join()}`);
    const { batch, settler } = sent;
    const records = count ?? batch.count;
    if (first + records === batch.count) this.inFlight.splice(at, 1);
    if (outcome === "stored") {
      const key = `${batch.topic} ${batch.partition}`;
      this.log.set(key, [...(this.log.get(key) ?? []), text]);
      settler.stored(batch, first, records, 0);
    } else {
      settler.failed(batch, first, records, outcome);
    }
  }

  health(): ProducerHealth {
    return { ready: true, problems: [] };
  }

  async start(): Promise<void> {}
  async drain(): Promise<void> {}
  async dispose(): Promise<void> {}
}
