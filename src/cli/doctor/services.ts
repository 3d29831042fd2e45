// The services: one, or several pods that are compared. Of each: is it ready, do its books agree, has it what it needs; then
// whether its workers, and the pods, share the load.

import { availableParallelism } from "node:os";
import type { Config } from "../../config.ts";
import { Cgroup, hostMemoryBytes } from "../../telemetry/cgroup.ts";
import { reachable } from "../address.ts";
import { type AdminTarget, adminTarget, type AdminValues } from "../admin-target.ts";
import { CliError } from "../io.ts";
import { judgeBalances } from "./balance.ts";
import { judgeClock } from "./clock.ts";
import { mistakeFinding, type NamedFinding, named } from "./finding.ts";
import { judgeFiles, judgeSizing, judgeThrottling } from "./resources.ts";
import { lookAtService, type ServiceFacts } from "./service-facts.ts";
import { checkService } from "./service.ts";

/** Throws a CliError for a file that cannot be read. @param values with the addresses that --admin named. */
export function adminTargets(
  values: Omit<AdminValues, "admin"> & { readonly admin: readonly NonNullable<AdminValues["admin"]>[] },
  config: Config,
): AdminTarget[] {
  const addresses = values.admin.length === 0 ? [undefined] : values.admin;
  return addresses.map((admin) => adminTarget({ ...values, admin }, config));
}

/** @param read gives the targets, or throws a CliError. */
export function targetsOrFinding(read: () => AdminTarget[]): AdminTarget[] | NamedFinding {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof CliError) return { ...mistakeFinding("service", thrown.message), check: "service" };
    throw thrown;
  }
}

/** @param lookMs for how long load is watched. */
export async function checkServices(
  targets: readonly AdminTarget[],
  config: Config,
  lookMs: number,
  signal: AbortSignal,
): Promise<NamedFinding[]> {
  const looks = await Promise.all(
    targets.map(async (target) => {
      const [findings, facts] = await Promise.all([checkService(target), lookAtService(target, lookMs, signal)]);
      return { target, findings, facts };
    }),
  );
  const several = targets.length > 1;
  const found = looks.flatMap(({ target, findings, facts }) => {
    const own = [...named("service", findings), ...(facts === undefined ? [] : judge(facts, target, config))];
    return several ? own.map((each) => ({ ...each, subject: `${reachable(target.address)} ${each.subject}` })) : own;
  });
  const seen = looks.flatMap(({ target, facts }) =>
    facts === undefined ? [] : [{ subject: several ? `${reachable(target.address)} service` : "service", facts }],
  );
  if (seen.length === 0) found.push(...named("sizing", judgeSizing("host", planned(config))));
  return [...found, ...named("balance", judgeBalances(seen))];
}

/** What one service that answers has and needs. */
function judge(facts: ServiceFacts, { named: isElsewhere = false }: AdminTarget, config: Config): NamedFinding[] {
  const subject = "service";
  // Workers of something that is no sluice have no metrics of ours.
  if (facts.workers.length === 0) return [];
  // What is named may be this host all the same, or a tunnel to another one: the service knows.
  const here = isElsewhere ? undefined : { cores: availableParallelism(), memoryBytes: hostMemoryBytes() };
  const host = facts.host ?? here;
  const sizing = {
    workers: facts.workers.length,
    cores: host?.cores,
    cpuLimitCores: facts.cpuLimitCores,
    memoryLimitBytes: Math.min(facts.memoryLimitBytes, host?.memoryBytes ?? Infinity),
    admittedBytes: facts.workers.reduce((sum, { admittedBytesLimit }) => sum + admittedBytesLimit, 0),
  };
  return named("service", [
    ...judgeSizing(subject, sizing),
    ...judgeFiles(subject, facts.workers, config.grpcConnectionsMax),
    ...judgeThrottling(subject, facts),
    ...(facts.clock === undefined ? [] : [judgeClock(facts.clock, Infinity)]),
  ]);
}

/** The service that the configuration would make, here. */
function planned({ workers, admittedBytesMax }: Config) {
  const cgroup = new Cgroup();
  return {
    workers,
    cores: availableParallelism(),
    cpuLimitCores: cgroup.cpuLimitCores(),
    memoryLimitBytes: Math.min(cgroup.memoryLimitBytes(), hostMemoryBytes()),
    admittedBytes: workers * admittedBytesMax,
  };
}
