// The watchdog's reports of a process, as they lie on disk.

import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { stuckProfile, stuckText } from "../profiling/stuck-profile.ts";
import { isStuckReport, STUCK_FILE_PREFIX, type StuckReport } from "../profiling/stuck-report.ts";
import type { Cause } from "./incident.ts";
import { type Attachment, PROFILE_STUCK, STACK } from "./files.ts";

const gzipAsync = promisify(gzip);

export interface FoundReport {
  readonly cause: Cause;
  readonly attachments: readonly Attachment[];
  /** The file, by which a report that could not be removed is known again. */
  readonly path: string;
  /** Removes the file, if that is possible; whoever has the content in safety calls it. */
  remove(): Promise<void>;
}

/** What the watchdog of a process left in `dir`. A file that is none is removed. */
export async function findStuckReports(dir: string, worker: string): Promise<FoundReport[]> {
  const names = (await readdir(dir).catch(() => [])).filter(
    (name) => name.startsWith(STUCK_FILE_PREFIX) && name.endsWith(".json"),
  );
  const found: FoundReport[] = [];
  for (const name of names.sort()) {
    const path = join(dir, name);
    const remove = () => rm(path, { force: true }).catch(() => {});
    const report = await read(path, worker);
    if (report === undefined) await remove();
    else found.push({ ...report, path, remove });
  }
  return found;
}

async function read(path: string, worker: string): Promise<Pick<FoundReport, "cause" | "attachments"> | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"));
    if (!isStuckReport(value)) return undefined;
    return { cause: causeOf(value, worker), attachments: await attachmentsOf(value, worker) };
  } catch {
    return undefined;
  }
}

function causeOf({ atMs, stuckMs, stacks, problem }: StuckReport, worker: string): Cause {
  const seconds = stuckMs / 1000;
  const leaf = [...stacks].sort((a, b) => b.count - a.count)[0]?.frames[0];
  if (leaf === undefined) {
    const why = `its main thread was stuck for ${seconds} s; ${problem ?? "nobody knows where"}`;
    return { kind: "unresponsive", worker, atMs, why, value: seconds };
  }
  const name = leaf.name === "" ? "(anonymous)" : leaf.name;
  return {
    kind: "stuck_loop",
    worker,
    atMs,
    why: `its main thread was stuck for ${seconds} s in ${name} (${leaf.url}:${leaf.line})`,
    value: seconds,
  };
}

async function attachmentsOf(report: StuckReport, worker: string): Promise<Attachment[]> {
  const text = { name: STACK, content: stuckText(report) };
  if (report.stacks.length === 0) return [text];
  return [text, { name: PROFILE_STUCK, content: await gzipAsync(stuckProfile(report, worker).encode()) }];
}
