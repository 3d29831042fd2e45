// What each kind of incident is called, in words, and which series of the history show it.

import type { Incident, IncidentKind } from "../../incidents/incident.ts";
import type { Series } from "../../telemetry/history.ts";
import { processName } from "./process-name.ts";
import type { Unit } from "./units.ts";

export interface SeriesInfo {
  readonly title: string;
  readonly unit: Unit;
}

/** The series of the history, in the order in which they are shown. */
const SERIES: Readonly<Record<Series, SeriesInfo>> = {
  cpu: { title: "CPU", unit: "cores" },
  cpuOfLoad: { title: "CPU that the load explains, at most", unit: "cores" },
  eventLoopDelayMax: { title: "Event-loop delay, the longest of each second", unit: "seconds" },
  rssBytes: { title: "Resident memory", unit: "bytes" },
  ownMemoryBytes: { title: "Memory that is shared with no other process", unit: "bytes" },
  heapBytes: { title: "JavaScript heap", unit: "bytes" },
  externalBytes: { title: "Memory of buffers", unit: "bytes" },
  openFds: { title: "Open file descriptors", unit: "count" },
  connections: { title: "Connections", unit: "count" },
  streams: { title: "Open streams and calls", unit: "count" },
  connectionStreamsMax: { title: "Open streams of the fullest connection", unit: "count" },
  eventsPerSecond: { title: "Events received", unit: "per second" },
  requestsPerSecond: { title: "Batches received", unit: "per second" },
  acknowledgedP99: { title: "Time to the answer, 99th percentile", unit: "seconds" },
  kafkaQueuedBytes: { title: "Queued for Kafka", unit: "bytes" },
  kafkaInFlight: { title: "Requests to Kafka in flight", unit: "count" },
  spoolBytes: { title: "Spool", unit: "bytes" },
  admittedBytes: { title: "Admitted and not answered", unit: "bytes" },
  errorRatio: { title: "Refused or failed, of all", unit: "share" },
  errorsPerSecond: { title: "Refused or failed", unit: "per second" },
};

interface KindInfo {
  /** Follows the process: `worker 0: `. */
  readonly title: string;
  /** The series that show it best; they come first, and the value is in the unit of the first. */
  readonly series: readonly Series[];
}

const KINDS: Readonly<Record<IncidentKind, KindInfo>> = {
  cpu: { title: "high CPU", series: ["cpu", "eventsPerSecond"] },
  event_loop: { title: "event loop delayed", series: ["eventLoopDelayMax", "cpu"] },
  rss: { title: "memory near its limit", series: ["ownMemoryBytes", "externalBytes", "heapBytes"] },
  heap: { title: "JavaScript heap near its limit", series: ["heapBytes", "rssBytes"] },
  fds: { title: "file descriptors near their limit", series: ["openFds", "connections", "streams"] },
  connections: { title: "many connections", series: ["connections", "openFds", "streams"] },
  streams: { title: "one connection has many streams", series: ["connectionStreamsMax", "streams", "connections"] },
  acknowledged_p99: { title: "slow answers", series: ["acknowledgedP99", "kafkaQueuedBytes", "kafkaInFlight"] },
  kafka_queue: { title: "Kafka does not keep up", series: ["kafkaQueuedBytes", "kafkaInFlight", "acknowledgedP99"] },
  error_rate: { title: "events fail", series: ["errorRatio", "eventsPerSecond"] },
  forced: { title: "recorded on request", series: [] },
  crash: { title: "crash", series: ["cpu", "rssBytes"] },
  fatal_signal: { title: "ended by a signal", series: ["rssBytes", "cpu"] },
  out_of_memory: { title: "out of memory", series: ["heapBytes", "rssBytes"] },
  stuck_loop: { title: "stuck in a loop", series: ["cpu", "eventLoopDelayMax", "eventsPerSecond"] },
  unresponsive: { title: "does not respond", series: ["eventLoopDelayMax", "cpu"] },
  supervisor_died: { title: "the service had ended badly", series: ["cpu", "rssBytes"] },
};

/** `worker 0: high CPU` */
export function titleOf({ kind, worker }: Pick<Incident, "kind" | "worker">): string {
  return `${worker === "all" ? "service" : processName(worker)}: ${KINDS[kind].title}`;
}

/** The unit of the incident's value; undefined: it has none. */
export function unitOf(kind: IncidentKind): Unit | undefined {
  const [first] = KINDS[kind].series;
  return first === undefined ? undefined : SERIES[first].unit;
}

/** The series of a history, those first that show this kind of incident. */
export function orderedSeries(kind: IncidentKind): (readonly [name: Series, info: SeriesInfo])[] {
  const names = new Set([...KINDS[kind].series, ...(Object.keys(SERIES) as Series[])]);
  return [...names].map((name) => [name, SERIES[name]]);
}
