// Where events are held up now, in one sentence: what one wants to know before one looks at any chart.
//
// What is slow downstream makes everything wait that lies before it: a broker that takes its time fills the queue, and the
// queue fills the byte budget, until batches wait longest where nothing is wrong. So causes are looked for from the end of the
// way to its beginning, each against a time that a healthy one stays below, and stages are compared only if there is none.
//
// Invariants: pure. A value that is not known (NaN) is never the reason for anything.

import { processName } from "../pages/process-name.ts";
import { quantityOf } from "../pages/units.ts";
import type { Bottleneck, BottleneckStage, Stage } from "./model.ts";

/** What was measured over the last seconds; times in seconds, NaN: nothing was measured. */
export interface Measured {
  /** Batches answered a second. */
  readonly answersPerSecond: number;
  readonly stages: Readonly<Record<Stage, { readonly mean: number; readonly p99: number }>>;
  /** Batches that wait for room now. */
  readonly admissionWaiting: number;
  /** Of one worker. */
  readonly admittedBytesLimit: number;
  readonly kafkaQueuedBytes: number;
  /** Open connections to brokers; undefined: there are no brokers to connect to. */
  readonly brokerConnections: number | undefined;
  readonly brokers: readonly MeasuredBroker[];
  /** Mean time of a sync of the spool. */
  readonly spoolSync: number;
  readonly workers: readonly MeasuredWorker[];
  /** The largest share of a worker over the mean. */
  readonly imbalance: number;
  readonly eventsPerSecond: number;
}

export interface MeasuredBroker {
  readonly name: string;
  /** Mean time of a Produce request. */
  readonly mean: number;
  readonly inFlight: number;
  /** Since it answered, or had nothing to answer. */
  readonly silentSeconds: number;
}

export interface MeasuredWorker {
  readonly name: string;
  readonly cpu: number;
  readonly eventLoopDelayMax: number;
  readonly load: number;
}

/** A broker and a disk that are well stay far below. */
const SLOW_REQUEST = 0.1;
/** Answers that come within this time are not held up. */
const SLOW_ANSWER = 0.1;
/** A broker that says nothing for so long is not just slow. */
const SILENT = 2;
const STANDSTILL = 1;
const CPU_FULL = 0.95;
const UNEVEN = 1.5;
/** The part of all byte budgets from which on what waits for Kafka may be why nothing else has room. */
const HOLDS_BUDGET = 0.5;
/** Below this an uneven load is chance. */
const EVENTS_MIN = 10;

interface Finding {
  readonly stage: BottleneckStage;
  readonly sentence: string;
  readonly broker?: string;
  readonly worker?: string;
}

const time = (seconds: number): string => quantityOf(seconds, "seconds");

function worst<T>(all: readonly T[], of: (each: T) => number): T | undefined {
  return all.reduce<T | undefined>((max, each) => (max === undefined || of(each) > of(max) ? each : max), undefined);
}

function standingWorker({ workers }: Measured): Finding | undefined {
  const stuck = worst(
    workers.filter(({ eventLoopDelayMax }) => eventLoopDelayMax >= STANDSTILL),
    ({ eventLoopDelayMax }) => eventLoopDelayMax,
  );
  if (stuck === undefined) return undefined;
  const sentence = `${processName(stuck.name)}: its event loop stood still for ${time(stuck.eventLoopDelayMax)}`;
  return { stage: "worker", worker: stuck.name, sentence };
}

function slowKafka({ brokers, kafkaQueuedBytes, brokerConnections }: Measured): Finding | undefined {
  const silent = worst(
    brokers.filter(({ inFlight, silentSeconds }) => inFlight > 0 && silentSeconds >= SILENT),
    ({ silentSeconds }) => silentSeconds,
  );
  if (silent !== undefined) {
    const { name, inFlight, silentSeconds } = silent;
    const requests = inFlight === 1 ? "its request" : `any of its ${inFlight} requests`;
    const sentence = `produce: broker ${name} has not answered ${requests} for ${time(silentSeconds)}`;
    return { stage: "produce", broker: name, sentence };
  }
  if (brokerConnections === 0 && kafkaQueuedBytes > 0) {
    const waiting = quantityOf(kafkaQueuedBytes, "bytes");
    return { stage: "produce", sentence: `produce: no broker is connected, and ${waiting} wait for Kafka` };
  }
  const slow = worst(
    brokers.filter(({ mean }) => mean >= SLOW_REQUEST),
    ({ mean }) => mean,
  );
  if (slow === undefined) return undefined;
  const sentence = `produce: broker ${slow.name} takes ${time(slow.mean)} a request`;
  return { stage: "produce", broker: slow.name, sentence };
}

function slowDisk({ spoolSync }: Measured): Finding | undefined {
  if (!(spoolSync >= SLOW_REQUEST)) return undefined;
  return { stage: "produce", sentence: `produce: the disk takes ${time(spoolSync)} a sync of the spool` };
}

function busyWorker({ workers }: Measured): Finding | undefined {
  const busy = worst(
    workers.filter(({ cpu }) => cpu >= CPU_FULL),
    ({ cpu }) => cpu,
  );
  if (busy === undefined) return undefined;
  const sentence = `${processName(busy.name)}: it has no CPU left, with ${quantityOf(busy.cpu, "cores")} in use`;
  return { stage: "worker", worker: busy.name, sentence };
}

function longestStage({ stages, admissionWaiting, admittedBytesLimit }: Measured): Finding | undefined {
  // Answers are held up if some of them are, so the mean alone would hide why.
  const wait = (stage: Stage) => `${time(of(stage))} (p99 ${time(stages[stage].p99)})`;
  const of = (stage: Stage) => (Number.isNaN(stages[stage].mean) ? 0 : stages[stage].mean);
  const longest = worst(["produce", "queue", "admit"] as const, of)!;
  // Batches that wait without end are in no histogram yet.
  if (longest === "admit" || (admissionWaiting > 0 && of(longest) < SLOW_ANSWER)) {
    const budget = Number.isNaN(admittedBytesLimit) ? "" : `, ${quantityOf(admittedBytesLimit, "bytes")} a worker`;
    const waited = of("admit") > 0 ? ` ${wait("admit")}` : "";
    const sentence = `admit: batches wait${waited} for room in the byte budget (ADMITTED_BYTES_MAX${budget})`;
    return { stage: "admit", sentence };
  }
  if (of(longest) === 0) return undefined;
  return longest === "queue"
    ? { stage: "queue", sentence: `queue: events wait ${wait("queue")} until their record batch is sent` }
    : { stage: "produce", sentence: `produce: Kafka or the disk takes ${wait("produce")} a record batch` };
}

function heldUp(measured: Measured): Finding {
  const downstream = standingWorker(measured) ?? slowKafka(measured) ?? slowDisk(measured);
  if (downstream !== undefined) return downstream;
  const { stages, admissionWaiting, answersPerSecond } = measured;
  const { p99 } = stages.acknowledge;
  if (admissionWaiting > 0 || p99 >= SLOW_ANSWER) {
    const found = busyWorker(measured) ?? longestStage(measured);
    if (found !== undefined) return found;
  }
  const isIdle = !(answersPerSecond > 0) || Number.isNaN(p99);
  const sentence = isIdle ? "nothing comes in" : `nothing is held up: 99 % of answers come within ${time(p99)}`;
  return { stage: "none", sentence };
}

export function bottleneckOf(measured: Measured): Bottleneck {
  const { stage, sentence, broker = null, worker = null } = heldUp(measured);
  const { admissionWaiting, admittedBytesLimit, kafkaQueuedBytes, brokers, workers, imbalance, eventsPerSecond } =
    measured;
  const notes: string[] = [];
  // Of one topic that Kafka does not take, for example: no broker is slow then, and who waits for room is not guilty.
  if (stage === "admit" && kafkaQueuedBytes >= workers.length * admittedBytesLimit * HOLDS_BUDGET)
    notes.push(`${quantityOf(kafkaQueuedBytes, "bytes")} wait for Kafka, which may be what holds the budget`);
  if (stage !== "admit" && admissionWaiting > 0) {
    const whose = admissionWaiting === 1 ? "1 batch waits" : `${quantityOf(admissionWaiting, "count")} batches wait`;
    notes.push(`${whose} for room in the byte budget because of it`);
  }
  const others = brokers.filter(({ name, mean }) => name !== broker && !Number.isNaN(mean));
  const slowest = broker === null ? undefined : worst(others, ({ mean }) => mean);
  if (slowest !== undefined && slowest.mean < SLOW_REQUEST)
    notes.push(`the other brokers take ${time(slowest.mean)} at most`);
  if (imbalance >= UNEVEN && eventsPerSecond >= EVENTS_MIN) {
    const most = worst(
      workers.filter(({ load }) => !Number.isNaN(load)),
      ({ load }) => load,
    );
    if (most !== undefined)
      notes.push(
        `load is uneven: ${processName(most.name)} gets ${quantityOf(most.load, "count")} times the mean of all workers`,
      );
  }
  return { stage, sentence, broker, worker, notes };
}
