// The incidents that are kept: one directory each below DATA_DIR/incidents, bounded by count and bytes.
//
// What goes first is a repeat: the oldest incident of the kind and worker of which there are most. A condition that stays makes
// one incident after another, and the one crash of last week is worth more than the twentieth of them. Rejected: the oldest of
// all, with which that condition puts everything else out within hours.
//
// Invariants: what is asked for by its id or by a file's name is looked up among what is known, never in the file system, so
// that no request can name a path. Those that are being recorded are not put out; a file for which there is no room even
// without all the others is left out, and told.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { errorCode, nodeFileSystem } from "../spool/file-system.ts";
import { Bundle, type Content } from "./bundle.ts";
import { ALL_PROCESSES, type Cause, type Incident, incidentId, incidentOf, isIncidentId } from "./incident.ts";

export interface IncidentStoreOptions {
  /** DATA_DIR/incidents. */
  readonly dir: string;
  readonly countMax: number;
  readonly bytesMax: number;
  /** Told of a directory that cannot be read or removed; it counts for nothing until the next start. */
  readonly unusable?: (id: string, error: unknown) => void;
}

/** How many incidents of one kind and worker may happen in one millisecond. */
const ATTEMPTS_MAX = 100;

export class IncidentStore {
  readonly #options: IncidentStoreOptions;
  readonly #unusable: (id: string, error: unknown) => void;
  readonly #bundles = new Map<string, Bundle>();
  /** Making room is one at a time, or two would put out more than need be. */
  #tidying: Promise<void> = Promise.resolve();
  /** Of the files that are being written: each has its room before the next one asks. */
  #reservedBytes = 0;

  constructor(options: IncidentStoreOptions) {
    this.#options = options;
    this.#unusable = options.unusable ?? (() => {});
  }

  /** Takes up what earlier runs left, and makes the directory. May be called again after it has failed. */
  async open(): Promise<void> {
    const { dir } = this.#options;
    await nodeFileSystem.makeDirectory(dir);
    for (const id of (await readdir(dir)).filter(isIncidentId).sort()) {
      try {
        const bundle = await Bundle.open(dir, id);
        if (bundle !== undefined) this.#bundles.set(id, bundle);
      } catch (error) {
        this.#unusable(id, error);
      }
    }
    await this.#makeRoom(0);
  }

  /** Of all incidents. */
  get bytes(): number {
    return [...this.#bundles.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The newest first. */
  list(): Incident[] {
    return [...this.#bundles.values()].map(({ incident }) => incident).sort((a, b) => (a.id < b.id ? 1 : -1));
  }

  get(id: string): Incident | undefined {
    return this.#bundles.get(id)?.incident;
  }

  /** The path of a file of an incident; incident.json is one. */
  file(id: string, name: string): string | undefined {
    const bundle = this.#bundles.get(id);
    if (bundle === undefined) return undefined;
    const known = name === "incident.json" || bundle.incident.files.some((file) => file.name === name);
    return known ? join(bundle.dir, name) : undefined;
  }

  /** The directory as a gzipped tar, with its id as the name of the folder in it. */
  async archive(id: string): Promise<Readable | undefined> {
    const bundle = this.#bundles.get(id);
    if (bundle === undefined) return undefined;
    const { create } = await import("tar");
    const names = ["incident.json", ...bundle.incident.files.map(({ name }) => name)].map((name) => join(id, name));
    return Readable.from(create({ gzip: true, portable: true, cwd: this.#options.dir }, names));
  }

  /** Makes the directory of an incident that begins. */
  async create(cause: Cause): Promise<Bundle> {
    await this.#makeRoom(0, cause);
    for (let attempt = 0; ; attempt++) {
      const id = incidentId(cause, attempt);
      try {
        const bundle = await Bundle.create(this.#options.dir, incidentOf(id, cause));
        this.#bundles.set(id, bundle);
        return bundle;
      } catch (error) {
        if (attempt === ATTEMPTS_MAX || errorCode(error) !== "EEXIST") throw error;
      }
    }
  }

  /** Those whose recorder died before they were complete. */
  interrupted(): Bundle[] {
    return [...this.#bundles.values()].filter(({ incident }) => incident.state === "recording");
  }

  /** Adds a file to a bundle if there is room for it. Rejects with a sentence if there is none. */
  async write(bundle: Bundle, name: string, content: Content): Promise<void> {
    const bytes = Buffer.byteLength(content);
    await this.#makeRoom(bytes);
    try {
      await bundle.write(name, content);
    } finally {
      this.#reservedBytes -= bytes;
    }
  }

  /**
   * Puts out what is in the way of a file, or of an incident that begins. Bytes are reserved for whoever asked for them, who gives
   * them back; rejects with a sentence if there is no room for them.
   */
  async #makeRoom(bytes: number, coming?: Cause): Promise<void> {
    const { countMax, bytesMax } = this.#options;
    const count = coming === undefined ? 0 : 1;
    const usedBytes = () => this.bytes + this.#reservedBytes + bytes;
    const room = this.#tidying.then(async () => {
      while (this.#bundles.size + count > countMax || usedBytes() > bytesMax) {
        const bundle = this.#mostRepeated(coming);
        if (bundle === undefined) break;
        const { id } = bundle.incident;
        this.#bundles.delete(id);
        await bundle.remove().catch((error: unknown) => {
          this.#unusable(id, error);
        });
      }
      if (bytes === 0) return;
      if (usedBytes() > bytesMax) throw new Error(`${bytes} bytes do not fit below INCIDENTS_BYTES_MAX (${bytesMax})`);
      this.#reservedBytes += bytes;
    });
    this.#tidying = room.catch(() => {});
    await room;
  }

  /** The oldest complete one of the kind and worker that has most; of several such, the oldest of all. */
  #mostRepeated(coming: Cause | undefined): Bundle | undefined {
    const counts = new Map<string, number>();
    const count = (key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
    if (coming !== undefined) count(keyOf(coming));
    for (const { incident } of this.#bundles.values()) count(keyOf(incident));
    let found: Bundle | undefined;
    let most = 0;
    for (const id of [...this.#bundles.keys()].sort()) {
      const bundle = this.#bundles.get(id)!;
      const repeats = counts.get(keyOf(bundle.incident))!;
      if (bundle.incident.state === "recording" || repeats <= most) continue;
      found = bundle;
      most = repeats;
    }
    return found;
  }
}

function keyOf({ kind, worker }: Pick<Cause, "kind" | "worker">): string {
  return `${kind}-${worker ?? ALL_PROCESSES}`;
}
