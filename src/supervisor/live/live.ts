// What the page and `sluice top` are told: keeps the seconds, and puts them together with what is known of processes, brokers,
// partitions, callers, books and incidents.
//
// A second costs the supervisor a pass over its slots' metrics, whether anybody looks or not: the fifteen minutes have to be
// there when somebody does. Nothing is put together, and nobody is called, unless somebody watches.

import { availableParallelism, hostname } from "node:os";
import type { Bottleneck, LiveIncident, LiveSnapshot } from "../../admin/live/model.ts";
import { bottleneckOf } from "../../admin/live/bottleneck.ts";
import { titleOf } from "../../admin/pages/kinds.ts";
import type { LiveState, Readiness, TopicTail } from "../../admin/state.ts";
import type { Clock, Timer } from "../../clock.ts";
import type { Incident } from "../../incidents/incident.ts";
import { hostMemoryBytes } from "../../telemetry/cgroup.ts";
import { told } from "../../telemetry/columns.ts";
import { HISTORY_SECONDS, type History } from "../../telemetry/history.ts";
import type { Ledger } from "../../telemetry/ledger.ts";
import type { EarlierState } from "../inspection.ts";
import { ledgerRows } from "./ledger.ts";
import { type ProcessHistory, processHistory } from "./processes.ts";
import { LiveReader, type LiveSecond, type SlotSource } from "./reader.ts";
import { LiveSeconds } from "./seconds.ts";
import { callersOf, partitionsOf, queuedBytesOf } from "./states.ts";

/** What is asked of a worker slot. */
export interface LiveSlot {
  readonly name: string;
  readonly pid: number | undefined;
  readonly told: EarlierState | undefined;
  readonly metrics: SlotSource;
  health(): { readonly ready: boolean };
}

export interface LiveDependencies {
  readonly clock: Clock;
  readonly slots: readonly LiveSlot[];
  readonly history: History;
  readonly readiness: () => Readiness;
  readonly ledger: () => ReadonlyMap<string, Ledger>;
  /** Mismatches that the supervisor has found. */
  readonly ledgerMismatches: () => number;
  readonly incidents: () => readonly Incident[];
}

export interface LiveOptions {
  readonly version: string;
  /** The `worker` label of this process. */
  readonly supervisor: string;
  /** `host:port` of each. */
  readonly bootstrap: readonly string[];
  readonly tail: TopicTail | undefined;
}

const TICK_MS = 1_000;
const INCIDENTS_MAX = 50;

const NOTHING_YET: Bottleneck = {
  stage: "none",
  sentence: "nothing was measured yet",
  broker: null,
  worker: null,
  notes: [],
};

export class Live implements LiveState {
  readonly #dependencies: LiveDependencies;
  readonly #options: LiveOptions;
  readonly #seconds = new LiveSeconds();
  readonly #reader: LiveReader;
  readonly #watchers = new Set<() => void>();
  readonly #startedAtMs: number;
  #last: LiveSecond | undefined;
  #bottleneck = NOTHING_YET;
  #timer: Timer | undefined;

  constructor(dependencies: LiveDependencies, options: LiveOptions) {
    this.#dependencies = dependencies;
    this.#options = options;
    this.#reader = new LiveReader(dependencies.slots.map(({ metrics }) => metrics));
    this.#startedAtMs = dependencies.clock.now();
  }

  start(): void {
    const { clock } = this.#dependencies;
    this.#timer = clock.setTimeout(() => {
      this.start();
      this.second();
    }, TICK_MS);
    this.#timer.unref?.();
  }

  stop(): void {
    if (this.#timer !== undefined) this.#dependencies.clock.clearTimeout(this.#timer);
    this.#watchers.clear();
  }

  /** Ends a second. */
  second(): void {
    const { clock, slots, ledgerMismatches } = this.#dependencies;
    const queuedBytes = queuedBytesOf(slots);
    const second = this.#reader.read(clock.monotonic(), { ledgerMismatches: ledgerMismatches(), queuedBytes });
    this.#last = second;
    this.#seconds.record(clock.now(), second.service, second.brokers);
    this.#bottleneck = this.#findBottleneck(second);
    for (const watcher of this.#watchers) watcher();
  }

  watchLive(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  get tail(): TopicTail | undefined {
    return this.#options.tail;
  }

  live(sinceMs: number): LiveSnapshot {
    const { slots, readiness, ledger, clock } = this.#dependencies;
    const { version, supervisor, bootstrap } = this.#options;
    const { ready, problems } = readiness();
    const range = this.#seconds.range(sinceMs);
    const processes = this.#processes(range.t);
    const connections = this.#reader.connections();
    const partitions = partitionsOf(slots);
    const up = slots.map((slot) => slot.health().ready);
    return {
      atMs: this.#seconds.lastMs ?? clock.now(),
      service: {
        version,
        nodeVersion: process.version,
        cores: availableParallelism(),
        hostMemoryBytes: hostMemoryBytes(),
        host: hostname(),
        startedAtMs: this.#startedAtMs,
        workers: slots.length,
        workersUp: up.filter(Boolean).length,
        ready,
        problems: problems.map(({ worker, reason }) => ({ worker: worker ?? null, reason })),
        bootstrap,
        admittedBytesLimit: told((this.#last?.admittedBytesLimit ?? Number.NaN) * slots.length),
        spoolBytesLimit: told(this.#last?.spoolBytesLimit ?? Number.NaN),
      },
      bottleneck: this.#bottleneck,
      history: {
        t: range.t,
        service: { ...range.service, imbalance: processes.imbalance },
        brokers: range.brokers,
        processes: processes.series,
      },
      processes: [
        ...slots.map(({ name, pid }, i) => ({ name, up: up[i]!, pid: pid ?? null })),
        { name: supervisor, up: true, pid: process.pid },
      ],
      brokers: Object.keys(range.brokers).map((name) => ({
        name,
        connections: connections.get(name) ?? 0,
        partitions: partitions.all.filter(({ broker }) => broker === name).length,
      })),
      brokersLeftOut: this.#seconds.brokersLeftOut,
      partitions: partitions.told,
      partitionsLeftOut: partitions.leftOut,
      ...callersOf(slots),
      ...ledgerRows(ledger()),
      incidents: this.#incidents(),
      tail: this.tail !== undefined,
    };
  }

  #processes(times: readonly number[]): ProcessHistory {
    const { slots, history } = this.#dependencies;
    return processHistory(
      history,
      slots.map(({ name }) => name),
      this.#options.supervisor,
      times,
    );
  }

  #findBottleneck(second: LiveSecond): Bottleneck {
    const { service, stages, measuredBrokers, blockedSeconds, spoolSync, admittedBytesLimit } = second;
    const { clock, slots } = this.#dependencies;
    const { series, imbalance } = this.#processes([clock.now()]);
    const workers = slots.map(({ name }) => {
      const { cpu, eventLoopDelayMax, load } = series[name]!;
      return {
        name,
        cpu: cpu[0] ?? Number.NaN,
        eventLoopDelayMax: eventLoopDelayMax[0] ?? Number.NaN,
        load: load[0] ?? Number.NaN,
      };
    });
    const hasBrokers = this.#options.bootstrap.length > 0;
    return bottleneckOf({
      answersPerSecond: service.requestsPerSecond,
      stages,
      admissionWaiting: service.admissionWaiting,
      blockedSeconds,
      admittedBytesLimit,
      kafkaQueuedBytes: service.kafkaQueuedBytes,
      brokerConnections: hasBrokers ? [...this.#reader.connections().values()].reduce((a, b) => a + b, 0) : undefined,
      brokers: measuredBrokers,
      spoolSync,
      workers,
      imbalance: imbalance[0] ?? 1,
      eventsPerSecond: service.eventsPerSecond,
    });
  }

  #incidents(): LiveIncident[] {
    const { incidents, clock } = this.#dependencies;
    const sinceMs = clock.now() - HISTORY_SECONDS * 1000;
    return incidents()
      .filter(({ atMs }) => atMs >= sinceMs)
      .slice(0, INCIDENTS_MAX)
      .map((incident) => {
        const { id, kind, worker, atMs, state, why } = incident;
        return { id, kind, worker, atMs, state, title: titleOf(incident), why };
      });
  }
}
