// What the service can tell when something happens to it: binds an incident's recorder to the processes.

import { release } from "node:os";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Profile } from "pprof-format";
import { type Config, redacted } from "../config.ts";
import type { Clock } from "../clock.ts";
import type { IncidentSources } from "../incidents/sources.ts";
import type { History } from "../telemetry/history.ts";
import { readHistory } from "../telemetry/history-file.ts";
import type { ProfileCollector } from "../profiling/collect.ts";
import { workerProcess } from "../profiling/slice.ts";
import { profilesDirectory } from "../profiling/slice-files.ts";
import { profileOf } from "../profiling/window.ts";
import { type Ledger, mismatches } from "../telemetry/ledger.ts";
import type { Inspected, Question } from "./inspection.ts";
import { SUPERVISOR, VERSION } from "./metrics.ts";
import { historyDirectory } from "./timeline.ts";

/** A window that ends this little ago, in milliseconds, ends now: the processes are asked for their last slice. */
const NOW_MS = 5_000;
/** How far back the last heap profile of a process that is gone is looked for. */
const HEAP_AGE_MAX_MS = 15 * 60_000;

/** The part of the supervisor that is asked. */
export interface Observed {
  readonly config: Config;
  readonly profiles: ProfileCollector;
  readonly clock: Clock;
  readonly history: History;
  readonly inspect: (question: Question) => Promise<readonly Inspected<Question>[]>;
  readonly logLines: () => readonly string[];
  readonly ledger: () => ReadonlyMap<string, Ledger>;
}

const TIME = /"time":"([^"]*)"/;

const gzipAsync = promisify(gzip);
const encoded = async (profile: Promise<Profile>): Promise<Uint8Array> => await gzipAsync((await profile).encode());

export function incidentSources(observed: Observed): IncidentSources {
  const { config, profiles, history, clock, ledger, inspect, logLines } = observed;
  const dir = profilesDirectory(config.dataDir);
  const startedMs = clock.now();
  return {
    cpuProfile: async (fromMs, toMs) => {
      const nowMs = clock.now();
      if (nowMs - toMs > NOW_MS) return await encoded(profileOf({ dir, kind: "cpu", fromMs, toMs }));
      return await encoded(profiles.take({ kind: "cpu", past: (nowMs - fromMs) / 1000 }));
    },
    heapProfile: async (worker) => await encoded(profiles.take({ kind: "heap", worker })),
    pastHeapProfile: async (worker, toMs) => {
      // A supervisor that died took its workers along.
      const process = worker === undefined || worker === SUPERVISOR ? undefined : workerProcess(worker);
      return await encoded(profileOf({ dir, kind: "heap", fromMs: toMs - HEAP_AGE_MAX_MS, toMs, process }));
    },
    inspect: async (question) =>
      Object.fromEntries(
        (await inspect(question)).map(({ worker, value, reason, earlier }) => {
          const answer = value ?? { problem: reason };
          return [worker, earlier === undefined ? answer : Object.assign({}, answer, { earlier })];
        }),
      ),
    history: async (fromMs, toMs) =>
      // Of a time before this process there is only what is on disk.
      toMs >= startedMs
        ? history.range(fromMs, toMs)
        : await readHistory(historyDirectory(config.dataDir), fromMs, toMs),
    logLines: (toMs) => logLines().filter((line) => !(Date.parse(TIME.exec(line)?.[1] ?? "") > toMs)),
    ledger: () =>
      Object.fromEntries([...ledger()].map(([topic, each]) => [topic, { ...each, mismatches: mismatches(each) }])),
    versions: () => ({
      sluice: VERSION,
      ...process.versions,
      platform: process.platform,
      arch: process.arch,
      kernel: release(),
    }),
    config: () => redacted(config),
  };
}
