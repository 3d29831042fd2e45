// Sees which worker says nothing any more, and what its watchdog has to say about that.
//
// A worker speaks every second. When it has been silent for a while, its watchdog's reports are looked for; a silence that goes
// on without one is an incident by itself: it is stopped, swapped out, or its watchdog cannot write. What comes back is looked
// after for a little longer, because the report of a short trouble may be later than its end.
//
// Invariant: each silence is one incident of its kind.

import { join } from "node:path";
import type { Clock } from "../clock.ts";
import type { Attachment } from "../incidents/files.ts";
import type { Cause } from "../incidents/incident.ts";
import { findStuckReports } from "../incidents/stuck-reports.ts";
import { workerProcess } from "../profiling/slice.ts";
import type { WorkerSlot } from "./slot.ts";

const SILENT_MS = 2_500;
/** Looks are a second apart. Whoever comes so much later stood still itself, and has not read yet what others said meanwhile. */
const LOOKS_APART_MAX_MS = 3_000;
const LOOK_AFTER_MS = 5_000;
/** What the watchdog takes beyond its own timeout: its looks, the pauses, the file. */
const REPORT_MS = 6_000;

type Slot = Pick<WorkerSlot, "name" | "silentMs">;

interface Watched {
  lookUntilMs: number;
  told: boolean;
}

export interface SilenceOptions {
  readonly slots: readonly Slot[];
  /** DATA_DIR/profiles */
  readonly dir: string;
  readonly watchdogTimeoutMs: number;
  readonly clock: Clock;
  /** Resolves when the attachments are in safety; with undefined if they are not. */
  readonly begin: (cause: Cause, attachments: readonly Attachment[]) => Promise<unknown>;
  /** Told what went wrong with looking at a worker; nobody else hears of it. */
  readonly failed: (error: unknown, worker: string) => void;
}

export class Silence {
  readonly #options: SilenceOptions;
  readonly #watched = new Map<Slot, Watched>();
  /** The reports' files that have been begun with: one that is in no bundle, or cannot be removed, is left to the next start. */
  readonly #begun = new Set<string>();
  #lookedMs = Infinity;
  #resumedMs = -Infinity;
  #looking: Promise<void> | undefined;

  constructor(options: SilenceOptions) {
    this.#options = options;
  }

  /** Looks at every worker; called once a second. */
  look(): void {
    const nowMs = this.#options.clock.monotonic();
    if (nowMs - this.#lookedMs > LOOKS_APART_MAX_MS) this.#resumedMs = nowMs;
    this.#lookedMs = nowMs;
    this.#looking ??= this.#lookAtAll().finally(() => {
      this.#looking = undefined;
    });
  }

  /** Resolves when nothing is looked at any more. */
  async idle(): Promise<void> {
    await this.#looking;
  }

  async #lookAtAll(): Promise<void> {
    for (const slot of this.#options.slots) {
      try {
        await this.#lookAt(slot);
      } catch (error) {
        this.#options.failed(error, slot.name);
      }
    }
  }

  async #lookAt(slot: Slot): Promise<void> {
    const { clock, watchdogTimeoutMs, begin, dir } = this.#options;
    const watched = this.#watchedOf(slot);
    const silentMs = slot.silentMs ?? 0;
    const nowMs = clock.monotonic();
    if (silentMs > SILENT_MS) watched.lookUntilMs = nowMs + LOOK_AFTER_MS;
    else watched.told = false;
    if (nowMs >= watched.lookUntilMs) return;
    for (const report of await findStuckReports(join(dir, workerProcess(slot.name)), slot.name)) {
      watched.told = true;
      if (this.#begun.has(report.path)) continue;
      this.#begun.add(report.path);
      if ((await begin(report.cause, report.attachments)) !== undefined) await report.remove();
    }
    if (watched.told || Math.min(silentMs, nowMs - this.#resumedMs) <= watchdogTimeoutMs + REPORT_MS) return;
    watched.told = true;
    const seconds = Math.round(silentMs / 1000);
    const why = `it has said nothing for ${seconds} s, and its watchdog neither: it may be stopped, or have no CPU time`;
    await begin({ kind: "unresponsive", worker: slot.name, atMs: clock.now(), why, value: silentMs / 1000 }, []);
  }

  #watchedOf(slot: Slot): Watched {
    let watched = this.#watched.get(slot);
    if (watched === undefined) this.#watched.set(slot, (watched = { lookUntilMs: 0, told: false }));
    return watched;
  }
}
