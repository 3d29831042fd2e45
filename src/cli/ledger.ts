// The ledger as /metrics shows it: of a topic, of a worker, or in sum (src/telemetry/ledger.ts says what it is).

import { addSeries, emptyLedger, type Ledger, mismatches } from "../telemetry/ledger.ts";

export type { Ledger };

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

//   sample := name [ "{" label { "," label } "}" ] " " value ; label := name "=" quoted
const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Every sample of a page of /metrics. */
export function* samples(metrics: string): Generator<Sample> {
  for (const line of metrics.split("\n")) {
    const match = SAMPLE.exec(line);
    if (match === null) continue;
    const labels = Object.fromEntries(Array.from((match[2] ?? "").matchAll(LABEL), ([, name, value]) => [name, value]));
    yield { name: match[1]!, labels, value: Number(match[3]) };
  }
}

/** The ledger of one topic in one worker. */
export interface LedgerRow {
  readonly topic: string;
  readonly worker: string;
  readonly ledger: Ledger;
}

/** Sorted by topic, then by worker. */
export function readLedgerRows(metrics: string): LedgerRow[] {
  const rows = new Map<string, LedgerRow>();
  for (const { name, labels, value } of samples(metrics)) {
    const { topic, worker = "", durability } = labels;
    if (topic === undefined || !name.startsWith("sluice_events_")) continue;
    const key = `${topic}\0${worker}`;
    let row = rows.get(key);
    if (row === undefined) rows.set(key, (row = { topic, worker, ledger: emptyLedger() }));
    addSeries(row.ledger, name, durability, value);
  }
  const keys = [...rows.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  return keys.map((key) => rows.get(key)!);
}

/** The sums over all workers, of one topic or of all. */
export function readLedger(metrics: string, topic?: string): Ledger {
  const ledger = emptyLedger();
  for (const { name, labels, value } of samples(metrics)) {
    if (topic === undefined || labels["topic"] === topic) addSeries(ledger, name, labels["durability"], value);
  }
  return ledger;
}

/** The processes that find mismatches themselves, and how many. */
export function readMismatches(metrics: string): { readonly process: string; readonly mismatches: number }[] {
  return Array.from(samples(metrics))
    .filter(({ name, value }) => name === "sluice_ledger_mismatches" && value > 0)
    .map(({ labels: { worker = "" }, value }) => ({
      process: worker === "supervisor" ? "the supervisor" : `worker ${worker}`,
      mismatches: value,
    }));
}

/** The equations that do not hold, each as a sentence; empty: the ledger agrees. */
export function ledgerMistakes(ledger: Ledger): string[] {
  return mismatches(ledger).map(({ sentence }) => sentence);
}
