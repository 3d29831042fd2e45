// Which charts there are, and what each shows.

import { processName } from "../../pages/process-name.ts";
import type { Unit } from "../../pages/units.ts";
import type { BrokerSeries, LiveSnapshot, ProcessSeries, ServiceSeries } from "../model.ts";

export interface LineSpec {
  readonly label: string;
  /** The name of its column. */
  readonly column: string;
}

export interface ChartSpec {
  readonly id: string;
  readonly title: string;
  /** What it is of, in a few words. */
  readonly about: string;
  readonly unit: Unit;
  readonly lines: (snapshot: LiveSnapshot) => readonly LineSpec[];
}

/** More lines than these cannot be told apart. */
const LINES_MAX = 8;

const service =
  (...lines: readonly (readonly [label: string, series: ServiceSeries])[]) =>
  (): readonly LineSpec[] =>
    lines.map(([label, series]) => ({ label, column: `service.${series}` }));

const last = (values: readonly (number | null)[] | undefined): number => values?.at(-1) ?? 0;

/** The brokers whose last value is the greatest, in a stable order. */
const brokers =
  (series: BrokerSeries) =>
  ({ brokers, history }: LiveSnapshot): readonly LineSpec[] => {
    const names = brokers.map(({ name }) => name);
    const busiest = [...names]
      .sort((a, b) => last(history.brokers[b]?.requestP99) - last(history.brokers[a]?.requestP99))
      .slice(0, LINES_MAX);
    return names
      .filter((name) => busiest.includes(name))
      .map((name) => ({ label: name, column: `brokers.${name}.${series}` }));
  };

const processes =
  (series: ProcessSeries, withSupervisor: boolean) =>
  ({ processes }: LiveSnapshot): readonly LineSpec[] => {
    const workers = processes.filter(({ name }) => /^\d+$/.test(name)).slice(0, LINES_MAX - 1);
    const others = withSupervisor ? processes.filter(({ name }) => !/^\d+$/.test(name)) : [];
    return [...workers, ...others].map(({ name }) => ({
      label: processName(name),
      column: `processes.${name}.${series}`,
    }));
  };

export const CHARTS: readonly ChartSpec[] = [
  {
    id: "throughput",
    title: "Throughput",
    about: "events",
    unit: "per second",
    lines: service(
      ["received", "eventsPerSecond"],
      ["stored", "storedPerSecond"],
      ["failed, refused", "errorsPerSecond"],
    ),
  },
  {
    id: "latency",
    title: "Time to the answer, by stage",
    about: "p99 of 5 s",
    unit: "seconds",
    lines: service(
      ["answer (all of it)", "acknowledgeP99"],
      ["admit", "admitP99"],
      ["queue", "queueP99"],
      ["produce", "produceP99"],
    ),
  },
  {
    id: "queue",
    title: "Queue and in flight",
    about: "bytes",
    unit: "bytes",
    lines: service(["admitted, not answered", "admittedBytes"], ["queued for Kafka", "kafkaQueuedBytes"]),
  },
  {
    id: "workers",
    title: "Workers, side by side",
    about: "events",
    unit: "per second",
    lines: processes("eventsPerSecond", false),
  },
  { id: "load", title: "Share of the load", about: "1 is even", unit: "count", lines: processes("load", false) },
  { id: "cpu", title: "CPU", about: "cores", unit: "cores", lines: processes("cpu", true) },
  {
    id: "brokers",
    title: "Kafka: time of a request",
    about: "p99 of 5 s, by broker",
    unit: "seconds",
    lines: brokers("requestP99"),
  },
  {
    id: "broker-flight",
    title: "Kafka: requests in flight",
    about: "by broker",
    unit: "count",
    lines: brokers("inFlight"),
  },
  {
    id: "broker-queue",
    title: "Kafka: bytes that wait",
    about: "by broker",
    unit: "bytes",
    lines: brokers("queuedBytes"),
  },
  {
    id: "loop",
    title: "Event loop, longest turn",
    about: "by process",
    unit: "seconds",
    lines: processes("eventLoopDelayMax", true),
  },
  { id: "memory", title: "Memory", about: "resident, by process", unit: "bytes", lines: processes("rssBytes", true) },
  {
    id: "connections",
    title: "Connections and streams",
    about: "open",
    unit: "count",
    lines: service(
      ["connections", "connections"],
      ["streams and calls", "streams"],
      ["batches that wait for room", "admissionWaiting"],
    ),
  },
  {
    id: "errors",
    title: "Errors and repeats",
    about: "by second",
    unit: "per second",
    lines: service(["failed, refused", "errorsPerSecond"], ["record batches sent again", "kafkaRetriesPerSecond"]),
  },
  { id: "spool", title: "Spool", about: "on disk", unit: "bytes", lines: service(["spool", "spoolBytes"]) },
  {
    id: "spool-age",
    title: "Oldest event in the spool",
    about: "age",
    unit: "seconds",
    lines: service(["age", "spoolAgeSeconds"]),
  },
];
