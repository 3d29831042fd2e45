// What became of everything that was sent, and how it is told.
//
// sent = stored + failed holds at the end: an event of a batch that was refused, or that has no answer, counts as failed
// with that reason. Records that were no events were never sent and are counted apart.

import { createHistogram } from "node:perf_hooks";
import { Durability, type PublishResponse, Reason, type SluiceError } from "../../client/index.ts";
import { formatCount, formatMs, formatSize, plural, table } from "../table.ts";

interface Failures {
  count: number;
  /** The first message, as an example. */
  readonly message: string;
}

/** The report as `--json` prints it. */
export interface Report {
  readonly topic: string;
  readonly durability: string;
  readonly batches: number;
  readonly bytes: number;
  readonly sent: number;
  readonly stored: number;
  readonly failed: number;
  readonly failures: Readonly<Record<string, { readonly count: number; readonly message: string }>>;
  /** Records that could not be read and were not sent. */
  readonly unreadable: number;
  readonly seconds: number;
  readonly eventsPerSecond: number;
  /** From the send of a batch to its answer, in milliseconds; null without answers. */
  readonly acknowledgementMs: { readonly p50: number; readonly p99: number } | null;
}

export class Tally {
  readonly #topic: string;
  readonly #latency = createHistogram();
  readonly #failures = new Map<string, Failures>();
  #durability: Durability = Durability.DURABILITY_UNSPECIFIED;
  #batches = 0;
  #bytes = 0;
  #sent = 0;
  #stored = 0;
  #unreadable = 0;
  readonly #startedAt = performance.now();

  constructor(topic: string) {
    this.#topic = topic;
  }

  /** Events sent so far. */
  get sent(): number {
    return this.#sent;
  }

  get failed(): number {
    return this.#sent - this.#stored;
  }

  get unreadable(): number {
    return this.#unreadable;
  }

  /** Events a second so far. */
  get rate(): number {
    return this.#sent / Math.max(0.001, (performance.now() - this.#startedAt) / 1000);
  }

  batchSent(events: number, bytes: number): void {
    this.#batches += 1;
    this.#sent += events;
    this.#bytes += bytes;
  }

  /** @param ms from the send of the batch to this answer. */
  batchAnswered(response: PublishResponse, ms: number): void {
    this.#latency.record(Math.max(1, Math.round(ms * 1000)));
    this.#stored += response.stored;
    this.#durability = response.durability;
    for (const { reason, message } of response.failures) this.#fail(reasonName(reason), message, 1);
  }

  batchFailed(error: SluiceError, events: number): void {
    const reason = error.outcome === "unknown" ? "unknown_outcome" : error.codeName.toLowerCase();
    this.#fail(reason, error.message, events);
  }

  recordUnreadable(): void {
    this.#unreadable += 1;
  }

  #fail(reason: string, message: string, count: number): void {
    const failures = this.#failures.get(reason);
    if (failures === undefined) this.#failures.set(reason, { count, message });
    else failures.count += count;
  }

  report(): Report {
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const quantile = (percentile: number) => this.#latency.percentile(percentile) / 1000;
    return {
      topic: this.#topic,
      durability: this.#durability === Durability.DURABILITY_UNSPECIFIED ? "" : Durability[this.#durability],
      batches: this.#batches,
      bytes: this.#bytes,
      sent: this.#sent,
      stored: this.#stored,
      failed: this.failed,
      failures: Object.fromEntries(this.#failures),
      unreadable: this.#unreadable,
      seconds: Number(seconds.toFixed(3)),
      eventsPerSecond: Math.round(this.#sent / seconds),
      acknowledgementMs: this.#latency.count === 0 ? null : { p50: quantile(50), p99: quantile(99) },
    };
  }
}

/** `unknown_topic` of REASON_UNKNOWN_TOPIC, and of what a newer service may say, its number. */
function reasonName(reason: Reason): string {
  return Reason[reason]?.toLowerCase() ?? `reason ${reason}`;
}

/** The report as a table. */
export function reportLines(report: Report): string[] {
  const { acknowledgementMs: latency, failed, unreadable, failures } = report;
  const rows = [
    ["topic", report.topic],
    [
      "sent",
      `${plural(report.sent, "event")} in ${plural(report.batches, "batch", "batches")}, ${formatSize(report.bytes)}`,
    ],
    ["stored", `${formatCount(report.stored)}${report.durability === "" ? "" : ` (${report.durability})`}`],
    ["failed", formatCount(failed)],
    ...Object.entries(failures).map(([reason, { count, message }]) => [
      "",
      `${formatCount(count)} ${reason}: ${message}`,
    ]),
    ...(unreadable === 0 ? [] : [["not sent", `${plural(unreadable, "record")} that could not be read`]]),
    ["rate", `${formatCount(report.eventsPerSecond)} events/s over ${formatMs(report.seconds * 1000)}`],
    [
      "acknowledged",
      latency === null
        ? "nothing"
        : `p50 ${formatMs(latency.p50)}, p99 ${formatMs(latency.p99)} after a batch was sent`,
    ],
  ];
  return table(rows, "  ");
}
