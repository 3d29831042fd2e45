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

/** A process's answer, or why there is none. */
export type Inspected<Q extends Question> = Observed<Inspections[Q]>;

/** What a process can be asked. */
export interface Inspectable {
  /** The value of its `worker` label. */
  readonly name: string;
  /** Settles within bounded time. Rejects with a sentence for people. */
  ask<Q extends Question>(question: Q): Promise<Inspections[Q]>;
}

/** Asks all at once. */
export async function inspectAll<Q extends Question>(
  processes: readonly Inspectable[],
  question: Q,
): Promise<Inspected<Q>[]> {
  return await Promise.all(
    processes.map(async (process): Promise<Inspected<Q>> => {
      try {
        return { worker: process.name, value: await process.ask(question) };
      } catch (error) {
        return { worker: process.name, reason: error instanceof Error ? error.message : String(error) };
      }
    }),
  );
}

/** What of `process.versions` says more than "that of this Node.js". */
const PARTS = ["node", "v8", "uv", "openssl", "zlib", "llhttp", "modules"];

export function versions(): Readonly<Record<string, string>> {
  return Object.fromEntries(PARTS.map((part) => [part, process.versions[part] ?? "unknown"]));
}
