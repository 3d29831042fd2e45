// The tables of the page: the same rows whether the server writes them or the script does.

import { html, type Html } from "../../pages/html.ts";
import { processName } from "../../pages/process-name.ts";
import { quantityOf, type Unit, utc } from "../../pages/units.ts";
import type { BrokerSeries, LiveLedger, LiveSnapshot, ProcessSeries } from "../model.ts";
import { isUneven, last, shown } from "./numbers.ts";

type Cell = string | Html;

/** The first column names the row; the others are numbers, aligned to the right, but for those in `text`. */
function table(caption: string, headings: readonly string[], rows: readonly (readonly Cell[])[], text: number[] = []) {
  const kind = (i: number) => (text.includes(i) ? "" : "n");
  return html`<table>
    <caption class="hidden">
      ${caption}
    </caption>
    <thead>
      <tr>
        ${headings.map((heading, i) => html`<th scope="col" class="${i === 0 ? "" : kind(i)}">${heading}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (cells) =>
          html`<tr>
            ${cells.map((cell, i) => (i === 0 ? html`<th scope="row">${cell}</th>` : html`<td class="${kind(i)}">${cell}</td>`))}
          </tr> `,
      )}
    </tbody>
  </table>`;
}

function leftOut(count: number, what: string): Html | undefined {
  return count > 0 ? html`<p class="soft">and ${quantityOf(count, "count")} more ${what}</p>` : undefined;
}

const nothing = (text: string) => html`<p class="soft">${text}</p>`;

const BAR_MAX = 3;

/** A share of the load as a bar, whose middle line is the mean. */
function loadBar(load: number | null, eventsPerSecond: number): Html {
  if (load === null) return html`–`;
  const width = (Math.min(load, BAR_MAX) / BAR_MAX) * 60;
  const uneven = isUneven(load, eventsPerSecond);
  return html`<svg class="load${uneven ? " uneven" : ""}" viewBox="0 0 60 10" aria-hidden="true">
      <rect class="rail" width="60" height="10" />
      <rect class="share" width="${width.toFixed(1)}" height="10" />
      <line x1="20" x2="20" y1="0" y2="10" /></svg
    >${load.toFixed(2)}`;
}

export function workerTable({ processes, history }: LiveSnapshot): Html {
  const events = last(history.service.eventsPerSecond) ?? 0;
  const rows = processes.map(({ name, up, pid }) => {
    const now = (series: ProcessSeries) => last(history.processes[name]?.[series]);
    const of = (series: ProcessSeries, unit: Unit) => shown(now(series), unit);
    const state = up ? html`<span class="badge good">up</span>` : html`<span class="badge bad">down</span>`;
    const isWorker = history.processes[name] !== undefined && /^\d+$/.test(name);
    return [
      processName(name),
      state,
      pid === null ? "–" : String(pid),
      ...(isWorker ? [loadBar(now("load"), events), of("eventsPerSecond", "per second")] : ["", ""]),
      of("cpu", "cores"),
      of("eventLoopDelayMax", "seconds"),
      of("rssBytes", "bytes"),
      of("heapBytes", "bytes"),
      ...(isWorker
        ? [of("acknowledgedP99", "seconds"), of("connections", "count"), of("streams", "count")]
        : ["", "", ""]),
    ];
  });
  const headings = ["process", "state", "pid", "load", "events", "CPU", "loop delay", "memory", "heap", "p99"];
  return table("Workers and the supervisor, now", [...headings, "connections", "streams"], rows, [1]);
}

export function brokerTable({ brokers, brokersLeftOut, history, service }: LiveSnapshot): Html {
  if (brokers.length === 0)
    return nothing(
      service.bootstrap.length === 0
        ? "No brokers are set (KAFKA_BROKERS): events are kept in the spool."
        : `Nothing was produced to a broker yet; known are ${service.bootstrap.join(", ")}.`,
    );
  const rows = brokers.map(({ name, connections }) => {
    const of = (series: BrokerSeries, unit: Unit) => shown(last(history.brokers[name]?.[series]), unit);
    return [
      name,
      String(connections),
      of("requestsPerSecond", "per second"),
      of("requestP50", "seconds"),
      of("requestP99", "seconds"),
      of("inFlight", "count"),
      of("queuedBytes", "bytes"),
      last(history.brokers[name]?.sentBytesPerSecond) === null ? "–" : `${of("sentBytesPerSecond", "bytes")}/s`,
      of("errorsPerSecond", "per second"),
    ];
  });
  const headings = ["broker", "connections", "requests", "p50", "p99", "in flight", "queued", "sent", "errors"];
  return html`${table("Kafka brokers, now", headings, rows)} ${leftOut(brokersLeftOut, "brokers")}`;
}

const PARTITION_ROWS = 15;

export function partitionTable({ partitions, partitionsLeftOut }: LiveSnapshot): Html {
  if (partitions.length === 0) return nothing("No partition had a record batch yet.");
  const rows = partitions.slice(0, PARTITION_ROWS).map((each) => {
    const { topic, partition, broker, queuedBytes, queuedBatches, inFlight, retries, problem } = each;
    return [
      problem === null ? `${topic}/${partition}` : html`${topic}/${partition} <span class="bad">${problem}</span>`,
      broker ?? "–",
      quantityOf(queuedBytes, "bytes"),
      quantityOf(queuedBatches, "count"),
      quantityOf(inFlight, "count"),
      quantityOf(retries, "count"),
    ];
  });
  const headings = ["partition", "leader", "queued", "batches", "in flight", "sent again"];
  return html`${table("Partitions with the most to do", headings, rows, [1])}
  ${leftOut(partitionsLeftOut + partitions.length - rows.length, "partitions")}`;
}

export function callerTable({ callers, callersLeftOut }: LiveSnapshot): Html {
  if (callers.length === 0) return nothing("Nobody is connected.");
  const rows = callers.map(({ address, identity, connections, streams, workers, oldestSeconds, unsentBytes }) => [
    identity === null ? address : `${identity} (${address})`,
    quantityOf(connections, "count"),
    quantityOf(streams, "count"),
    workers.join(", "),
    quantityOf(oldestSeconds, "seconds"),
    quantityOf(unsentBytes, "bytes"),
  ]);
  const headings = ["caller", "connections", "streams", "at workers", "oldest", "answers not taken"];
  return html`${table("Callers", headings, rows)} ${leftOut(callersLeftOut, "callers")}`;
}

const TERMS: readonly (readonly [term: keyof LiveLedger, heading: string])[] = [
  ["received", "received"],
  ["stored", "stored"],
  ["failed", "failed"],
  ["inFlight", "in flight"],
  ["persisted", "persisted"],
  ["recovered", "recovered"],
  ["forwarded", "forwarded"],
  ["deadLettered", "dead-lettered"],
  ["spooled", "spooled"],
];

export function ledgerTable({ ledger, ledgerSum, ledgerLeftOut }: LiveSnapshot): Html {
  const row = (each: LiveLedger) => [
    each.topic,
    ...TERMS.map(([term]) => Number(each[term]).toLocaleString("en-US")),
    each.agrees ? html`<span class="good">agrees</span>` : html`<span class="bad">does not agree</span>`,
  ];
  const rows = [...ledger.map(row), row(ledgerSum)];
  const headings = ["topic", ...TERMS.map(([, heading]) => heading), "books"];
  return html`${table("The ledger, in events", headings, rows, [headings.length - 1])}
  ${leftOut(ledgerLeftOut, "topics")}`;
}

export function incidentTable({ incidents }: LiveSnapshot): Html {
  if (incidents.length === 0) return nothing("None in the last fifteen minutes.");
  const rows = incidents.map(({ id, atMs, title, why, state }) => [
    html`<a href="/debug/incidents/${id}">${title}</a>
      ${state === "recording" ? html`<span class="badge warn">still recording</span>` : undefined}`,
    html`<time datetime="${new Date(atMs).toISOString()}">${utc(atMs).slice(11)}</time>`,
    why,
  ]);
  return table("Incidents of the last fifteen minutes", ["what", "when", "why"], rows, [1, 2]);
}
