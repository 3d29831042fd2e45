// What supervisor and workers tell each other, over node:cluster's channel with structured clone.
//
//   worker                         supervisor
//     hello            ------->                   it can hear now
//                      <-------    start          which slot it is, with the configuration
//     ready | failed   ------->                   it listens, or never will (it ends then)
//     snapshot         ------->                   every second, and once more at its end
//     spans            ------->                   every second, if requests were recorded
//                      <-------    cut            ends a slice of its profile, or takes a heap profile
//     cut | notCut     ------->                   when that was, with the slices that are not on disk
//                      <-------    dropLetters
//     lettersDropped   ------->                   which, or why none
//                      <-------    ask
//     answer           ------->                   or noAnswer, and why
//                      <-------    drain          once; the worker ends when it is done

import type { Worker } from "node:cluster";
import type { Config } from "../config.ts";
import type { CutAnswer, CutRequest } from "../profiling/recorder.ts";
import type { DropOutcome, DropRequest } from "../service.ts";
import type { MetricDelta } from "../telemetry/instruments.ts";
import type { SpanData } from "../tracing/span-data.ts";
import type { Inspections, Question, WorkerState } from "./inspection.ts";

/** Where a worker takes connections. */
export interface Listening {
  readonly host: string;
  readonly port: number;
}

export interface Health {
  readonly ready: boolean;
  /** One sentence each. */
  readonly problems: readonly string[];
}

export type ToWorker =
  | { readonly type: "start"; readonly workerIndex: number; readonly config: Config }
  | { readonly type: "drain"; readonly deadlineMs: number }
  | { readonly type: "cut"; readonly id: number; readonly request: CutRequest }
  | { readonly type: "dropLetters"; readonly id: number; readonly request: DropRequest }
  | { readonly type: "ask"; readonly id: number; readonly question: Question };

export type ToSupervisor =
  | { readonly type: "hello" }
  | { readonly type: "ready"; readonly address: Listening; readonly health: Health }
  | { readonly type: "failed"; readonly message: string }
  | { readonly type: "cut"; readonly id: number; readonly answer: CutAnswer }
  | { readonly type: "notCut"; readonly id: number; readonly message: string }
  | {
      readonly type: "snapshot";
      /** What has changed of the metrics since the last one. */
      readonly changed: readonly MetricDelta[];
      readonly health: Health;
      /** When it was taken, in milliseconds since the epoch. */
      readonly atMs: number;
      /** Log lines that are new. */
      readonly lines: readonly string[];
      /** Every few seconds: what it could not tell any more if it ended or got stuck now. */
      readonly state?: WorkerState;
    }
  | { readonly type: "spans"; readonly spans: readonly SpanData[] }
  | { readonly type: "lettersDropped"; readonly id: number; readonly outcome: DropOutcome }
  | { readonly type: "lettersNotDropped"; readonly id: number; readonly message: string }
  | { readonly type: "answer"; readonly id: number; readonly value: Inspections[Question] }
  | { readonly type: "noAnswer"; readonly id: number; readonly message: string };

/** To a worker that is gone it does nothing: its exit tells the rest. */
export function sendToWorker(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, () => {});
}

/** Resolves when the message has left this process, or never will. */
export async function sendToSupervisor(message: ToSupervisor): Promise<void> {
  await new Promise<void>((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else
      process.send(message, undefined, undefined, () => {
        resolve();
      });
  });
}
