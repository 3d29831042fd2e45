// What a process can be asked about itself while it runs, and what it answers.
//
// One generic question instead of a message for each: questions are rare, their answers are plain data, and whoever asks is told
// why there is none, in bounded time, also by a process that is stuck or dead.

import type { Observations, Observed } from "../admin/state.ts";
import type { ServiceState } from "../service.ts";

/** The questions, and their answers. */
export interface Inspections extends Observations {
  /** The Kafka client, the connections, and what runs there. */
  readonly state: WorkerState;
}
export type Question = keyof Inspections;

export interface WorkerState extends ServiceState {
  readonly pid: number;
  readonly uptimeSeconds: number;
  /** Of Node.js and what is in it. */
  readonly versions: Readonly<Record<string, string>>;
}

/** What a process told of itself before it was asked. */
export interface EarlierState {
  /** In milliseconds since the epoch. */
  readonly asOfMs: number;
  readonly state: WorkerState;
}

/** A process's answer, or why there is none. */
export type Inspected<Q extends Question> = Observed<Inspections[Q]> & {
  /** Instead of an answer, or of the process that ended in the same place a moment ago. */
  readonly earlier?: EarlierState;
};

/** What a process can be asked. */
export interface Inspectable {
  /** The value of its `worker` label. */
  readonly name: string;
  /** Settles within bounded time. Rejects with a sentence for people. */
  ask<Q extends Question>(question: Q): Promise<Inspections[Q]>;
  /** What is known without asking. @param answered whether it has just told its state. */
  earlier?(answered: boolean): EarlierState | undefined;
}

/** Asks all at once. */
export async function inspectAll<Q extends Question>(
  processes: readonly Inspectable[],
  question: Q,
): Promise<Inspected<Q>[]> {
  return await Promise.all(
    processes.map(async (process): Promise<Inspected<Q>> => {
      const answer = await inspect(process, question);
      const earlier = question === "state" ? process.earlier?.(answer.reason === undefined) : undefined;
      return earlier === undefined ? answer : { ...answer, earlier };
    }),
  );
}

async function inspect<Q extends Question>(process: Inspectable, question: Q): Promise<Observed<Inspections[Q]>> {
  try {
    return { worker: process.name, value: await process.ask(question) };
  } catch (error) {
    return { worker: process.name, reason: error instanceof Error ? error.message : String(error) };
  }
}

/** What of `process.versions` says more than "that of this Node.js". */
const PARTS = ["node", "v8", "uv", "openssl", "zlib", "llhttp", "modules"];

export function versions(): Readonly<Record<string, string>> {
  return Object.fromEntries(PARTS.map((part) => [part, process.versions[part] ?? "unknown"]));
}
