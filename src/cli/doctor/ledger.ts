// The ledger of a service that runs here: of each topic in each worker, of each topic, and in sum.
//
// The sums are made again from the scrape. What the service finds when it compares its books with what it holds cannot be
// seen there, so its own verdict is asked for as well.

import { type Ledger, ledgerMistakes, type LedgerRow, readLedger, readLedgerRows, readMismatches } from "../ledger.ts";
import { formatCount, plural } from "../table.ts";
import { error, type Finding, ok } from "./finding.ts";

const REMEDY = "keep the logs and the data, and report it: events may be lost";

/** @param metrics the text of /metrics. */
export function ledgerFindings(metrics: string): Finding[] {
  const rows = readLedgerRows(metrics);
  const topics = [...new Set(rows.map(({ topic }) => topic))];
  return [
    ...topics.flatMap((topic) => [
      ...workerFindings(rows.filter((row) => row.topic === topic)),
      ledgerFinding(`ledger of ${topic}`, readLedger(metrics, topic)),
    ]),
    ledgerFinding("ledger", readLedger(metrics)),
    ...readMismatches(metrics).map(({ process, mismatches }) =>
      error("ledger", `${process} finds ${plural(mismatches, "mismatch", "mismatches")} in its books`, REMEDY),
    ),
  ];
}

/** Of one topic; nothing for a single worker, whose ledger is the sum. */
function workerFindings(rows: readonly LedgerRow[]): Finding[] {
  if (rows.length < 2) return [];
  return rows.map(({ topic, worker, ledger }) => ledgerFinding(`ledger of ${topic}, worker ${worker}`, ledger));
}

function ledgerFinding(subject: string, ledger: Ledger): Finding {
  const mistakes = ledgerMistakes(ledger);
  if (mistakes.length > 0) return error(subject, mistakes.join("; "), REMEDY);
  const { received, stored, failed, inFlight, persisted, recovered, forwarded, deadLettered, spooled } = ledger;
  const left = `${formatCount(received)} received = ${formatCount(stored)} stored + ${formatCount(failed)} failed + ${formatCount(inFlight)} in flight`;
  const right = `${formatCount(persisted)} persisted + ${formatCount(recovered)} recovered = ${formatCount(forwarded)} forwarded + ${formatCount(deadLettered)} dead-lettered + ${formatCount(spooled)} spooled`;
  return ok(subject, `agrees: ${left}; ${right}`);
}
