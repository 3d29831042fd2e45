// One place for a worker, and whatever process lives in it now.
//
// The slot knows what its process says and what the dead ones have counted; whether to start another one is the supervisor's
// decision.
//
// Invariants: at most one process at a time. Every question is answered: by the process, by its death, or by its deadline.

import cluster, { type Worker } from "node:cluster";
import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import type { ProfiledProcess } from "../profiling/collect.ts";
import type { CutAnswer, CutRequest } from "../profiling/recorder.ts";
import type { DropOutcome, DropRequest } from "../service.ts";
import { LogRing } from "../telemetry/log-ring.ts";
import type { SlotMetrics } from "../telemetry/slot.ts";
import type { SpanData } from "../tracing/span-data.ts";
import { Answers } from "./answers.ts";
import { readThreads } from "../profiling/threads.ts";
import { HandedConnections } from "./handed-connections.ts";
import type { EarlierState, Inspectable, Inspections, Question } from "./inspection.ts";
import { type Health, type Listening, sendToWorker, type ToSupervisor } from "./messages.ts";

interface Exit {
  /** In words, for example `exit code 1` or `signal SIGKILL`. */
  readonly cause: string;
  /** True if it ended by itself, with exit code 0. */
  readonly clean: boolean;
  /** Undefined if a signal ended it, or it never began. */
  readonly code: number | undefined;
  readonly signal: string | undefined;
}

/** How a process ended. */
export interface Ending extends Exit {
  /** Undefined if it never began. */
  readonly pid: number | undefined;
  /** How long it had been ready, in milliseconds; 0 if it never was. */
  readonly readyForMs: number;
  /** Events that it had taken and not answered. */
  readonly unsettled: number;
}

export interface SlotObserver {
  ready(slot: WorkerSlot): void;
  /** It never will be ready, and ends now. */
  startFailed(slot: WorkerSlot, message: string): void;
  /** Its metrics are new. @param atMs when they were read, in milliseconds since the epoch. */
  pushed(slot: WorkerSlot, atMs: number): void;
  /** Requests were recorded. */
  spans(slot: WorkerSlot, spans: readonly SpanData[]): void;
  ended(slot: WorkerSlot, ending: Ending): void;
}

/** A process that is silent for longer than this is not ready, whatever it said before. */
const SILENCE_MAX_MS = 5_000;
/** A cut takes some hundred milliseconds. What a process that is stuck has written is worth having without a long wait. */
const CUT_TIMEOUT_MS = 3_000;

/** Dead letters are dropped with one sync, behind what waits for the disk. */
const DROP_TIMEOUT_MS = 30_000;

/** Questions are answered from memory, in a turn of its event loop. */
const ASK_TIMEOUT_MS = 3_000;

/** How long the state of a process that ended is told beside that of its successor. */
const EARLIER_MS = 60_000;

/** How long after the exit of a process its last messages may arrive. */
const CLOSE_GRACE_MS = 500;

interface Living {
  readonly worker: Worker;
  readonly handed: HandedConnections;
  readyMs: number | undefined;
  lastSeenMs: number;
  health: Health;
  told: EarlierState | undefined;
}

function notReady(problem: string): Health {
  return { ready: false, problems: [problem] };
}

export class WorkerSlot implements ProfiledProcess, Inspectable {
  readonly index: number;
  readonly name: string;
  readonly metrics: SlotMetrics;
  /** The last lines of the processes that lived here. */
  readonly log = new LogRing();
  readonly #observer: SlotObserver;
  readonly #clock: Clock;
  readonly #cuts: Answers<CutAnswer>;
  readonly #drops: Answers<DropOutcome>;
  readonly #questions: Answers<Inspections[Question]>;
  #living: Living | undefined;
  #lastCause = "";
  /** What the last process that ended told, and when that was. */
  #last: { readonly told: EarlierState | undefined; readonly endedMs: number } | undefined;
  #address: Listening | undefined;

  constructor(index: number, metrics: SlotMetrics, observer: SlotObserver, clock: Clock) {
    this.index = index;
    this.name = String(index);
    this.metrics = metrics;
    this.#observer = observer;
    this.#clock = clock;
    this.#cuts = new Answers(clock);
    this.#drops = new Answers(clock);
    this.#questions = new Answers(clock);
  }

  get alive(): boolean {
    return this.#living !== undefined;
  }

  get pid(): number | undefined {
    return this.#living?.worker.process.pid;
  }

  /** Since its process was heard of, in milliseconds; undefined if none is ready here. */
  get silentMs(): number | undefined {
    if (this.#living?.readyMs === undefined) return undefined;
    return this.#clock.monotonic() - this.#living.lastSeenMs;
  }

  /** What its process told of itself within the last seconds; undefined if none runs or it has told nothing. */
  get told(): EarlierState | undefined {
    return this.#living?.told;
  }

  /** Where its process listens, or the last one did. */
  get address(): Listening | undefined {
    return this.#address;
  }

  start(config: Config): void {
    const worker = cluster.fork();
    const living: Living = {
      worker,
      handed: new HandedConnections(worker.process),
      readyMs: undefined,
      lastSeenMs: this.#clock.monotonic(),
      health: notReady("starting"),
      told: undefined,
    };
    this.#living = living;
    worker.on("message", (message: ToSupervisor) => {
      this.#receive(living, message, config);
    });
    const exited = new Promise<Exit>((resolve) => {
      worker.once("exit", (code, signal) => {
        const exit = signal
          ? { clean: false, cause: `signal ${signal}`, code: undefined, signal }
          : { clean: code === 0, cause: `exit code ${code}`, code, signal: undefined };
        // The exit may be told before the last messages are; the channel closes behind them. Node.js forgets to tell that
        // of a channel which a connection was just handed through, so it is not waited for without end.
        const timer = this.#clock.setTimeout(() => {
          resolve(exit);
        }, CLOSE_GRACE_MS);
        const closed = () => {
          this.#clock.clearTimeout(timer);
          resolve(exit);
        };
        if (worker.isConnected()) worker.once("disconnect", closed);
        else this.#clock.setImmediate(closed);
      });
    });
    const notSpawned = new Promise<Exit>((resolve) => {
      // What cannot be sent to a dying process is an error too; its exit tells the rest.
      worker.on("error", (error) => {
        if (worker.process.pid === undefined)
          resolve({ clean: false, cause: error.message, code: undefined, signal: undefined });
      });
    });
    void Promise.race([exited, notSpawned]).then((exit) => {
      this.#ended(living, exit);
    });
  }

  /** @param deadlineMs milliseconds since the epoch. */
  drain(deadlineMs: number): void {
    if (this.#living !== undefined) sendToWorker(this.#living.worker, { type: "drain", deadlineMs });
  }

  kill(): void {
    this.#living?.worker.process.kill("SIGKILL");
  }

  /** Whether this worker takes events, and what is wrong with it, which may be something in either case. */
  health(): Health {
    if (this.#living === undefined) return notReady(`not running (${this.#lastCause}); it is started again`);
    const { health, lastSeenMs, readyMs } = this.#living;
    const silentMs = this.#clock.monotonic() - lastSeenMs;
    if (readyMs !== undefined && silentMs > SILENCE_MAX_MS)
      return notReady(`no sign of life for ${Math.round(silentMs / 1000)} s`);
    return health.ready || health.problems.length > 0 ? health : notReady("not ready");
  }

  /** Rejects with a sentence about the worker. */
  async cut(request: CutRequest): Promise<CutAnswer> {
    const worker = this.#living?.worker;
    if (worker === undefined) throw new Error("it is not running");
    return await this.#cuts.ask(CUT_TIMEOUT_MS, (id) => {
      sendToWorker(worker, { type: "cut", id, request });
    });
  }

  /** Rejects with a sentence about the worker: it does not run, or it could not. */
  dropLetters(request: DropRequest): Promise<DropOutcome> {
    const worker = this.#living?.worker;
    if (worker === undefined) return Promise.reject(new Error("it does not run now; try again"));
    return this.#drops.ask(DROP_TIMEOUT_MS, (id) => {
      sendToWorker(worker, { type: "dropLetters", id, request });
    });
  }

  /**
   * Its threads are read from here, because they are wanted most of a process that does not answer.
   * Rejects within 3 s with a sentence about the worker: it does not run, does not answer, or cannot.
   */
  async ask<Q extends Question>(question: Q): Promise<Inspections[Q]> {
    const worker = this.#living?.worker;
    if (worker === undefined) throw new Error(`it does not run now (${this.#lastCause}); try again`);
    const { pid } = worker.process;
    const answer =
      question === "threads" && pid !== undefined && process.platform === "linux"
        ? await readThreads(pid)
        : await this.#questions.ask(ASK_TIMEOUT_MS, (id) => {
            sendToWorker(worker, { type: "ask", id, question });
          });
    // The id that it comes back with is this question's.
    return answer as Inspections[Q];
  }

  /** Of the process that ended a moment ago; else of the one that does not answer. */
  earlier(answered: boolean): EarlierState | undefined {
    if (this.#last !== undefined && this.#clock.monotonic() - this.#last.endedMs < EARLIER_MS) return this.#last.told;
    return answered ? undefined : (this.#living ?? this.#last)?.told;
  }

  #receive(living: Living, message: ToSupervisor, config: Config): void {
    // What a dead process says late is about books that are closed, and its successor's may be open.
    if (living !== this.#living) return;
    living.lastSeenMs = this.#clock.monotonic();
    switch (message.type) {
      case "hello":
        sendToWorker(living.worker, { type: "start", workerIndex: this.index, config });
        break;
      case "ready":
        living.readyMs = this.#clock.monotonic();
        living.health = message.health;
        this.#address = message.address;
        this.#observer.ready(this);
        break;
      case "failed":
        this.#observer.startFailed(this, message.message);
        break;
      case "snapshot":
        living.health = message.health;
        this.metrics.update(message.changed);
        if (message.state !== undefined) living.told = { asOfMs: message.atMs, state: message.state };
        for (const line of message.lines) this.log.push(line);
        this.#observer.pushed(this, message.atMs);
        break;
      case "spans":
        this.#observer.spans(this, message.spans);
        break;
      case "cut":
        this.#cuts.resolve(message.id, message.answer);
        break;
      case "notCut":
        this.#cuts.reject(message.id, message.message);
        break;
      case "lettersDropped":
        this.#drops.resolve(message.id, message.outcome);
        break;
      case "lettersNotDropped":
        this.#drops.reject(message.id, message.message);
        break;
      case "answer":
        this.#questions.resolve(message.id, message.value);
        break;
      case "noAnswer":
        this.#questions.reject(message.id, message.message);
        break;
      default:
        message satisfies never;
    }
  }

  #ended({ worker, handed, readyMs, told }: Living, exit: Exit): void {
    this.#living = undefined;
    handed.close();
    this.#lastCause = exit.cause;
    this.#last = { told, endedMs: this.#clock.monotonic() };
    this.#cuts.rejectAll(`it ended (${exit.cause})`);
    this.#drops.rejectAll(`it ended (${exit.cause}); look what is left, and try again`);
    this.#questions.rejectAll(`it ended (${exit.cause})`);
    this.#observer.ended(this, {
      ...exit,
      pid: worker.process.pid,
      readyForMs: readyMs === undefined ? 0 : this.#clock.monotonic() - readyMs,
      unsettled: this.metrics.retire(),
    });
  }
}
