// What the service can tell when something happens to it: binds an incident's recorder to the processes.

import { readFileSync } from "node:fs";
import { release } from "node:os";
import { type Config, redacted } from "../config.ts";
import type { IncidentSources } from "../incidents/sources.ts";
import { collectProfile, type ProfileSource } from "../profiling/collect.ts";
import { type Ledger, mismatches } from "../telemetry/ledger.ts";

const VERSION = (
  JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { readonly version: string }
).version;

/** The part of the supervisor that is asked. */
export interface Observed {
  readonly config: Config;
  sources(): readonly ProfileSource[];
  ledger(): ReadonlyMap<string, Ledger>;
}

export function incidentSources(observed: Observed): IncidentSources {
  return {
    cpuProfile: async () => {
      throw new Error("nothing is recorded");
    },
    heapProfile: async (worker) =>
      await collectProfile(
        observed.sources().filter(({ name }) => worker === undefined || name === worker),
        { kind: "heap" },
      ),
    inspect: async () => ({}),
    history: () => ({}),
    logLines: () => [],
    ledger: () =>
      Object.fromEntries(
        [...observed.ledger()].map(([topic, ledger]) => [topic, { ...ledger, mismatches: mismatches(ledger) }]),
      ),
    versions: () => ({
      sluice: VERSION,
      ...process.versions,
      platform: process.platform,
      arch: process.arch,
      kernel: release(),
    }),
    config: () => redacted(observed.config),
  };
}
