// The ledger, read from /metrics: every event that was received is stored, failed or on its way.
//
//   received  = stored + failed + in_flight
//   persisted + recovered = forwarded + dead_lettered + spooled        (recovered: what an earlier run left in the spool)
//
// A worker's metrics are one snapshot, so the sums hold at every moment and not just when everything is quiet.

export interface Ledger {
  readonly received: number;
  readonly stored: number;
  readonly failed: number;
  readonly inFlight: number;
  /** Of the stored ones, those acknowledged from the disk. */
  readonly persisted: number;
  /** What the service found in its spool when it started. */
  readonly recovered: number;
  readonly forwarded: number;
  readonly deadLettered: number;
  readonly spooled: number;
}

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

//   sample := name [ "{" label { "," label } "}" ] " " value ; label := name "=" quoted
const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** The samples of a scrape. */
export function* samples(metrics: string): Generator<Sample> {
  for (const line of metrics.split("\n")) {
    const match = SAMPLE.exec(line);
    if (match === null) continue;
    const labels = Object.fromEntries(Array.from((match[2] ?? "").matchAll(LABEL), ([, name, value]) => [name, value]));
    yield { name: match[1]!, labels, value: Number(match[3]) };
  }
}

/** The sums over all workers, of one topic or of all. */
export function readLedger(metrics: string, topic?: string): Ledger {
  const sums = new Map<string, number>();
  for (const { name, labels, value } of samples(metrics)) {
    if (topic !== undefined && labels["topic"] !== topic) continue;
    const durability = labels["durability"] === undefined ? "" : `:${labels["durability"].toLowerCase()}`;
    sums.set(name + durability, (sums.get(name + durability) ?? 0) + value);
  }
  const sum = (name: string) => sums.get(`sluice_events_${name}`) ?? 0;
  const persisted = sum("stored_total:persisted");
  return {
    received: sum("received_total"),
    stored: persisted + sum("stored_total:replicated"),
    failed: sum("failed_total"),
    inFlight: sum("in_flight"),
    persisted,
    recovered: sum("recovered"),
    forwarded: sum("forwarded_total"),
    deadLettered: sum("dead_lettered_total"),
    spooled: sum("spooled"),
  };
}

/** The equations that do not hold, each as a sentence; empty: the ledger agrees. */
export function ledgerMistakes(ledger: Ledger): string[] {
  const { received, stored, failed, inFlight, persisted, recovered, forwarded, deadLettered, spooled } = ledger;
  const mistakes: string[] = [];
  if (received !== stored + failed + inFlight)
    mistakes.push(`received ${received} is not stored ${stored} + failed ${failed} + in flight ${inFlight}`);
  if (persisted + recovered !== forwarded + deadLettered + spooled)
    mistakes.push(
      `persisted ${persisted} + recovered ${recovered} is not forwarded ${forwarded} + dead-lettered ${deadLettered} + spooled ${spooled}`,
    );
  return mistakes;
}
