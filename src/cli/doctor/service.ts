// A service that runs here: is it ready, and what is wrong with it? Its ledger is ledger.ts's.

import { type Address, formatAddress } from "../../config.ts";
import { messageOf } from "../io.ts";
import { error, type Finding, ok, warning } from "./finding.ts";
import { ledgerFindings } from "./ledger.ts";

const TIMEOUT_MS = 3_000;

/** An address to connect to, of one to listen on. */
function reachable({ host, port }: Address): string {
  const anywhere = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return formatAddress({ host: anywhere, port });
}

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
  const findings = readyFindings(address, readiness);
  const metrics = await get("/metrics").catch(() => undefined);
  if (metrics?.status === 200) findings.push(...ledgerFindings(metrics.body));
  return findings;
}

function readyFindings(
  address: string,
  { status, body }: { readonly status: number; readonly body: string },
): Finding[] {
  const problems = problemsOf(body);
  const remedy = "look at the service's log; the findings above may say why";
  if (status !== 200)
    return [error("service", `not ready: ${problems ?? `${address}/readyz answers ${status}`}`, remedy)];
  const ready = ok("service", `ready at ${address}`);
  return problems === undefined || problems === "" ? [ready] : [ready, warning("service", problems, remedy)];
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
