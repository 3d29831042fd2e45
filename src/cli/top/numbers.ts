// The parts of a frame that are about the service as a whole: throughput, stages, queue, spool, incidents.

import type { LiveSnapshot, ServiceSeries } from "../../admin/live/model.ts";
import { last } from "../../admin/live/view/numbers.ts";
import { quantityOf, type Unit } from "../../admin/pages/units.ts";
import { formatAge, formatCount, plural, printable } from "../table.ts";
import { columns, type Line, type Span, span } from "./line.ts";
import { bar, sparkline } from "./sparkline.ts";

/** How much of the past a sparkline has. */
export const SPARK_SECONDS = 300;
const UNKNOWN = "-";
const INCIDENTS_SHOWN = 5;

export function quantity(value: number | null, unit: Unit): string {
  return value === null ? UNKNOWN : quantityOf(value, unit);
}

/** A row for each: its name, how much it is now, and its last minutes. */
function series(
  { history: { t, service } }: LiveSnapshot,
  width: number,
  rows: readonly (readonly [name: string, key: ServiceSeries, unit: Unit])[],
): Line[] {
  const values = rows.map(([, key, unit]) => quantity(last(service[key]), unit));
  const nameWidth = 16;
  const valueWidth = Math.max(12, ...values.map((text) => text.length));
  const spark = width - nameWidth - valueWidth - 2;
  return rows.map(([name, key], i) => [
    span(name.padEnd(nameWidth), "name"),
    span(values[i]!.padStart(valueWidth), "strong"),
    span(spark < 10 ? "" : `  ${sparkline(t, service[key], spark, SPARK_SECONDS)}`),
  ]);
}

export function throughputLines(snapshot: LiveSnapshot, width: number): Line[] {
  return series(snapshot, width, [
    ["events received", "eventsPerSecond", "per second"],
    ["events stored", "storedPerSecond", "per second"],
    ["requests", "requestsPerSecond", "per second"],
    ["bytes a second", "bytesPerSecond", "bytes"],
    ["errors", "errorsPerSecond", "per second"],
  ]);
}

/** What an acknowledgement takes, and in which stage. */
export function stageLines(snapshot: LiveSnapshot, width: number): Line[] {
  return series(snapshot, width, [
    ["acknowledge p50", "acknowledgeP50", "seconds"],
    ["acknowledge p99", "acknowledgeP99", "seconds"],
    ["  admit p99", "admitP99", "seconds"],
    ["  queue p99", "queueP99", "seconds"],
    ["  produce p99", "produceP99", "seconds"],
  ]);
}

/** What is taken of a limit, as a bar. */
function gauge(taken: number | null, limit: number | null): Span[] {
  if (taken === null || limit === null || limit === 0) return [];
  const share = taken / limit;
  const style = share >= 0.9 ? "bad" : share >= 0.7 ? "warn" : "good";
  return [
    span(` of ${quantityOf(limit, "bytes")} [`),
    span(bar(share, 10), style),
    span(`] ${Math.round(share * 100)} %`),
  ];
}

export function queueLines({ history: { service: now }, service: { admittedBytesLimit } }: LiveSnapshot): Line[] {
  const admitted = last(now.admittedBytes);
  const waiting = last(now.admissionWaiting);
  return [
    [
      span("admitted        ", "name"),
      span(quantity(admitted, "bytes")),
      ...gauge(admitted, admittedBytesLimit),
      span("   batches waiting "),
      span(quantity(waiting, "count"), waiting === null || waiting === 0 ? "plain" : "bad"),
      span(`   events in flight ${quantity(last(now.eventsInFlight), "count")}`),
    ],
    [
      span("to Kafka        ", "name"),
      span(
        `queued ${quantity(last(now.kafkaQueuedBytes), "bytes")}   requests in flight ${quantity(last(now.kafkaInFlight), "count")}   retries ${quantity(last(now.kafkaRetriesPerSecond), "per second")}`,
      ),
    ],
    [
      span("clients         ", "name"),
      span(`connections ${quantity(last(now.connections), "count")}   streams ${quantity(last(now.streams), "count")}`),
    ],
  ];
}

export function spoolLines({
  history: { service: now },
  service: { spoolBytesLimit },
  ledgerSum,
}: LiveSnapshot): Line[] {
  const bytes = last(now.spoolBytes);
  const seconds = last(now.spoolAgeSeconds);
  const mismatches = last(now.ledgerMismatches) ?? 0;
  const agrees = ledgerSum.agrees && mismatches === 0;
  return [
    [
      span("spool           ", "name"),
      span(quantity(bytes, "bytes")),
      ...gauge(bytes, spoolBytesLimit),
      span(`   events ${quantity(last(now.spooledEvents), "count")}`),
      span(seconds === null || seconds === 0 ? "" : `, the oldest ${formatAge(seconds)} old`),
    ],
    [
      span("ledger          ", "name"),
      agrees ? span("agrees", "good") : span(`DOES NOT AGREE (${plural(mismatches, "mismatch", "mismatches")})`, "bad"),
      span(
        `   ${formatCount(ledgerSum.received)} received = ${formatCount(ledgerSum.stored)} stored + ${formatCount(ledgerSum.failed)} failed + ${formatCount(ledgerSum.inFlight)} in flight`,
      ),
    ],
  ];
}

export function incidentLines({ incidents }: LiveSnapshot): Line[] {
  if (incidents.length === 0) return [];
  return columns(
    ["incident", "what", "why"],
    incidents
      .slice(0, INCIDENTS_SHOWN)
      .map(({ atMs, title, why, state }) => [
        new Date(atMs).toISOString().slice(11, 19),
        span(`${printable(title)}${state === "recording" ? " (recording)" : ""}`, "warn"),
        printable(why),
      ]),
    Infinity,
  );
}
