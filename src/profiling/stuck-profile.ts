// A stuck thread's stacks as text for people, and as a profile for `go tool pprof`.

import { fileURLToPath } from "node:url";
import { Profile, StringTable, type FunctionInput, type LocationInput, type SampleInput } from "pprof-format";
import type { StuckFrame, StuckReport } from "./stuck-report.ts";

function fileOf(url: string): string {
  if (!url.startsWith("file:")) return url;
  try {
    return fileURLToPath(url);
  } catch {
    return url;
  }
}

const nameOf = ({ name }: StuckFrame) => (name === "" ? "(anonymous)" : name);

/** The stacks for people, the most frequent first. */
export function stuckText({ stuckMs, stacks, problem }: StuckReport): string {
  const total = stacks.reduce((sum, { count }) => sum + count, 0);
  const parts = [...stacks]
    .sort((a, b) => b.count - a.count)
    .map(({ frames, count }) =>
      [
        `seen ${count} of ${total} times:`,
        ...frames.map((frame) => `    at ${nameOf(frame)} (${fileOf(frame.url)}:${frame.line})`),
      ].join("\n"),
    );
  const head = `The main thread had not come back to its event loop for ${(stuckMs / 1000).toFixed(1)} s.`;
  return `${[head, ...(problem === undefined ? [] : [problem]), ...parts].join("\n\n")}\n`;
}

/** The stacks as a CPU profile of the same sample types as the recorded ones; lines are those where the thread was seen. */
export function stuckProfile(report: StuckReport, worker: string): Profile {
  const strings = new StringTable();
  const functions = new Map<string, FunctionInput & { id: number }>();
  const locations = new Map<string, LocationInput & { id: number }>();
  const locationOf = (frame: StuckFrame): number => {
    const key = JSON.stringify([frame.name, frame.url, frame.startLine]);
    let f = functions.get(key);
    if (f === undefined) {
      const name = strings.dedup(nameOf(frame));
      const filename = strings.dedup(fileOf(frame.url));
      f = { id: functions.size + 1, name, systemName: name, filename, startLine: frame.startLine };
      functions.set(key, f);
    }
    const place = `${f.id}:${frame.line}`;
    let location = locations.get(place);
    if (location === undefined) {
      location = { id: locations.size + 1, line: [{ functionId: f.id, line: frame.line }] };
      locations.set(place, location);
    }
    return location.id;
  };
  const intervalNanos = report.intervalMs * 1e6;
  const label = [{ key: strings.dedup("worker"), str: strings.dedup(worker), num: 0, numUnit: 0 }];
  const sample: SampleInput[] = report.stacks.map(({ frames, count }) => ({
    locationId: frames.map(locationOf),
    label,
    value: [count, count * intervalNanos, count * intervalNanos],
  }));
  const valueType = (type: string, unit: string) => ({ type: strings.dedup(type), unit: strings.dedup(unit) });
  return new Profile({
    sampleType: [valueType("sample", "count"), valueType("wall", "nanoseconds"), valueType("cpu", "nanoseconds")],
    sample,
    location: [...locations.values()],
    function: [...functions.values()],
    stringTable: strings,
    timeNanos: report.atMs * 1e6,
    durationNanos: report.stacks.reduce((sum, { count }) => sum + count, 0) * intervalNanos,
    periodType: valueType("wall", "nanoseconds"),
    period: intervalNanos,
  });
}
