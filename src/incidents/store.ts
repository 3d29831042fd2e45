// The incidents that are kept: one directory each below DATA_DIR/incidents, bounded by count and bytes, oldest out first.
//
// Invariants: what is asked for by its id or by a file's name is looked up among what is known, never in the file system, so
// that no request can name a path. Those that are being recorded are not put out; a file for which there is no room even
// without all the others is left out, and told.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { errorCode, nodeFileSystem } from "../spool/file-system.ts";
import { Bundle, type Content } from "./bundle.ts";
import { type Cause, type Incident, incidentId, incidentOf, isIncidentId } from "./incident.ts";

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
    await this.#makeRoom(0, 1);
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
    if (this.bytes + bytes > this.#options.bytesMax)
      throw new Error(`${bytes} bytes do not fit below INCIDENTS_BYTES_MAX (${this.#options.bytesMax})`);
    await bundle.write(name, content);
  }

  async #makeRoom(bytes: number, count = 0): Promise<void> {
    const { countMax, bytesMax } = this.#options;
    const room = this.#tidying.then(async () => {
      for (const id of [...this.#bundles.keys()].sort()) {
        if (this.#bundles.size + count <= countMax && this.bytes + bytes <= bytesMax) return;
        const bundle = this.#bundles.get(id)!;
        if (bundle.incident.state === "recording") continue;
        this.#bundles.delete(id);
        await bundle.remove().catch((error: unknown) => {
          this.#unusable(id, error);
        });
      }
    });
    this.#tidying = room.catch(() => {});
    await room;
  }
}
