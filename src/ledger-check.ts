// A worker's look at its own books, once a second: do the ledger's equations hold, and is what they call in flight and
// spooled really there?
//
// The equations alone would miss a mistake that is made on both sides: a settlement that counts one outcome twice lowers
// `in_flight` as well. So what is on its way is compared with those that hold it:
//
//   in_flight = records in record batches without an outcome      for each topic (pipeline)
//   in_flight = events that unanswered batches wait for           in sum (pipeline)
//   spooled   = events of batches that are open in the lanes      for each topic (spool)
//
// Invariants: a check runs within one turn of the event loop, so it never sees half of a change; it costs a few numbers for
// each topic-partition, nothing for each event.

import type { Clock, Timer } from "./clock.ts";
import type { Pipeline } from "./ingest/pipeline.ts";
import type { Backlog } from "./spool/backlog.ts";
import { compare, ledgersByTopic, type Ledger, mismatches } from "./telemetry/ledger.ts";
import { ALL_TOPICS, type Finding, ledgerProblem, LedgerWatch } from "./telemetry/ledger-watch.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

const INTERVAL_MS = 1_000;

export interface LedgerCheckDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly pipeline: Pick<Pipeline, "heldEvents" | "unansweredEvents">;
  readonly backlogs: Pick<Backlog, "events">;
}

export class LedgerCheck {
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #pipeline: LedgerCheckDependencies["pipeline"];
  readonly #backlogs: LedgerCheckDependencies["backlogs"];
  readonly #worker: string;
  readonly #watch: LedgerWatch;
  #timer: Timer | undefined;

  constructor({ log, metrics, clock, pipeline, backlogs }: LedgerCheckDependencies, worker: string) {
    this.#clock = clock;
    this.#metrics = metrics;
    this.#pipeline = pipeline;
    this.#backlogs = backlogs;
    this.#worker = worker;
    this.#watch = new LedgerWatch(log, metrics);
  }

  /** Checks now, and once a second until `stop`. */
  start(): void {
    this.check();
    this.#timer = this.#clock.setTimeout(() => this.start(), INTERVAL_MS);
    this.#timer.unref?.();
  }

  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
  }

  check(): void {
    this.#watch.checked(this.findings());
  }

  /** What did not agree at the last check; one sentence each. */
  get problems(): string[] {
    return this.#watch.findings.map(ledgerProblem);
  }

  /** What does not agree now. */
  findings(): Finding[] {
    const { eventsReceived, eventsStored, eventsFailed, eventsInFlight } = this.#metrics;
    const { eventsRecovered, eventsForwarded, eventsDeadLettered, eventsSpooled } = this.#metrics;
    const arrivals = [eventsReceived, eventsStored, eventsFailed, eventsInFlight];
    const departures = [eventsRecovered, eventsForwarded, eventsDeadLettered, eventsSpooled];
    const ledgers = ledgersByTopic([...arrivals, ...departures].map((family) => family.snapshot()));
    const held = this.#byLabel(this.#pipeline.heldEvents());
    const open = this.#byLabel(this.#backlogs.events());
    const findings: Finding[] = [];
    for (const [topic, ledger] of ledgers) {
      const wrong = [...mismatches(ledger), ...this.#againstHolders(ledger, held.get(topic), open.get(topic))];
      for (const mismatch of wrong) findings.push({ ...mismatch, topic, worker: this.#worker });
    }
    for (const mismatch of this.#againstBatches(ledgers.values()))
      findings.push({ ...mismatch, topic: ALL_TOPICS, worker: this.#worker });
    return findings;
  }

  /** Topics beyond a limit are counted together, and so have to be what is held of them. */
  #byLabel(events: ReadonlyMap<string, number>): Map<string, number> {
    const sums = new Map<string, number>();
    for (const [topic, count] of events) {
      const [label = topic] = this.#metrics.eventsInFlight.labelsOf([topic]);
      sums.set(label, (sums.get(label) ?? 0) + count);
    }
    return sums;
  }

  #againstHolders({ inFlight, spooled }: Ledger, held = 0, open = 0) {
    return [
      ...compare(
        "in_flight = records held",
        inFlight,
        held,
        `in flight ${inFlight} is not the ${held} records that record batches hold without an outcome`,
      ),
      ...compare(
        "spooled = open in the lanes",
        spooled,
        open,
        `spooled ${spooled} is not the ${open} events that lie open in the spool`,
      ),
    ];
  }

  #againstBatches(ledgers: Iterable<Ledger>) {
    let inFlight = 0;
    for (const ledger of ledgers) inFlight += ledger.inFlight;
    const unanswered = this.#pipeline.unansweredEvents;
    return compare(
      "in_flight = unanswered",
      inFlight,
      unanswered,
      `in flight ${inFlight} is not the ${unanswered} events that batches without an answer wait for`,
    );
  }
}
