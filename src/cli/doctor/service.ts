// A service that runs here: is it ready, what is wrong with it, and has its spool room? Its ledger is ledger.ts's.

import { AdminError, credentialsRemedy, isRefusal } from "../admin-error.ts";
import { AdminPort, type Answered } from "../admin-port.ts";
import type { AdminTarget } from "../admin-target.ts";
import { samples } from "../ledger.ts";
import { formatSize } from "../table.ts";
import { error, type Finding, named, ok, warning } from "./finding.ts";
import { ledgerFindings } from "./ledger.ts";

const TIMEOUT_MS = 3_000;
/** From this share of its limit on a spool is worth a warning: there is still time to do something. */
const NEARLY_FULL = 0.8;

export async function checkService(target: AdminTarget): Promise<Finding[]> {
  const subject = "service";
  if (target.address.port === 0) return [ok(subject, "not looked for, because ADMIN_LISTEN has port 0")];
  const port = new AdminPort(target);
  const address = port.where;
  let readiness: Answered;
  try {
    readiness = await port.ask("/readyz", { timeoutMs: TIMEOUT_MS });
  } catch (thrown) {
    if (!(thrown instanceof AdminError)) throw thrown;
    const { kind, why, remedy } = thrown;
    if (kind === "tls") return [warning(subject, `${address} cannot be asked: ${why}`, remedy)];
    if (kind !== "absent")
      return [
        warning(
          subject,
          `${address} does not answer: ${why}`,
          "look at the service's log, or set ADMIN_LISTEN to its admin port",
        ),
      ];
    return target.named === true
      ? [warning(subject, `nothing listens on ${address} (--admin)`, remedy)]
      : [ok(subject, `none runs here: nothing listens on ${address} (ADMIN_LISTEN)`)];
  }
  if (isRefusal(readiness.status)) {
    const { status, body } = readiness;
    return [warning(subject, `${address} does not let in (${status}): ${body.trim()}`, credentialsRemedy(target))];
  }
  const findings = readyFindings(address, readiness);
  const metrics = await port.ask("/metrics", { timeoutMs: TIMEOUT_MS }).catch(() => undefined);
  if (metrics?.status === 200)
    findings.push(...named("spool", spoolFindings(metrics.body)), ...named("ledger", ledgerFindings(metrics.body)));
  return findings;
}

function readyFindings(address: string, { status, body }: Answered): Finding[] {
  const remedy = "look at the service's log; the findings above may say why";
  const problems = problemsOf(body);
  // A service that can take events is ready, whatever else is wrong with it.
  if (status === 200)
    return [ok("service", `ready at ${address}`), ...problems.map((problem) => warning("service", problem, remedy))];
  const why = problems.length === 0 ? `${address}/readyz answers ${status}` : problems.join("; ");
  return [error("service", `not ready: ${why}`, remedy)];
}

/** What /readyz says is wrong, if it is ours. */
function problemsOf(body: string): string[] {
  try {
    const { problems = [] } = JSON.parse(body) as { problems?: { worker?: string; reason: string }[] };
    return problems.map(({ worker, reason }) => (worker === undefined ? reason : `worker ${worker}: ${reason}`));
  } catch {
    return [];
  }
}

/** A warning for each worker whose spool is full or will be soon. */
function spoolFindings(metrics: string): Finding[] {
  const bytes = new Map<string, number>();
  const limits = new Map<string, number>();
  for (const { name, labels, value } of samples(metrics)) {
    if (name === "sluice_spool_bytes") bytes.set(labels["worker"] ?? "", value);
    if (name === "sluice_spool_bytes_limit") limits.set(labels["worker"] ?? "", value);
  }
  return [...limits].flatMap(([worker, limit]) => {
    const taken = bytes.get(worker) ?? 0;
    if (taken < limit * NEARLY_FULL) return [];
    return warning(
      "spool",
      `worker ${worker}: ${formatSize(taken)} of ${formatSize(limit)} are taken; a full spool refuses PERSISTED batches`,
      "see that Kafka takes what is spooled (KAFKA_BROKERS, and the findings above), or raise SPOOL_BYTES_MAX",
    );
  });
}
