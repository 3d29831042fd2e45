// A service of which nothing was measured, for tests that are about something else; and a snapshot to change.

import { BROKER_SERIES, type LiveSnapshot, PROCESS_SERIES, SERVICE_SERIES } from "../../src/admin/live/model.ts";
import type { LiveState } from "../../src/admin/state.ts";
import { emptyLedger } from "../../src/telemetry/ledger.ts";

const columns = <N extends string>(names: readonly N[], values: readonly (number | null)[]) =>
  Object.fromEntries(names.map((name) => [name, values])) as Record<N, readonly (number | null)[]>;

/** Seconds that ended at `t`, whose values are all `value`. */
export function snapshotOf(
  t: readonly number[],
  value: number | null,
  change: Partial<LiveSnapshot> = {},
): LiveSnapshot {
  const values = t.map(() => value);
  return {
    atMs: t.at(-1) ?? 0,
    service: {
      version: "1.2.3",
      nodeVersion: "v24",
      cores: 2,
      hostMemoryBytes: 1024,
      host: "host",
      startedAtMs: 0,
      workers: 1,
      workersUp: 1,
      ready: true,
      problems: [],
      bootstrap: [],
      admittedBytesLimit: null,
      spoolBytesLimit: null,
    },
    bottleneck: { stage: "none", sentence: "nothing comes in", broker: null, worker: null, notes: [] },
    history: {
      t,
      service: columns(SERVICE_SERIES, values),
      brokers: { "127.0.0.1:9092": columns(BROKER_SERIES, values) },
      processes: { 0: columns(PROCESS_SERIES, values), supervisor: columns(PROCESS_SERIES, values) },
    },
    processes: [
      { name: "0", up: true, pid: 17 },
      { name: "supervisor", up: true, pid: 16 },
    ],
    brokers: [{ name: "127.0.0.1:9092", connections: 1, partitions: 2 }],
    brokersLeftOut: 0,
    partitions: [],
    partitionsLeftOut: 0,
    callers: [],
    callersLeftOut: 0,
    ledger: [],
    ledgerLeftOut: 0,
    ledgerSum: { ...emptyLedger(), topic: "all topics", agrees: true },
    incidents: [],
    tail: false,
    ...change,
  };
}

export const noLive: LiveState = {
  live: () => snapshotOf([], null),
  watchLive: () => () => {},
  tail: undefined,
};
