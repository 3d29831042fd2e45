// What an incident left on disk, and what has to be in it: that it is whole, reaches back to before it, and names the guilty one.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Incident, isIncidentId } from "../../../src/incidents/incident.ts";
import type { HistoryRange } from "../../../src/telemetry/history.ts";
import { decode } from "../../profiling/read.ts";
import { assertNoCanary } from "../../support/canaries.ts";
import { pprofTop } from "../../support/pprof-top.ts";

/** The module that the harmed service runs. */
export const HARMFUL = join(import.meta.dirname, "harmful-service.ts");
/** How far an incident's profile and history have to reach back at least. */
const BACK_MS = 5_000;

/** What one incident left. */
export interface Bundle {
  readonly incident: Incident;
  readonly files: ReadonlyMap<string, Buffer>;
}

/** All bundles of a service, oldest first. Fails if there is a canary in one. */
export async function readBundles(root: string): Promise<Bundle[]> {
  const ids = (await readdir(root)).filter(isIncidentId).sort();
  return await Promise.all(
    ids.map(async (id): Promise<Bundle> => {
      const names = await readdir(join(root, id));
      const files = new Map(
        await Promise.all(names.map(async (name) => [name, await readFile(join(root, id, name))] as const)),
      );
      for (const [name, bytes] of files) assertNoCanary(bytes, `${id}/${name}`);
      return { incident: JSON.parse(files.get("incident.json")!.toString()) as Incident, files };
    }),
  );
}

/** The bundle of an incident, which has to say what is told of it and what it is made of. */
export function bundleOf(bundles: readonly Bundle[], { id }: Incident): Bundle {
  const bundle = bundles.find(({ incident }) => incident.id === id);
  assert.ok(bundle, `${id} is among ${bundles.map(({ incident }) => incident.id).join(", ")}`);
  assert.equal(bundle.incident.state, "complete");
  const listed = bundle.incident.files.map(({ name }) => name);
  assert.deepEqual(new Set([...listed, "incident.json"]), new Set(bundle.files.keys()));
  for (const name of ["history.json", "log.ndjson", "threads.json", "ledger.json", "versions.json", "config.json"])
    assert.ok(
      bundle.files.has(name),
      `${name} is among ${listed.join(", ")}; problems: ${bundle.incident.problems.join("; ")}`,
    );
  return bundle;
}

export function fileOf({ incident, files }: Bundle, name: string): Buffer {
  const bytes = files.get(name);
  assert.ok(bytes, `${name}; problems: ${incident.problems.join("; ")}`);
  return bytes;
}

/** Fails unless profile and history begin before the incident, and the history shows the load of that time. */
export function assertReachesBack(bundle: Bundle): void {
  const { atMs, worker } = bundle.incident;
  const profile = decode(fileOf(bundle, "profile-before.pb.gz"));
  const fromMs = Number(profile.timeNanos) / 1e6;
  assert.ok(fromMs <= atMs - BACK_MS, `the profile begins ${atMs - fromMs} ms before`);
  assert.ok(fromMs + Number(profile.durationNanos) / 1e6 >= atMs - BACK_MS, "the profile reaches up to the incident");
  const { workers } = JSON.parse(fileOf(bundle, "history.json").toString()) as HistoryRange;
  const { t, series } = workers[worker === "all" ? "0" : worker]!;
  const events = series["eventsPerSecond"]!;
  assert.ok(
    t.some((ms, i) => ms < atMs - BACK_MS && (events[i] ?? 0) > 0),
    "the history shows the load of before",
  );
}

/** Fails unless the profile's first function is this one of the harmful service, with a line that lies in it. */
export async function assertGuilty(
  profile: Uint8Array,
  name: string,
  sampleType = "cpu",
  ignore?: string,
): Promise<void> {
  const top = await pprofTop(profile, sampleType, ignore);
  const [, found, file, line] = /^(\S+) (.+):(\d+)$/.exec(top) ?? [];
  assert.deepEqual({ name: found, file }, { name, file: HARMFUL }, `the top is ${JSON.stringify(top)}`);
  const source = readFileSync(HARMFUL, "utf8").split("\n");
  const begin = source.findIndex((text) => text.startsWith(`function ${name}(`)) + 1;
  const end = source.indexOf("}", begin) + 1;
  assert.ok(Number(line) >= begin && Number(line) <= end, `line ${line} is in ${begin} to ${end}`);
}
