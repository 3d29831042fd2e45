// What triggers look at: which values of a second, what they are a share of, and when they say nothing.
//
// The mean of CPU is never taken as less than what the load explains (history-reader.ts): a service that was idle and is given
// work is healthy. That is generous, and beyond a quarter of a core of real work it explains more than a worker can take: so a
// worker that is busy all the time for half a minute is looked at as well, if its work is less than what could make it busy.

import type { TriggerKind, TriggerSetting } from "../config/triggers.ts";
import { type Limits, PRICE_MARGIN } from "../telemetry/history-reader.ts";
import type { HistoryValues, Series } from "../telemetry/history.ts";

/** Failures that are too few to be an incident, whatever their share is. */
const ERRORS_PER_SECOND_MIN = 10;
/** A worker has one main thread: this is all of it. */
const BUSY_CORES = 0.9;
/** Code that is not compiled yet takes several times as long; that is over sooner. */
const BUSY_HOLD_MS = 30_000;
/** By what the work was measured to cost, in cores, without the margin; healthy full load has three times as much and more. */
const BUSY_WORK_CORES = 0.4;

/** One value of one process. */
export interface Measure {
  readonly kind: TriggerKind;
  /** Another measure of the same kind, with settings that follow from the kind's. */
  readonly also?: { readonly name: string; readonly settingOf: (of: TriggerSetting) => TriggerSetting | undefined };
  readonly series: Series;
  /** The value is a share of it; 1 if it is none. NaN: not known. */
  readonly whole: (limits: Limits) => number;
  readonly what: string;
  readonly unit: "cores" | "s" | "share";
  /** The least that counts as the mean. */
  readonly meanMin?: (values: HistoryValues) => number;
  readonly applies?: (values: HistoryValues) => boolean;
  /** Whether it says something of the supervisor, too, which makes profiles and bundles when it is asked to. */
  readonly everyProcess?: true;
  /** Whether the value is how long something took. */
  readonly isDuration?: true;
}

export const MEASURES: readonly Measure[] = [
  {
    kind: "cpu",
    series: "cpu",
    whole: () => 1,
    what: "the CPU of a worker",
    unit: "cores",
    meanMin: ({ cpuOfLoad }) => (Number.isNaN(cpuOfLoad) ? 0 : cpuOfLoad),
  },
  {
    kind: "cpu",
    also: {
      name: "busy",
      // Whoever wants no comparison wants no stand-in for it.
      settingOf: (of) =>
        of.diff === undefined
          ? undefined
          : { ...of, diff: undefined, abs: BUSY_CORES, holdMs: Math.max(of.holdMs, BUSY_HOLD_MS) },
    },
    series: "cpu",
    whole: () => 1,
    what: "the CPU of a worker, of which its load explains less than half,",
    unit: "cores",
    applies: ({ cpuOfLoad }) => cpuOfLoad < BUSY_WORK_CORES * PRICE_MARGIN,
  },
  {
    kind: "event_loop",
    series: "eventLoopDelayMax",
    whole: () => 1,
    what: "the longest turn of the event loop",
    unit: "s",
    isDuration: true,
  },
  {
    kind: "heap",
    series: "heapBytes",
    whole: ({ heapBytes }) => heapBytes,
    what: "the heap, of its limit,",
    unit: "share",
    everyProcess: true,
  },
  {
    kind: "fds",
    series: "openFds",
    whole: ({ openFds }) => openFds,
    what: "open file descriptors, of their limit,",
    unit: "share",
    everyProcess: true,
  },
  {
    kind: "connections",
    series: "connections",
    whole: ({ connections }) => connections,
    what: "connections, of GRPC_CONNECTIONS_MAX,",
    unit: "share",
  },
  {
    kind: "streams",
    series: "connectionStreamsMax",
    whole: ({ connectionStreams }) => connectionStreams,
    what: "streams of one connection, of GRPC_STREAMS_MAX,",
    unit: "share",
  },
  {
    kind: "acknowledged_p99",
    series: "acknowledgedP99",
    whole: () => 1,
    what: "the 99th percentile of the time to an answer",
    unit: "s",
  },
  {
    kind: "kafka_queue",
    series: "kafkaQueuedBytes",
    whole: ({ admittedBytes }) => admittedBytes,
    what: "bytes with the Kafka client, of ADMITTED_BYTES_MAX,",
    unit: "share",
  },
  {
    kind: "error_rate",
    series: "errorRatio",
    whole: () => 1,
    what: "batches refused or events failed, of all,",
    unit: "share",
    applies: ({ errorsPerSecond }) => errorsPerSecond >= ERRORS_PER_SECOND_MIN,
  },
];
