// The parts of a frame that compare: brokers, processes and callers, a row each.

import type { LiveSnapshot } from "../../admin/live/model.ts";
import { isUneven, last } from "../../admin/live/view/numbers.ts";
import { formatAge, printable } from "../table.ts";
import { type Cell, columns, type Line, span } from "./line.ts";
import { quantity, SPARK_SECONDS } from "./numbers.ts";
import { bar, sparkline } from "./sparkline.ts";

const BROKERS_SHOWN = 8;
const WORKERS_SHOWN = 16;
const CALLERS_SHOWN = 5;

/** From so many characters on there is room for all columns. */
const WIDE = 120;
const SHARE_BAR = 10;

/** What was left out, as a last line. */
function more(count: number, noun: string): Line[] {
  return count > 0 ? [[span(`and ${count} more ${noun}`, "name")]] : [];
}

export function brokerLines(snapshot: LiveSnapshot, width: number): Line[] {
  const { brokers, brokersLeftOut, history } = snapshot;
  if (brokers.length === 0) return [];
  const shown = brokers.slice(0, BROKERS_SHOWN);
  const isWide = width >= WIDE;
  const rows = shown.map(({ name, connections, partitions }): Cell[] => {
    const of = history.brokers[name];
    const errors = last(of?.errorsPerSecond);
    const inFlight = last(of?.inFlight);
    return [
      span(printable(name), snapshot.bottleneck.broker === name ? "bad" : "plain"),
      quantity(last(of?.requestsPerSecond), "per second"),
      quantity(last(of?.requestP50), "seconds"),
      quantity(last(of?.requestP99), "seconds"),
      quantity(inFlight, "count"),
      quantity(last(of?.queuedBytes), "bytes"),
      span(quantity(errors, "per second"), errors === null || errors === 0 ? "plain" : "bad"),
      ...(isWide
        ? [
            `${quantity(last(of?.sentBytesPerSecond), "bytes")}/s`,
            `${connections}`,
            `${partitions}`,
            of === undefined ? "" : sparkline(history.t, of.requestP99, 20, SPARK_SECONDS),
          ]
        : []),
    ];
  });
  const wide = isWide ? ["sent", "connections", "partitions", "p99, 5 min"] : [];
  const heading = ["broker", "requests", "p50", "p99", "in flight", "queued", "errors", ...wide];
  return [
    ...columns(heading, rows, 1, isWide ? heading.length - 1 : Infinity),
    ...more(brokersLeftOut + brokers.length - shown.length, "brokers"),
  ];
}

export function workerLines(snapshot: LiveSnapshot, width: number): Line[] {
  const { processes, history, service } = snapshot;
  const events = last(history.service.eventsPerSecond) ?? 0;
  const shown = processes.slice(0, WORKERS_SHOWN);
  const isWide = width >= WIDE;
  const rows = shown.map(({ name, up, pid }): Cell[] => {
    const of = history.processes[name];
    const isWorker = name !== "supervisor";
    const load = last(of?.load);
    const share = load === null ? null : load / Math.max(1, service.workers);
    const suspected = snapshot.bottleneck.worker === name;
    return [
      span(isWorker ? `worker ${name}` : name, !up || suspected ? "bad" : "plain"),
      up ? span("up", "good") : span("DOWN", "bad"),
      quantity(last(of?.cpu), "share"),
      quantity(last(of?.eventLoopDelayMax), "seconds"),
      quantity(last(of?.rssBytes), "bytes"),
      isWorker ? quantity(last(of?.eventsPerSecond), "per second") : "",
      ...(isWide
        ? [
            pid === null ? "-" : `${pid}`,
            quantity(last(of?.heapBytes), "bytes"),
            isWorker ? quantity(last(of?.acknowledgedP99), "seconds") : "",
            isWorker ? quantity(last(of?.connections), "count") : "",
            isWorker ? quantity(last(of?.streams), "count") : "",
          ]
        : []),
      isWorker && share !== null
        ? span(
            `${bar(share, SHARE_BAR)} ${Math.round(share * 100)} %`,
            service.workers > 1 && load !== null && isUneven(load, events) ? "warn" : "plain",
          )
        : "",
    ];
  });
  const wide = isWide ? ["pid", "heap", "ack p99", "connections", "streams"] : [];
  const heading = ["process", "", "cpu", "loop max", "rss", "events", ...wide, "share"];
  return [...columns(heading, rows, 2, heading.length - 1), ...more(processes.length - shown.length, "processes")];
}

export function callerLines({ callers, callersLeftOut }: LiveSnapshot): Line[] {
  if (callers.length === 0) return [];
  const shown = callers.slice(0, CALLERS_SHOWN);
  const rows = shown.map(({ address, identity, connections, streams, unsentBytes, oldestSeconds, workers }): Cell[] => [
    printable(identity === null ? address : `${identity} (${address})`),
    `${connections}`,
    `${streams}`,
    unsentBytes === 0 ? "0 B" : quantity(unsentBytes, "bytes"),
    formatAge(oldestSeconds),
    workers.join(","),
  ]);
  return [
    ...columns(["caller", "connections", "streams", "unsent", "oldest", "workers"], rows, 1, 5),
    ...more(callersLeftOut + callers.length - shown.length, "callers"),
  ];
}
