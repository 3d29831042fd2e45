// Incidents made by hand, as the recorder leaves them, for tests of what shows them.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import type { IncidentState } from "../../src/admin/state.ts";
import { type Incident, incidentId, incidentOf } from "../../src/incidents/incident.ts";
import { type Given, profile } from "../profiling/build.ts";

/** Of every scene. */
export const AT_MS = Date.UTC(2026, 2, 1, 10, 11, 12, 345);

export class Scene implements IncidentState, Disposable {
  readonly forced: string[] = [];
  /** What `force` gives. */
  next: Incident | undefined;
  readonly #dir = mkdtempSync(join(tmpdir(), "sluice-scene-"));
  readonly #all: Incident[] = [];

  /** Adds an incident with these files. */
  add(change: Partial<Incident>, files: Readonly<Record<string, string | Buffer>> = {}): Incident {
    const cause = {
      kind: "cpu" as const,
      worker: "1",
      atMs: AT_MS,
      why: "worker 1 used 0.97 cores, against 0.31 before",
      value: 0.97,
      mean: 0.31,
      ...change,
    };
    const id = incidentId(cause);
    mkdirSync(join(this.#dir, id));
    for (const [name, content] of Object.entries(files)) writeFileSync(join(this.#dir, id, name), content);
    const listed = Object.entries(files).map(([name, content]) => ({ name, bytes: Buffer.byteLength(content) }));
    const incident: Incident = { ...incidentOf(id, cause), state: "complete", files: listed, ...change };
    this.#all.unshift(incident);
    return incident;
  }

  incidents(): readonly Incident[] {
    return this.#all;
  }

  incident(id: string): Incident | undefined {
    return this.#all.find((incident) => incident.id === id);
  }

  incidentFile(id: string, name: string): string | undefined {
    const known = this.incident(id)?.files.some((file) => file.name === name) === true;
    return known ? join(this.#dir, id, name) : undefined;
  }

  incidentArchive(id: string): Promise<Readable | undefined> {
    return Promise.resolve(this.incident(id) === undefined ? undefined : Readable.from([gzipSync(`archive of ${id}`)]));
  }

  forceIncident(why: string): Promise<Incident | undefined> {
    this.forced.push(why);
    return Promise.resolve(this.next);
  }

  [Symbol.dispose](): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

const TYPES = ["sample", "cpu"];

function encoded(samples: readonly Given[], seconds: number): Buffer {
  return gzipSync(profile(samples, AT_MS * 1e6, seconds * 1e9, TYPES).encode());
}

const history = (): string => {
  const t = Array.from({ length: 330 }, (_, i) => AT_MS - 300_000 + i * 1000);
  const wave = (i: number, scale: number) => scale * (1 + 0.2 * Math.sin(i / 7));
  const of = (worker: number) => ({
    t,
    series: {
      cpu: t.map((_, i) => (worker === 1 && i > 292 ? 0.97 : wave(i + worker * 9, 0.3))),
      eventLoopDelayMax: t.map((_, i) => (worker === 1 && i > 292 ? 0.4 : wave(i, 0.011))),
      rssBytes: t.map((_, i) => 120 * 1024 ** 2 + i * 50_000 * (worker + 1)),
      eventsPerSecond: t.map((_, i) => wave(i, 12_000)),
      kafkaQueuedBytes: t.map(() => null),
    },
  });
  return JSON.stringify({
    names: ["cpu", "eventLoopDelayMax", "rssBytes", "eventsPerSecond", "kafkaQueuedBytes"],
    workers: { 0: of(0), 1: of(1), supervisor: of(2) },
  });
};

const LOG = [
  { level: "info", time: "2026-03-01T10:06:00.000Z", process: "worker 1", msg: "ready", port: 50051 },
  {
    level: "warn",
    time: AT_MS,
    process: "supervisor",
    msg: "an incident is recorded",
    reason: "<script>alert(1)</script>",
  },
];

const thread = (name: string, tid: number, cpuUserSeconds: number) => ({
  name,
  tid,
  cpuUserSeconds,
  cpuSystemSeconds: 0.5,
  runQueueSeconds: 0.02,
  voluntarySwitches: 1234,
  involuntarySwitches: 5,
});

/** The files of a worker 1 that began to spin. */
export function hotHandlerFiles(): Readonly<Record<string, string | Buffer>> {
  const of = (worker: string, value: number, ...stack: (readonly [string, number])[]): Given => ({
    stack,
    value: [value, value],
    labels: { worker },
  });
  const before = [
    of("0", 300, ["parse", 10], ["handle", 20], ["onTurn", 30]),
    of("1", 280, ["parse", 10], ["handle", 20], ["onTurn", 30]),
    of("1", 40, ["burn", 5], ["handle", 21], ["onTurn", 30]),
  ];
  const after = [
    of("0", 30, ["parse", 10], ["handle", 20], ["onTurn", 30]),
    of("1", 25, ["parse", 10], ["handle", 20], ["onTurn", 30]),
    of("1", 270, ["burn", 5], ["handle", 21], ["onTurn", 30]),
    of("1", 9, ["settle", 44], ["onTurn", 31]),
  ];
  return {
    "history.json": history(),
    "log.ndjson": LOG.map((line) => `${JSON.stringify(line)}\n`).join(""),
    "profile-after.pb.gz": encoded(after, 30),
    "profile-before.pb.gz": encoded(before, 300),
    "threads.json": JSON.stringify({
      0: [thread("node", 10, 3)],
      1: [thread("node", 20, 29), thread("libuv-worker", 21, 1)],
    }),
  };
}
