// A profile of several processes, as the supervisor answers it: cuts them all, and adds up the slices between two cuts, or
// those of the last while.
//
// Whoever does not answer, because it is stuck or dead, is in it with what it has written; the profile's comments say so.

import type { Profile } from "pprof-format";
import type { Clock } from "../clock.ts";
import type { CutAnswer, CutRequest } from "./recorder.ts";
import { type Span, SUPERVISOR_PROCESS, workerProcess } from "./slice.ts";
import { addComments, EmptyWindowError, type HeldSlice, profileOf } from "./window.ts";

/**
 * What to profile: the next `seconds`, the last `past` seconds, or the heap as it is; or the same as it was `ago` seconds before
 * now, as well as the slices on disk have it: CPU with up to 10 s more at both ends, the heap as of up to 90 s earlier.
 */
export type CaptureRequest = (
  | { readonly kind: "cpu"; readonly seconds: number }
  | { readonly kind: "cpu"; readonly past: number; readonly ago?: number }
  | { readonly kind: "heap"; readonly ago?: number }
) & {
  /** The value of the label `worker`; all of them if it is missing. */
  readonly worker?: string | undefined;
};

export interface ProfiledProcess {
  /** The value of the `worker` label. */
  readonly name: string;
  /** Rejects with a message for people. */
  cut(request: CutRequest): Promise<CutAnswer>;
}

/** No process gave a profile. */
export class CaptureError extends Error {
  override readonly name = "CaptureError";
}

/** How old the heap profile of a process that does not answer may be; one is taken each minute. */
const HEAP_AGE_MAX_MS = 90_000;

interface Cuts {
  readonly answers: ReadonlyMap<string, CutAnswer>;
  /** Why others gave no answer, by their name. */
  readonly failures: ReadonlyMap<string, string>;
}

export class ProfileCollector {
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #processes: () => readonly ProfiledProcess[];

  /** @param dir of all processes' slices. */
  constructor(dir: string, clock: Clock, processes: () => readonly ProfiledProcess[]) {
    this.#dir = dir;
    this.#clock = clock;
    this.#processes = processes;
  }

  /** The values of the label `worker`. */
  get names(): readonly string[] {
    return this.#processes().map(({ name }) => name);
  }

  /**
   * The merged profile. Samples carry the label `worker`. What is missing is told in the comments (`go tool pprof -comments`).
   * @param signal ends the waiting, and the work, for a caller who is gone.
   * @throws CaptureError if there is nothing of any process; the signal's reason.
   */
  async take(request: CaptureRequest, signal?: AbortSignal): Promise<Profile> {
    const askedMs = this.#clock.now();
    if (request.kind === "heap") {
      const { ago } = request;
      const toMs = endMs(askedMs, ago);
      const fromMs = (toMs ?? askedMs) - HEAP_AGE_MAX_MS;
      const cuts = await this.#cut(request, toMs === undefined ? askedMs : fromMs);
      return await this.#profile(request, signal, { fromMs, toMs }, cuts, (_name, { atMs }) =>
        toMs === undefined ? { fromMs: atMs, toMs: atMs } : { fromMs, toMs },
      );
    }
    if ("past" in request) {
      const { past, ago } = request;
      const toMs = endMs(askedMs, ago);
      const fromMs = (toMs ?? askedMs) - past * 1000;
      const cuts = await this.#cut(request, fromMs);
      return await this.#profile(request, signal, { fromMs, toMs }, cuts, (_name, { atMs }) => ({
        fromMs,
        toMs: toMs ?? atMs,
      }));
    }
    const begin = await this.#cut(request, askedMs);
    await this.#wait(request.seconds * 1000, signal);
    const end = await this.#cut(request, askedMs);
    const failures = new Map([...begin.failures, ...end.failures]);
    for (const [name, { pid }] of end.answers) {
      const before = begin.answers.get(name);
      if (before !== undefined && before.pid !== pid)
        failures.set(name, "its process ended, and another one runs; the last seconds of the first are missing");
    }
    const spans = new Map<string, Span>();
    for (const [name, { atMs: fromMs }] of begin.answers) {
      spans.set(name, { fromMs, toMs: end.answers.get(name)?.atMs ?? this.#clock.now() });
    }
    const held = { answers: end.answers, failures };
    return await this.#profile(
      request,
      signal,
      { fromMs: askedMs, toMs: undefined },
      held,
      (name, { atMs }) => spans.get(name) ?? { fromMs: askedMs, toMs: atMs },
      spans,
    );
  }

  async #profile(
    request: CaptureRequest,
    signal: AbortSignal | undefined,
    { fromMs, toMs = this.#clock.now() }: { readonly fromMs: number; readonly toMs: number | undefined },
    { answers, failures }: Cuts,
    spanOf: (name: string, answer: CutAnswer) => Span,
    known: ReadonlyMap<string, Span> = new Map(),
  ): Promise<Profile> {
    const spans = new Map([...known].map(([name, span]) => [processOf(name), span]));
    const held: HeldSlice[] = [];
    for (const [name, answer] of answers) {
      const process = processOf(name);
      spans.set(process, spanOf(name, answer));
      for (const slice of answer.held) held.push({ ...slice, process });
    }
    const { kind, worker } = request;
    const notes = [...failures].map(([name, why]) => `incomplete: worker ${name}: ${why}`);
    const process = worker === undefined ? undefined : processOf(worker);
    try {
      const profile = await profileOf({ dir: this.#dir, kind, fromMs, toMs, process, spans, held, signal });
      addComments(profile, notes);
      return profile;
    } catch (error) {
      if (!(error instanceof EmptyWindowError)) throw error;
      throw new CaptureError([error.message, ...notes].join("; "), { cause: error });
    }
  }

  async #wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve } = Promise.withResolvers<void>();
    const onAbort = () => {
      resolve();
    };
    const timer = this.#clock.setTimeout(resolve, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
    await promise;
    signal?.removeEventListener("abort", onAbort);
    this.#clock.clearTimeout(timer);
    signal?.throwIfAborted();
  }

  async #cut({ kind, worker }: CaptureRequest, sinceMs: number): Promise<Cuts> {
    const answers = new Map<string, CutAnswer>();
    const failures = new Map<string, string>();
    const wanted = this.#processes().filter(({ name }) => worker === undefined || name === worker);
    await Promise.all(
      wanted.map(async (process) => {
        try {
          answers.set(process.name, await process.cut({ kind, sinceMs }));
        } catch (error) {
          failures.set(process.name, error instanceof Error ? error.message : String(error));
        }
      }),
    );
    return { answers, failures };
  }
}

/** When a window of the past ended; undefined: it ends with the cuts that are made now. */
function endMs(askedMs: number, ago = 0): number | undefined {
  return ago === 0 ? undefined : askedMs - ago * 1000;
}

function processOf(worker: string): string {
  return worker === SUPERVISOR_PROCESS ? worker : workerProcess(worker);
}
