// Limits: has the service the CPU, the memory and the file descriptors that its configuration counts on?
//
// Pure judgements: of a service that runs, by what its metrics say of its own control group; of one that does not, by the
// configuration and the limits of the doctor's own process, which are the same where both run in the same container.

import { OTHER_FILES } from "../../grpc-options.ts";
import { formatCount, formatSize, plural } from "../table.ts";
import { error, type Finding, ok, warning } from "./finding.ts";
import type { ServiceFacts, Throttling, WorkerFacts } from "./service-facts.ts";

/** What a service is, or will be, against what it may take. */
export interface Sizing {
  readonly workers: number;
  /** Cores of its host; undefined: they are not known. */
  readonly cores: number | undefined;
  /** Of its control group; Infinity: no limit. */
  readonly cpuLimitCores: number;
  /** Of its control group or its host; Infinity: none is known. */
  readonly memoryLimitBytes: number;
  /** ADMITTED_BYTES_MAX of all workers. */
  readonly admittedBytes: number;
}

/** Events lie in memory twice, as they came and as record batches. */
const COPIES = 2;
/** What a process takes before its first event. */
const PROCESS_BYTES = 80 * 1024 * 1024;
/** A share of descriptors from which on it is a matter of minutes. */
const NEARLY_ALL = 0.85;
/** From this share of throttled periods on, acknowledgements wait for the scheduler. */
const THROTTLED_MAX = 0.05;
/** Fewer say nothing. */
const PERIODS_MIN = 5;

export function judgeSizing(subject: string, sizing: Sizing): Finding[] {
  const { workers, cores, cpuLimitCores, memoryLimitBytes, admittedBytes } = sizing;
  const findings: Finding[] = [];
  const available = Math.min(cores ?? Infinity, cpuLimitCores);
  const what =
    cpuLimitCores <= (cores ?? Infinity)
      ? `a control group that may use ${coresText(cpuLimitCores)}`
      : coresText(available);
  if (workers > Math.max(1, Math.ceil(available)))
    findings.push({
      ...warning(
        subject,
        `${plural(workers, "worker")} on ${what}`,
        `set WORKERS to ${Math.max(1, Math.floor(available))}`,
      ),
      why: "workers that share a core take turns: acknowledgements get slower, and nothing gets faster",
      check: "workers-over-cores",
    });
  const needed = admittedBytes * COPIES + PROCESS_BYTES * (workers + 1);
  if (needed > memoryLimitBytes)
    findings.push({
      ...warning(
        subject,
        `memory is limited to ${formatSize(memoryLimitBytes)}, but ${plural(workers, "worker")} may take ${formatSize(needed)}: ${COPIES} × ADMITTED_BYTES_MAX (${formatSize(admittedBytes)} in all) and ${formatSize(PROCESS_BYTES)} a process`,
        "lower ADMITTED_BYTES_MAX or WORKERS, or raise the limit",
      ),
      why: "when Kafka gets slow the byte budget fills, and the kernel kills a process that goes over the limit",
      check: "memory-limit",
    });
  if (findings.length > 0) return findings;
  const memory =
    memoryLimitBytes === Infinity ? "no memory limit" : `${formatSize(needed)} of ${formatSize(memoryLimitBytes)}`;
  return [
    {
      ...ok(
        subject,
        `${plural(workers, "worker")} on ${available === Infinity ? "cores that are not known" : what}, ${memory}`,
      ),
      check: "sizing",
    },
  ];
}

/** @param connectionsMax GRPC_CONNECTIONS_MAX. */
export function judgeFiles(subject: string, workers: readonly WorkerFacts[], connectionsMax: number): Finding[] {
  const findings: Finding[] = [];
  const remedy = (files: number) =>
    `raise the limit to ${files} or more: \`ulimit -n\`, LimitNOFILE= of systemd, or --ulimit nofile of Docker`;
  const near = workers.filter(({ openFiles, openFilesMax }) => openFiles >= openFilesMax * NEARLY_ALL);
  if (near.length > 0)
    findings.push({
      ...error(
        subject,
        near
          .map(
            ({ worker, openFiles, openFilesMax }) =>
              `worker ${worker} has ${openFiles} of ${openFilesMax} file descriptors open`,
          )
          .join("; "),
        remedy(connectionsMax + OTHER_FILES),
      ),
      why: "without a free one a worker takes no connection, reaches no broker and opens no file of its spool",
      check: "open-files",
    });
  const low = workers.filter(({ openFilesMax }) => openFilesMax < connectionsMax + OTHER_FILES);
  if (low.length > 0) {
    const [{ openFilesMax }] = low as [WorkerFacts, ...WorkerFacts[]];
    const which =
      low.length === workers.length ? "each worker" : low.map(({ worker }) => `worker ${worker}`).join(", ");
    findings.push({
      ...warning(
        subject,
        `${which} may open ${openFilesMax} files: enough for ${formatCount(Math.max(1, openFilesMax - OTHER_FILES))} connections, and GRPC_CONNECTIONS_MAX is ${formatCount(connectionsMax)} (${formatCount(connectionsMax * workers.length)} over ${plural(workers.length, "worker")})`,
        `${remedy(connectionsMax + OTHER_FILES)}; or set GRPC_CONNECTIONS_MAX to what is meant`,
      ),
      why: "connections beyond that are closed with GOAWAY, long before the number that was configured",
      check: "open-files",
    });
  }
  if (findings.length > 0 || workers.length === 0) return findings;
  const least = Math.min(...workers.map(({ openFilesMax }) => openFilesMax));
  const limit = least === Infinity ? "no limit" : `${formatCount(least)} may be open in each worker`;
  return [{ ...ok(subject, `file descriptors: ${limit}`), check: "open-files" }];
}

export function judgeThrottling(subject: string, { throttling, elapsedMs, cpuLimitCores }: ServiceFacts): Finding[] {
  if (throttling === undefined) return [];
  const { all, look } = throttling;
  const check = "cpu-throttling";
  const isNow = isThrottled(look);
  if (!isNow && !isThrottled(all))
    return [{ ...ok(subject, `the control group was held back in ${percent(all)} of its periods`), check }];
  const limit = cpuLimitCores === Infinity ? "" : ` of ${coresText(cpuLimitCores)}`;
  const now = `${percent(look)} of the ${formatCount(look.periods)} of the last ${(elapsedMs / 1000).toFixed(1)} s`;
  return [
    {
      ...warning(
        subject,
        `its control group${limit} was held back in ${percent(all)} of ${formatCount(all.periods)} periods (${all.throttledSeconds.toFixed(1)} s), and in ${now}`,
        "raise the CPU limit or take it away, and set WORKERS to no more than the cores that it allows",
      ),
      why: "a process that is held back stands still for the rest of the period, up to 100 ms: the whole of it, acknowledgements too",
      check,
    },
  ];
}

const shareOf = ({ periods, throttledPeriods }: Throttling): number => (periods === 0 ? 0 : throttledPeriods / periods);
const isThrottled = (throttling: Throttling): boolean =>
  throttling.periods >= PERIODS_MIN && shareOf(throttling) >= THROTTLED_MAX;
const percent = (throttling: Throttling): string => `${(shareOf(throttling) * 100).toFixed(1)} %`;

/** `1 core`, `1.5 cores` */
function coresText(cores: number): string {
  const rounded = Math.round(cores * 100) / 100;
  return `${rounded} ${rounded === 1 ? "core" : "cores"}`;
}
