// What the page and `sluice top` are told: one shape for the start and for every second after it.
//
//   GET /debug/live?seconds=900           LiveSnapshot, with the history of the last so many seconds
//   GET /debug/live/events?since=<ms>     server-sent events: a LiveSnapshot a second; its history is what ended after `since`,
//                                         or after the `Last-Event-ID` (the `atMs` of the last one), then the new second alone
//
// Types alone, so that the page's script and the command line share them with the supervisor. All series are on one time axis,
// that of the supervisor's seconds, so that they can be drawn and compared without being joined first.
//
// Invariants: plain JSON; every list is bounded where it is made, and says how much it left out. `null` is "not known", never 0.

import type { IncidentKind } from "../../incidents/incident.ts";
import type { Ledger } from "../../telemetry/ledger.ts";

/** The stages of an event's way; `acknowledge` is all of it, from received to answered. */
export const STAGES = ["admit", "queue", "produce", "acknowledge"] as const;
export type Stage = (typeof STAGES)[number];

/** Of the whole service, by the second. */
export const SERVICE_SERIES = [
  /** Received, over all workers. */
  "eventsPerSecond",
  /** Acknowledged as stored. */
  "storedPerSecond",
  /** Batches answered, on streams and alone. */
  "requestsPerSecond",
  /** Of PublishRequest messages. */
  "bytesPerSecond",
  /** Events failed, and batches refused. */
  "errorsPerSecond",
  /** Quantiles of what was answered in the last five seconds, in seconds. */
  "acknowledgeP50",
  "acknowledgeP99",
  "admitP99",
  "queueP99",
  "produceP99",
  /** Of batches without an answer yet. */
  "admittedBytes",
  /** Batches that wait for room in the byte budget. */
  "admissionWaiting",
  /** Received and not settled. */
  "eventsInFlight",
  /** Sealed record batches that the Kafka client has and that are not settled. */
  "kafkaQueuedBytes",
  /** Produce requests without a response. */
  "kafkaInFlight",
  /** Record batches sent again. */
  "kafkaRetriesPerSecond",
  "spoolBytes",
  "spooledEvents",
  /** Of the oldest batch in the spool that is not in Kafka. */
  "spoolAgeSeconds",
  /** Equations of the ledger that do not hold; 0 unless there is a bug. */
  "ledgerMismatches",
  "connections",
  /** Open HTTP/2 streams: a gRPC call each. */
  "streams",
  /** The largest share that a worker has of the work of the last ten seconds, over the mean: 1 is even. */
  "imbalance",
] as const;
export type ServiceSeries = (typeof SERVICE_SERIES)[number];

/** Of one broker. */
export const BROKER_SERIES = [
  /** Produce requests answered. */
  "requestsPerSecond",
  /** From a Produce request to its response, in seconds; quantiles of the last five seconds. */
  "requestP50",
  "requestP99",
  /** Produce requests without a response. */
  "inFlight",
  "sentBytesPerSecond",
  /** Error codes in responses, and connections lost. */
  "errorsPerSecond",
  /** Of the partitions that it leads; known anew every five seconds. */
  "queuedBytes",
] as const;
export type BrokerSeries = (typeof BROKER_SERIES)[number];

/** Of one process. */
export const PROCESS_SERIES = [
  /** CPU seconds a second. */
  "cpu",
  /** The longest turn of the event loop, in seconds. */
  "eventLoopDelayMax",
  "rssBytes",
  "heapBytes",
  "eventsPerSecond",
  "requestsPerSecond",
  /** In seconds; of the batches of the last five seconds. */
  "acknowledgedP99",
  "admittedBytes",
  "kafkaQueuedBytes",
  "connections",
  "streams",
  /** Its work (events and batches) of the last ten seconds over the mean of all workers: 1 is an even share. */
  "load",
] as const;
export type ProcessSeries = (typeof PROCESS_SERIES)[number];

/** One for each time; null: not known. */
export type Values = readonly (number | null)[];

export interface LiveHistory {
  /** When each second ended, in milliseconds since the epoch, ascending. All values are of these. */
  readonly t: readonly number[];
  readonly service: Readonly<Record<ServiceSeries, Values>>;
  /** By `host:port`. */
  readonly brokers: Readonly<Record<string, Readonly<Record<BrokerSeries, Values>>>>;
  /** By the `worker` label: each worker's number, and `supervisor`. */
  readonly processes: Readonly<Record<string, Readonly<Record<ProcessSeries, Values>>>>;
}

export interface LiveService {
  readonly version: string;
  readonly nodeVersion: string;
  /** CPUs that its processes may run on, and the memory of its host in bytes; a control group may allow less. */
  readonly cores: number;
  readonly hostMemoryBytes: number;
  readonly host: string;
  readonly startedAtMs: number;
  readonly workers: number;
  readonly workersUp: number;
  readonly ready: boolean;
  /** What is wrong; something may be while it is ready. */
  readonly problems: readonly { readonly worker: string | null; readonly reason: string }[];
  /** KAFKA_BROKERS; none: the spool alone. */
  readonly bootstrap: readonly string[];
  /** Of all workers; null: not known yet. */
  readonly admittedBytesLimit: number | null;
  readonly spoolBytesLimit: number | null;
}

/** Where events are held up. */
export type BottleneckStage = "none" | "admit" | "queue" | "produce" | "worker";

export interface Bottleneck {
  /** `worker`: a process has no CPU left, or its event loop stands still. */
  readonly stage: BottleneckStage;
  /** `produce: broker 127.0.0.1:9092 takes 240 ms a request` */
  readonly sentence: string;
  /** Which one, if it is one. */
  readonly broker: string | null;
  readonly worker: string | null;
  /** What else one should know: load that is uneven, batches that wait because of it. */
  readonly notes: readonly string[];
}

export interface LiveProcess {
  /** Its `worker` label. */
  readonly name: string;
  /** Whether it takes events; of the supervisor: true. */
  readonly up: boolean;
  readonly pid: number | null;
}

export interface LiveBroker {
  /** `host:port` */
  readonly name: string;
  /** Open connections of all workers. */
  readonly connections: number;
  /** Partitions with something to do that it leads. */
  readonly partitions: number;
}

/** One topic-partition, summed over the workers; told every five seconds. */
export interface LivePartition {
  readonly topic: string;
  readonly partition: number;
  /** The leader, `host:port`; null: not known. */
  readonly broker: string | null;
  readonly queuedBatches: number;
  readonly queuedBytes: number;
  /** Record batches that were sent and have no answer. */
  readonly inFlight: number;
  /** Since the workers were started. */
  readonly retries: number;
  /** What an operator has to mend. */
  readonly problem: string | null;
}

/** Everybody at one address with one certificate, over all workers; told every five seconds. */
export interface LiveCaller {
  readonly address: string;
  /** The common name of the certificate. */
  readonly identity: string | null;
  readonly connections: number;
  readonly streams: number;
  /** Answers that were not taken yet. */
  readonly unsentBytes: number;
  /** Of the oldest connection. */
  readonly oldestSeconds: number;
  /** The workers that it is connected to, by their number. */
  readonly workers: readonly string[];
}

/** The books of one topic, over all workers. */
export interface LiveLedger extends Ledger {
  readonly topic: string;
  readonly agrees: boolean;
}

export interface LiveIncident {
  readonly id: string;
  readonly kind: IncidentKind;
  readonly worker: string;
  readonly atMs: number;
  readonly state: "recording" | "complete";
  /** `worker 0: high CPU` */
  readonly title: string;
  readonly why: string;
}

export interface LiveSnapshot {
  /** When its last second ended, in milliseconds since the epoch. */
  readonly atMs: number;
  readonly service: LiveService;
  readonly bottleneck: Bottleneck;
  readonly history: LiveHistory;
  readonly processes: readonly LiveProcess[];
  readonly brokers: readonly LiveBroker[];
  readonly brokersLeftOut: number;
  /** The busiest first. */
  readonly partitions: readonly LivePartition[];
  readonly partitionsLeftOut: number;
  /** Those with the most streams first. */
  readonly callers: readonly LiveCaller[];
  readonly callersLeftOut: number;
  /** By topic, the busiest first. */
  readonly ledger: readonly LiveLedger[];
  readonly ledgerLeftOut: number;
  /** Over all topics. */
  readonly ledgerSum: LiveLedger;
  /** Within the fifteen minutes of the history, the newest first. */
  readonly incidents: readonly LiveIncident[];
  /** Whether topics can be read here (ADMIN_TAIL). */
  readonly tail: boolean;
}
