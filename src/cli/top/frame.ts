// One frame: the page's numbers as lines of text, for a terminal of a given size.
//
// A pure function of what the service told. The parts come in the order in which one wants to know them, and each has a bound,
// so that on a small terminal the blank lines between them go first, and then the last of them.

import type { LiveSnapshot } from "../../admin/live/model.ts";
import { formatAge, printable } from "../table.ts";
import { type Line, paint, span } from "./line.ts";
import { incidentLines, queueLines, spoolLines, stageLines, throughputLines } from "./numbers.ts";
import { brokerLines, callerLines, workerLines } from "./parts.ts";

export interface FrameOptions {
  /** In characters. */
  readonly width: number;
  /** In lines; Infinity: as many as there are. */
  readonly height: number;
  readonly colour: boolean;
  /** Where the service was asked, `host:port`. */
  readonly where: string;
  /** What is wrong with the connection; undefined: nothing. */
  readonly trouble?: string | undefined;
}

/** Lines without their ends, none longer than the width and no more than the height. */
export function renderFrame(snapshot: LiveSnapshot, options: FrameOptions): string[] {
  const { width, height, colour, trouble } = options;
  const parts: Line[][] = [
    throughputLines(snapshot, width),
    stageLines(snapshot, width),
    queueLines(snapshot),
    brokerLines(snapshot, width),
    workerLines(snapshot, width),
    spoolLines(snapshot),
    incidentLines(snapshot),
    callerLines(snapshot),
  ].filter((part) => part.length > 0);
  const head: Line[] = [
    statusLine(snapshot, options),
    bottleneckLine(snapshot),
    ...(trouble === undefined ? [] : [[span(printable(trouble), "bad")]]),
    ...noteLines(snapshot),
  ];
  const roomy = [...head, ...parts.flatMap((part) => [[], ...part])];
  const lines = roomy.length <= height ? roomy : [...head, ...parts.flat()];
  return lines.slice(0, height).map((line) => paint(line, width, colour));
}

const time = (ms: number): string => new Date(ms).toISOString().slice(11, 19);

function statusLine({ atMs, service }: LiveSnapshot, { where, width }: FrameOptions): Line {
  const { version, host, workers, workersUp, ready, startedAtMs } = service;
  const left = [
    span("sluice ", "strong"),
    span(`${version} on ${printable(host)} (${where})  `),
    ready ? span("ready", "good") : span("NOT READY", "bad"),
    span("  "),
    span(`${workersUp} of ${workers} workers`, workersUp < workers ? "bad" : "plain"),
    span(`  up ${formatAge((atMs - startedAtMs) / 1000)}`),
  ];
  const clock = `${time(atMs)} UTC`;
  const used = left.reduce((sum, { text }) => sum + text.length, 0);
  // On a narrow terminal the clock is the first to go.
  const room = width - used - clock.length;
  return room < 2 ? left : [...left, span(" ".repeat(room)), span(clock, "name")];
}

function bottleneckLine({ bottleneck: { stage, sentence } }: LiveSnapshot): Line {
  return stage === "none" ? [span(printable(sentence), "good")] : [span(printable(sentence), "bad")];
}

function noteLines({ bottleneck: { notes }, service: { problems } }: LiveSnapshot): Line[] {
  const ofWorker = (worker: string | null) => (worker === null ? "" : `worker ${worker}: `);
  return [
    ...problems.map(({ worker, reason }) => `! ${ofWorker(worker)}${reason}`),
    ...notes.map((note) => `  ${note}`),
  ]
    .slice(0, 4)
    .map((text) => [span(printable(text), "warn")]);
}
