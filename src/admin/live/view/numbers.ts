// The numbers at the top of the page: what they are called, and how they read now. The server writes them into the page, and
// the script keeps them up to date.

import { html, type Html } from "../../pages/html.ts";
import { quantityOf, type Unit } from "../../pages/units.ts";
import type { LiveSnapshot, ServiceSeries, Values } from "../model.ts";

export interface KeyNumber {
  readonly id: string;
  readonly label: string;
  readonly text: string;
  /** What stands below it, smaller. */
  readonly note: string;
  /** Whether it asks for attention. */
  readonly bad: boolean;
}

/** From this share over the mean on, load is uneven. */
const UNEVEN = 1.5;
/** Below this it is chance. */
const EVENTS_MIN = 10;

/** Whether load lies so unevenly that it is worth a word. @param load the largest share of a worker over the mean. */
export function isUneven(load: number, eventsPerSecond: number): boolean {
  return load >= UNEVEN && eventsPerSecond >= EVENTS_MIN;
}

/** The last value; null: not known. */
export function last(values: Values | undefined): number | null {
  return values?.at(-1) ?? null;
}

/** A value as it is shown, or a dash. */
export function shown(value: number | null, unit: Unit): string {
  return value === null ? "–" : quantityOf(value, unit);
}

export function keyNumbers({ history, service }: LiveSnapshot): KeyNumber[] {
  const now = (series: ServiceSeries) => last(history.service[series]);
  const of = (series: ServiceSeries, unit: Unit) => shown(now(series), unit);
  const budget = service.admittedBytesLimit;
  const waiting = now("admissionWaiting") ?? 0;
  const spoolAge = now("spoolAgeSeconds") ?? 0;
  return [
    {
      id: "events",
      label: "Events",
      text: of("eventsPerSecond", "per second"),
      note: of("bytesPerSecond", "bytes") === "–" ? "" : `${of("bytesPerSecond", "bytes")}/s`,
      bad: false,
    },
    { id: "requests", label: "Batches", text: of("requestsPerSecond", "per second"), note: "answered", bad: false },
    {
      id: "errors",
      label: "Errors",
      text: of("errorsPerSecond", "per second"),
      note: "failed, refused",
      bad: (now("errorsPerSecond") ?? 0) > 0,
    },
    { id: "p50", label: "Answer p50", text: of("acknowledgeP50", "seconds"), note: "of 5 seconds", bad: false },
    { id: "p99", label: "Answer p99", text: of("acknowledgeP99", "seconds"), note: "of 5 seconds", bad: false },
    {
      id: "flight",
      label: "In flight",
      text: of("eventsInFlight", "count"),
      note: waiting > 0 ? `${quantityOf(waiting, "count")} batches wait` : "events",
      bad: waiting > 0,
    },
    {
      id: "admitted",
      label: "Admitted",
      text: of("admittedBytes", "bytes"),
      note: budget === null ? "" : `of ${quantityOf(budget, "bytes")}`,
      bad: false,
    },
    {
      id: "queued",
      label: "Kafka queue",
      text: of("kafkaQueuedBytes", "bytes"),
      note: service.bootstrap.length === 0 ? "no brokers set" : `${of("kafkaInFlight", "count")} in flight`,
      bad: false,
    },
    {
      id: "spool",
      label: "Spool",
      text: of("spoolBytes", "bytes"),
      note: spoolAge > 0 ? `oldest ${quantityOf(spoolAge, "seconds")}` : `${of("spooledEvents", "count")} events`,
      bad: false,
    },
    {
      id: "connections",
      label: "Connections",
      text: of("connections", "count"),
      note: `${of("streams", "count")} streams`,
      bad: false,
    },
  ];
}

/** The numbers as markup, each to be found by its id. */
export function numberTiles(snapshot: LiveSnapshot): Html {
  return html`${keyNumbers(snapshot).map(
    ({ id, label, text, note, bad }) =>
      html`<div class="tile${bad ? " bad" : ""}" id="tile-${id}">
        <dt>${label}</dt>
        <dd><span class="value">${text}</span><span class="note">${note}</span></dd>
      </div> `,
  )}`;
}
