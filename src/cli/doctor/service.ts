// A service that runs here: is it ready, and does its ledger agree?

import type { Address } from "../../config.ts";
import { messageOf } from "../io.ts";
import { reachable } from "../address.ts";
import { ledgerMistakes, readLedger } from "../ledger.ts";
import { formatCount } from "../table.ts";
import { error, type Finding, ok, warning } from "./finding.ts";

const TIMEOUT_MS = 3_000;

export async function checkService(adminListen: Address): Promise<Finding[]> {
  const subject = "service";
  if (adminListen.port === 0) return [ok(subject, "not looked for, because ADMIN_LISTEN has port 0")];
  const address = reachable(adminListen);
  const get = async (path: string) => {
    const response = await fetch(`http://${address}${path}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return { status: response.status, body: await response.text() };
  };
  let readiness: Awaited<ReturnType<typeof get>>;
  try {
    readiness = await get("/readyz");
  } catch (thrown) {
    const cause = thrown instanceof Error ? thrown.cause : undefined;
    if ((cause as NodeJS.ErrnoException | undefined)?.code === "ECONNREFUSED")
      return [ok(subject, `none runs here: nothing listens on ${address} (ADMIN_LISTEN)`)];
    return [
      warning(
        subject,
        `${address} does not answer: ${messageOf(cause ?? thrown)}`,
        "look at the service's log, or set ADMIN_LISTEN to its admin port",
      ),
    ];
  }
  const findings = [readyFinding(address, readiness)];
  const metrics = await get("/metrics").catch(() => undefined);
  if (metrics?.status === 200) findings.push(ledgerFinding(metrics.body));
  return findings;
}

function readyFinding(address: string, { status, body }: { readonly status: number; readonly body: string }): Finding {
  if (status === 200) return ok("service", `ready at ${address}`);
  return error(
    "service",
    `not ready: ${problemsOf(body) ?? `${address}/readyz answers ${status}`}`,
    "look at the service's log; the findings above may say why",
  );
}

/** What /readyz says is wrong, if it is ours. */
function problemsOf(body: string): string | undefined {
  try {
    const { problems } = JSON.parse(body) as { problems?: { worker?: string; reason?: string }[] };
    return problems
      ?.map(({ worker, reason }) => (worker === undefined ? reason : `worker ${worker}: ${reason}`))
      .join("; ");
  } catch {
    return undefined;
  }
}

function ledgerFinding(metrics: string): Finding {
  const ledger = readLedger(metrics);
  const mistakes = ledgerMistakes(ledger);
  if (mistakes.length > 0)
    return error("ledger", mistakes.join("; "), "keep the logs and the data, and report it: events may be lost");
  const { received, stored, failed, inFlight, spooled } = ledger;
  const counts = [
    `${formatCount(received)} received`,
    `${formatCount(stored)} stored`,
    `${formatCount(failed)} failed`,
    `${formatCount(inFlight)} in flight`,
    `${formatCount(spooled)} in the spool`,
  ];
  return ok("ledger", `agrees: ${counts.join(", ")}`);
}
