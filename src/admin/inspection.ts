// GET /debug/pprof/threads and /debug/pprof/eventloop: what no profile of JavaScript shows, of all processes or of one.
//
// Text is for eyes, in columns; `format=json` is what programs read and incidents keep: one element a process, with its answer
// or the reason why there is none. A process that does not answer is part of the answer, not a failure of it.

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ThreadUsage } from "../profiling/threads.ts";
import { EVENT_LOOP_BOUNDS_MS, type EventLoopSecond } from "../telemetry/event-loop.ts";
import { BadParameter, Parameters, type Query } from "./parameters.ts";
import type { AdminState, Observations, Observed } from "./state.ts";

type Question = keyof Observations;

/** The first column is aligned to the left, the others, which are numbers, to the right. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>((max, row) => row.map((cell, i) => Math.max(max[i] ?? 0, cell.length)), []);
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[i]!))).join("  ");
  return rows.map((row) => `${line(row).trimEnd()}\n`).join("");
}

function threadTable(threads: readonly ThreadUsage[]): string {
  const head = ["thread", "tid", "user s", "system s", "waited for a CPU s", "voluntary", "involuntary"];
  const rows = threads.map((thread) => [
    thread.name,
    String(thread.tid),
    thread.cpuUserSeconds.toFixed(2),
    thread.cpuSystemSeconds.toFixed(2),
    thread.runQueueSeconds?.toFixed(3) ?? "?",
    String(thread.voluntarySwitches),
    String(thread.involuntarySwitches),
  ]);
  return table([head, ...rows]);
}

function eventLoopTable(seconds: readonly EventLoopSecond[]): string {
  const ms = (value: number) => (value * 1000).toFixed(2);
  const bounds = [...EVENT_LOOP_BOUNDS_MS.map((bound) => `≤${bound}`), `>${EVENT_LOOP_BOUNDS_MS.at(-1)}`];
  const head = ["until", "turns", "mean ms", "p50 ms", "p90 ms", "p99 ms", "max ms", ...bounds];
  const rows = seconds.map((second) => [
    new Date(second.atMs).toISOString(),
    String(second.turns),
    ...[second.mean, second.p50, second.p90, second.p99, second.max].map(ms),
    // Most of them are empty: what is not is found at a glance.
    ...second.buckets.map((turns) => (turns === 0 ? "." : String(turns))),
  ]);
  return table([head, ...rows]);
}

const TABLES: { readonly [Q in Question]: (value: Observations[Q]) => string } = {
  threads: threadTable,
  eventloop: eventLoopTable,
};

function section<Q extends Question>(question: Q, { worker, value, reason }: Observed<Observations[Q]>): string {
  const title = /^\d+$/.test(worker) ? `worker ${worker}` : worker;
  return `${title}\n${value === undefined ? `no answer: ${reason}\n` : TABLES[question](value)}\n`;
}

async function answer(
  state: AdminState,
  question: Question,
  { query }: FastifyRequest<{ Querystring: Query }>,
  reply: FastifyReply,
): Promise<void> {
  const parameters = new Parameters(query, ["worker", "format", "debug"]);
  parameters.oneOf("debug", ["1", "2"]);
  const format = parameters.oneOf("format", ["text", "json"]) ?? "text";
  const asked = parameters.text("worker");
  const { profiled } = state;
  if (asked !== undefined && !profiled.includes(asked))
    throw new BadParameter(`worker: ${JSON.stringify(asked)} is none of ${profiled.join(", ")}`);
  const all = await state.inspect(question);
  const answers = all.filter(({ worker }) => asked === undefined || worker === asked);
  if (format === "json") await reply.send(answers);
  else await reply.type("text/plain; charset=utf-8").send(answers.map((each) => section(question, each)).join(""));
}

export function inspectionRoutes(app: FastifyInstance, state: AdminState): void {
  for (const question of ["threads", "eventloop"] as const)
    app.get<{ Querystring: Query }>(`/debug/pprof/${question}`, (request, reply) =>
      answer(state, question, request, reply),
    );
}
