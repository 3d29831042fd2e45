// The progress bar of `sluice send`: there on a terminal, silent everywhere else.

import { SingleBar } from "cli-progress";
import type { Output } from "../io.ts";
import { formatCount } from "../table.ts";

export interface Progress {
  /** @param bytes of the input read so far. */
  update(bytes: number, events: number, eventsPerSecond: number): void;
  /** Prints lines above the bar. */
  print(lines: readonly string[]): void;
  stop(): void;
}

/** @param bytesTotal undefined: nobody knows, so there is a count and no bar. */
export function startProgress(out: Output, bytesTotal: number | undefined): Progress {
  const print = (lines: readonly string[]) => out.write(lines.map((line) => `${line}\n`).join(""));
  if (out.isTTY !== true) return { update: () => {}, print, stop: () => {} };
  const known = bytesTotal !== undefined && bytesTotal > 0;
  const bar = new SingleBar({
    stream: out,
    format: `  ${known ? "[{bar}] {percentage}%  " : ""}{events} events  {rate} events/s`,
    barCompleteChar: "=",
    barIncompleteChar: " ",
    barsize: 40,
    hideCursor: true,
    gracefulExit: false,
    fps: 10,
  });
  const start = () => {
    bar.start(known ? bytesTotal : 1, 0, { events: "0", rate: "0" });
  };
  start();
  return {
    update: (bytes, events, eventsPerSecond) => {
      bar.update(known ? Math.min(bytes, bytesTotal) : 0, {
        events: formatCount(events),
        rate: formatCount(eventsPerSecond),
      });
    },
    print: (lines) => {
      out.write("\r\u001B[2K");
      print(lines);
    },
    stop: () => {
      bar.stop();
    },
  };
}
