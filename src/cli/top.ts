// `sluice top`: the page's numbers in a terminal, by the second.
//
// On a terminal it draws frames until it is told to stop; elsewhere it writes a line each time. `--once` and `--json` ask once.

import type { LiveSnapshot } from "../admin/live/model.ts";
import { LIVE_PATH } from "../admin/paths.ts";
import { duration } from "../config/kinds.ts";
import { AdminPort } from "./admin-port.ts";
import { ADMIN_NOTE, adminFlags } from "./admin-target.ts";
import { command } from "./command.ts";
import { toggle, withDefault } from "./flag.ts";
import { type CliIo, Exit, printLines } from "./io.ts";
import { printable } from "./table.ts";
import { renderFrame } from "./top/frame.ts";
import { appendHistory } from "./top/history.ts";
import { tellLive } from "./top/live-source.ts";
import { SPARK_SECONDS } from "./top/numbers.ts";
import { plainLine } from "./top/plain.ts";
import { Screen } from "./top/screen.ts";

/** Of a frame that goes where nobody knows how wide it is. */
const WIDTH = 120;

export const top = command({
  name: "top",
  positionals: "",
  flags: {
    once: toggle("Print one frame as text, and end."),
    json: toggle("Print what the service tells as JSON, once, and end."),
    interval: withDefault(duration(1_000, 3_600_000), "1s", "How often a frame is drawn."),
    ...adminFlags,
  },
  notes: [
    "Shows throughput, what acknowledgements wait for, queues, brokers, workers, clients, spool and incidents of a service while they happen. `q` or Ctrl-C ends it.",
    "Where the output is no terminal, it prints a line each time. NO_COLOR turns colours off.",
    ADMIN_NOTE,
  ],
  examples: ["sluice top", "sluice top --admin pod-0:9464 --token-file token", "sluice top --json | jq .bottleneck"],
  run: async (values, _positionals, io) => {
    const quit = new AbortController();
    const signal = AbortSignal.any([io.shutdown, quit.signal]);
    const port = AdminPort.of("top", values, { ...io, shutdown: signal });
    if (port === undefined) return Exit.USAGE;
    const { once, json, interval: intervalMs } = values;
    if (once || json) {
      const body = await port.get(`${LIVE_PATH}?seconds=${SPARK_SECONDS}`);
      printLines(io.stdout, json ? [body.toString().trimEnd()] : frameOf(JSON.parse(body.toString()), port, io));
      return Exit.OK;
    }
    if (io.stdout.isTTY === true) await watch(port, intervalMs, signal, io, quit);
    else await log(port, intervalMs, signal, io);
    return Exit.OK;
  },
});

const isColoured = ({ stdout, env }: CliIo): boolean => stdout.isTTY === true && (env["NO_COLOR"] ?? "") === "";

function frameOf(snapshot: LiveSnapshot, port: AdminPort, io: CliIo): string[] {
  const width = io.stdout.columns ?? WIDTH;
  return renderFrame(snapshot, { width, height: Infinity, colour: isColoured(io), where: port.where });
}

/** Draws until the signal comes. */
async function watch(
  port: AdminPort,
  intervalMs: number,
  signal: AbortSignal,
  io: CliIo,
  quit: AbortController,
): Promise<void> {
  let known: LiveSnapshot | undefined;
  let trouble: string | undefined;
  const told = tellLive(port, SPARK_SECONDS, signal);
  // Whoever cannot be reached is told on the screen that the user was on.
  const first = await told.next();
  if (first.done === true) return;
  using screen = new Screen(
    io.stdout,
    io.stdin,
    () => {
      quit.abort();
    },
    () => {
      draw();
    },
  );
  const draw = (): void => {
    if (known === undefined) return;
    const { width, height } = screen;
    screen.draw(renderFrame(known, { width, height, colour: isColoured(io), where: port.where, trouble }));
  };
  let drawnMs = -Infinity;
  for (let next: IteratorResult<Awaited<typeof first>["value"]> = first; next.done !== true; next = await told.next()) {
    const { snapshot } = next.value;
    ({ trouble } = next.value);
    if (snapshot !== undefined)
      known = {
        ...snapshot,
        history: known === undefined ? snapshot.history : appendHistory(known.history, snapshot.history, SPARK_SECONDS),
      };
    const nowMs = performance.now();
    // Seconds do not come to the millisecond.
    if (snapshot !== undefined && nowMs - drawnMs < intervalMs - 500) continue;
    drawnMs = nowMs;
    draw();
  }
}

/** Writes lines until the signal comes. */
async function log(port: AdminPort, intervalMs: number, signal: AbortSignal, io: CliIo): Promise<void> {
  let writtenMs = -Infinity;
  for await (const { snapshot, trouble } of tellLive(port, 1, signal)) {
    if (trouble !== undefined) printLines(io.stderr, [`sluice top: ${printable(trouble)}`]);
    const nowMs = performance.now();
    if (snapshot === undefined || nowMs - writtenMs < intervalMs - 500) continue;
    writtenMs = nowMs;
    printLines(io.stdout, [plainLine(snapshot)]);
  }
}
