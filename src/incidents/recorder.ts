// Turns causes into bundles: takes what passes soonest at once, the profile of the minutes before, and after half a minute that
// of the time since.
//
// Rejected: recording only once the incident is understood, or over. Whoever records may be the next to die, so every file is on
// disk as soon as it is there, and the next start completes what is left half done.
//
// Invariants: one incident at a time of a kind and worker; a second cause of the same is noted in the first, and what came with
// it is added there. A trigger, or somebody who asks, begins none on top of CAPTURES_MAX: that is noted in the one that began
// last. The end of a process always has its own, or what it left would be lost. A part that fails, or is not had within its
// limit, is told in the bundle. Writing has no limit: on a disk that hangs, so does the bundle.

import type { Clock } from "../clock.ts";
import { TRIGGER_KINDS } from "../config/triggers.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Bundle } from "./bundle.ts";
import { type Attachment, HEAP, PROFILE_AFTER, PROFILE_BEFORE, PROFILE_STUCK } from "./files.ts";
import { ALL_PROCESSES, type Cause, type Incident, type IncidentKind } from "./incident.ts";
import { AFTERWARDS, AT_ONCE, OF_A_PAST_RUN, type Part, type Scene } from "./parts.ts";
import type { IncidentSources } from "./sources.ts";
import type { IncidentStore } from "./store.ts";

/** How far back the profile and the history before an incident reach. */
const BEFORE_MS = 5 * 60_000;
/** How long after it they end. */
const AFTER_MS = 30_000;
const CAPTURES_MAX = 3;
/** What lasts or comes again, so that a note will do when many come at once. */
const MAY_BE_NOTED: ReadonlySet<IncidentKind> = new Set<IncidentKind>([...TRIGGER_KINDS, "forced"]);
/** A storm of causes shall not make a bundle of nothing but notes. */
const NOTES_MAX = 50;
/** What one part may take; asking a process, whose answers have their own limit, is the longest. */
const PART_TIMEOUT_MS = 20_000;
/** The same when the service ends meanwhile. */
const LAST_PART_TIMEOUT_MS = 2_000;

export interface IncidentRecorderOptions {
  readonly store: IncidentStore;
  readonly sources: IncidentSources;
  readonly log: Logger;
  readonly clock: Clock;
  /** Called when one begins. */
  readonly counted?: (kind: IncidentKind) => void;
  /** Called when one has grown. */
  readonly written?: () => void;
  readonly afterMs?: number;
}

interface Recording {
  readonly key: string;
  readonly notes: Cause[];
  /** Undefined until its directory is there. */
  bundle: Bundle | undefined;
  /** Settles when its directory is there, or cannot be. */
  readonly created: Promise<void>;
  /** What came with the causes noted in it is written one after the other; never rejects. */
  attaching: Promise<void>;
  done: Promise<void>;
}

export class IncidentRecorder {
  readonly #store: IncidentStore;
  readonly #sources: IncidentSources;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #counted: (kind: IncidentKind) => void;
  readonly #written: () => void;
  readonly #afterMs: number;
  /** In order of their beginnings. */
  readonly #recordings = new Map<string, Recording>();
  /** Called when the recorder is stopped: waiting ends. */
  readonly #wakers = new Set<() => void>();
  /** Called when what a stopped recorder still takes has to be there. */
  readonly #late = new Set<() => void>();
  #stopping = false;

  constructor({ store, sources, log, clock, counted, written, afterMs }: IncidentRecorderOptions) {
    this.#store = store;
    this.#sources = sources;
    this.#log = log;
    this.#clock = clock;
    this.#counted = counted ?? (() => {});
    this.#written = written ?? (() => {});
    this.#afterMs = afterMs ?? AFTER_MS;
  }

  /**
   * Begins to record an incident. Never rejects: what goes wrong is logged.
   * @param attachments files that go into the bundle as they are.
   * @returns the incident that has all of these, as soon as they are in its directory. Undefined if one is in none, if there
   * were none and the cause was noted in another incident, or if no incident could begin.
   */
  async begin(cause: Cause, attachments: readonly Attachment[] = []): Promise<Incident | undefined> {
    return await this.#begin(cause, attachments, async (bundle) => {
      await this.#record(bundle, cause);
    });
  }

  /** The same for what happened to a run that is over: there is nothing to ask and nothing to wait for. */
  async past(cause: Cause, attachments: readonly Attachment[] = []): Promise<Incident | undefined> {
    return await this.#begin(cause, attachments, async (bundle) => {
      await this.#take(bundle, cause, OF_A_PAST_RUN, true);
    });
  }

  /**
   * Completes what an earlier run began and died over.
   * @param left what is there of an incident's run; what the bundle has already stays as it is.
   */
  async completeInterrupted(left: (cause: Cause) => readonly Attachment[] = () => []): Promise<void> {
    for (const bundle of this.#store.interrupted()) {
      if ([...this.#recordings.values()].some((recording) => recording.bundle === bundle)) continue;
      const { kind, worker, atMs, why } = bundle.incident;
      const cause = { kind, worker: worker === ALL_PROCESSES ? undefined : worker, atMs, why };
      try {
        await bundle.problem("its recorder died; what was left on disk was added at the next start");
        await this.#attach(
          bundle,
          left(cause).filter(({ name }) => !hasFile(bundle.incident, name)),
        );
        await this.#take(bundle, cause, OF_A_PAST_RUN, true);
        await this.#complete(bundle);
      } catch (error) {
        this.#log.error({ err: error, incident: bundle.incident.id }, "an incident cannot be completed");
      }
    }
  }

  /** Ends the waiting for what comes after, and resolves when every bundle is as complete as it gets. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const wake of this.#wakers) wake();
    const timer = this.#clock.setTimeout(() => {
      for (const fail of this.#late) fail();
    }, LAST_PART_TIMEOUT_MS);
    await Promise.all([...this.#recordings.values()].map(({ done }) => done));
    this.#clock.clearTimeout(timer);
  }

  async #begin(
    cause: Cause,
    attachments: readonly Attachment[],
    record: (bundle: Bundle) => Promise<void>,
  ): Promise<Incident | undefined> {
    const key = `${cause.kind}-${cause.worker ?? ALL_PROCESSES}`;
    const other = this.#recordings.get(key) ?? (MAY_BE_NOTED.has(cause.kind) ? this.#lastOfTooMany() : undefined);
    if (other !== undefined) return await this.#note(other, cause, attachments);
    const begun = Promise.withResolvers<Incident | undefined>();
    const created = Promise.withResolvers<void>();
    const recording: Recording = {
      key,
      notes: [],
      bundle: undefined,
      created: created.promise,
      attaching: Promise.resolve(),
      done: Promise.resolve(),
    };
    this.#recordings.set(key, recording);
    recording.done = this.#run(recording, cause, attachments, record, created.resolve, begun.resolve);
    return await begun.promise;
  }

  async #run(
    recording: Recording,
    cause: Cause,
    attachments: readonly Attachment[],
    record: (bundle: Bundle) => Promise<void>,
    created: () => void,
    begun: (incident: Incident | undefined) => void,
  ): Promise<void> {
    const { kind, worker, why } = cause;
    try {
      const bundle = await this.#store.create(cause);
      recording.bundle = bundle;
      this.#counted(kind);
      this.#log.warn({ incident: bundle.incident.id, kind, worker, reason: why }, "an incident is recorded");
      const hasAll = await this.#attach(bundle, attachments);
      created();
      begun(hasAll ? bundle.incident : undefined);
      await this.#saveNotes(recording);
      await record(bundle);
      await recording.attaching;
      await this.#complete(bundle);
    } catch (error) {
      this.#log.error({ err: error, kind, worker, reason: why }, "an incident cannot be recorded");
      // Nothing is added to it any more, so it may be put out like any other.
      await recording.bundle?.update({ state: "complete" }).catch(() => {});
    } finally {
      this.#recordings.delete(recording.key);
      created();
      begun(undefined);
    }
  }

  /** Whether all are in the bundle now. */
  async #attach(bundle: Bundle, attachments: readonly Attachment[]): Promise<boolean> {
    let hasAll = true;
    for (const { name, content } of attachments)
      if (!(await this.#part(bundle, { name, take: () => Promise.resolve(content) }, undefined))) hasAll = false;
    return hasAll;
  }

  async #record(bundle: Bundle, cause: Cause): Promise<void> {
    await this.#take(bundle, cause, AT_ONCE, true);
    if (!(await this.#until(cause.atMs + this.#afterMs)))
      await bundle.problem("the service ended before the time after the incident was over");
    await this.#take(bundle, cause, AFTERWARDS, false);
  }

  /** @param keep whether files that are there already stay as they are. */
  async #take(bundle: Bundle, cause: Cause, parts: readonly Part[], keep: boolean): Promise<void> {
    const scene: Scene = {
      cause,
      sources: this.#sources,
      beforeMs: cause.atMs - BEFORE_MS,
      // A timer may be a little early.
      afterMs: Math.min(this.#clock.now() + 1, cause.atMs + this.#afterMs),
    };
    const present = new Set(keep ? bundle.incident.files.map(({ name }) => name) : []);
    await Promise.all(parts.filter(({ name }) => !present.has(name)).map((part) => this.#part(bundle, part, scene)));
  }

  /** Whether the bundle has it now. */
  async #part(bundle: Bundle, { name, take }: Part, scene: Scene | undefined): Promise<boolean> {
    try {
      const content = await this.#inTime(async () => await take(scene as Scene));
      if (content === undefined) return false;
      await this.#store.write(bundle, name, content);
      this.#written();
      return true;
    } catch (error) {
      await bundle.problem(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    }
  }

  async #inTime<T>(take: () => Promise<T>): Promise<T> {
    const timeoutMs = this.#stopping ? LAST_PART_TIMEOUT_MS : PART_TIMEOUT_MS;
    const late = Promise.withResolvers<never>();
    const fail = () => {
      late.reject(new Error("it took too long"));
    };
    const timer = this.#clock.setTimeout(fail, timeoutMs);
    this.#late.add(fail);
    try {
      return await Promise.race([take(), late.promise]);
    } finally {
      this.#clock.clearTimeout(timer);
      this.#late.delete(fail);
    }
  }

  async #complete(bundle: Bundle): Promise<void> {
    const profile = firstProfile(bundle.incident);
    await bundle.update({ state: "complete", ...(profile === undefined ? {} : { profile }) });
    const { id, kind, worker, files, problems } = bundle.incident;
    const bytes = bundle.bytes;
    this.#log.info({ incident: id, kind, worker, files: files.length, bytes, problems }, "an incident is complete");
  }

  #lastOfTooMany(): Recording | undefined {
    return this.#recordings.size < CAPTURES_MAX ? undefined : [...this.#recordings.values()].at(-1);
  }

  async #note(recording: Recording, cause: Cause, attachments: readonly Attachment[]): Promise<Incident | undefined> {
    if (recording.notes.length >= NOTES_MAX) return undefined;
    recording.notes.push(cause);
    await this.#saveNotes(recording);
    if (attachments.length === 0) return undefined;
    const attached = this.#attachLater(recording, attachments);
    recording.attaching = attached.then(
      () => {},
      () => {},
    );
    return await attached.catch(() => undefined);
  }

  async #attachLater(recording: Recording, attachments: readonly Attachment[]): Promise<Incident | undefined> {
    await Promise.all([recording.created, recording.attaching]);
    const { bundle } = recording;
    if (bundle === undefined) return undefined;
    const named = attachments.map(({ name, content }) => ({ name: freeName(bundle.incident, name), content }));
    return (await this.#attach(bundle, named)) ? bundle.incident : undefined;
  }

  async #saveNotes({ bundle, notes }: Recording): Promise<void> {
    if (bundle === undefined || notes.length === 0) return;
    try {
      await bundle.update({
        notes: notes.map(({ atMs, kind, worker, why }) => ({ atMs, kind, worker: worker ?? ALL_PROCESSES, why })),
      });
    } catch (error) {
      this.#log.error({ err: error, incident: bundle.incident.id }, "an incident cannot be recorded");
    }
  }

  /** Resolves at that time, with true, or when the recorder is stopped. */
  async #until(atMs: number): Promise<boolean> {
    if (this.#stopping) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    // A wall clock that is set back is not waited for.
    const timer = this.#clock.setTimeout(resolve, Math.max(0, Math.min(this.#afterMs, atMs - this.#clock.now())));
    this.#wakers.add(resolve);
    await promise;
    this.#wakers.delete(resolve);
    this.#clock.clearTimeout(timer);
    return !this.#stopping;
  }
}

function hasFile({ files }: Incident, name: string): boolean {
  return files.some((file) => file.name === name);
}

/** `heap-2.pb.gz`, or the next that is not taken: `heap.pb.gz` itself may be about to be written. */
function freeName(incident: Incident, name: string): string {
  const dot = name.indexOf(".");
  for (let i = 2; ; i++) {
    const free = `${name.slice(0, dot)}-${i}${name.slice(dot)}`;
    if (!hasFile(incident, free)) return free;
  }
}

/** The profile to look at first: what shows the guilty one most clearly. */
function firstProfile(incident: Incident): string | undefined {
  const { kind } = incident;
  const aboutMemory = kind === "out_of_memory" || kind === "heap" || kind === "rss";
  const wanted = [...(aboutMemory ? [HEAP] : [PROFILE_STUCK]), PROFILE_BEFORE, PROFILE_AFTER];
  return wanted.find((name) => hasFile(incident, name));
}
