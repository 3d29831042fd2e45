// The directory of one incident, as whoever records it sees it: files are added, what is said about it grows.
//
//   DATA_DIR/incidents/<id>/incident.json      what it is, and what could not be taken
//   DATA_DIR/incidents/<id>/profile-before.pb.gz, …
//
// Invariants: a file is written under a temporary name and renamed, so that a reader, and the next start after a death, finds
// whole files only. incident.json is the first file and is written anew after every change; what it says of other files is read
// from the directory when it is opened again. Nothing is synced: it is made for deaths of processes, and a bundle that a power
// cut takes is no reason to make the spool wait for the disk.

import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type BundleFile, type Incident, isIncident } from "./incident.ts";

const DESCRIPTION = "incident.json";
/** What can be in a bundle is named by us; see `isFileName`. */
const FILE_NAME = /^[a-z][a-z0-9-]{0,60}(?:\.[a-z0-9]{1,8}){1,3}$/;
const TEMPORARY = ".tmp";

export type Content = Uint8Array | string;

/** Whether it may be a file of a bundle. */
export function isFileName(name: string): boolean {
  return FILE_NAME.test(name) && name !== DESCRIPTION && !name.endsWith(TEMPORARY);
}

export class Bundle {
  readonly dir: string;
  #incident: Incident;
  #descriptionBytes = 0;
  /** Writes of incident.json follow each other. */
  #saving: Promise<void> = Promise.resolve();

  private constructor(dir: string, incident: Incident) {
    this.dir = dir;
    this.#incident = incident;
  }

  /** Makes the directory; rejects with EEXIST if it is there. Leaves none if it rejects. */
  static async create(parent: string, incident: Incident): Promise<Bundle> {
    const bundle = new Bundle(join(parent, incident.id), incident);
    await mkdir(bundle.dir, { mode: 0o700 });
    try {
      await bundle.update({});
    } catch (error) {
      await bundle.remove().catch(() => {});
      throw error;
    }
    return bundle;
  }

  /**
   * Undefined if the directory holds no incident. Files that were being written when their writer died are removed; what is no
   * file is passed over.
   */
  static async open(parent: string, id: string): Promise<Bundle | undefined> {
    const dir = join(parent, id);
    const description = await readIfThere(join(dir, DESCRIPTION));
    const incident = description === undefined ? undefined : parse(description);
    if (incident?.id !== id) return undefined;
    const files: BundleFile[] = [];
    for (const name of (await readdir(dir)).sort()) {
      const path = join(dir, name);
      if (name.endsWith(TEMPORARY)) await rm(path, { force: true, recursive: true }).catch(() => {});
      if (!isFileName(name)) continue;
      const stats = await stat(path).catch(() => undefined);
      if (stats?.isFile() === true) files.push({ name, bytes: stats.size });
    }
    const bundle = new Bundle(dir, { ...incident, files });
    bundle.#descriptionBytes = Buffer.byteLength(description!);
    return bundle;
  }

  get incident(): Incident {
    return this.#incident;
  }

  /** Of all its files. */
  get bytes(): number {
    return this.#incident.files.reduce((sum, { bytes }) => sum + bytes, this.#descriptionBytes);
  }

  /** Adds a file, or replaces it. */
  async write(name: string, content: Content): Promise<void> {
    if (!isFileName(name)) throw new Error(`assertion failed: ${name} is no name of a bundle's file`);
    await this.#replace(name, content);
    const bytes = Buffer.byteLength(content);
    const others = this.#incident.files.filter((file) => file.name !== name);
    const files = [...others, { name, bytes }].sort((a, b) => (a.name < b.name ? -1 : 1));
    await this.update({ files });
  }

  /** Changes what is said of it. */
  async update(change: Partial<Omit<Incident, "id">>): Promise<void> {
    this.#incident = { ...this.#incident, ...change };
    const save = async () => {
      const text = `${JSON.stringify(this.#incident, undefined, 2)}\n`;
      this.#descriptionBytes = Buffer.byteLength(text);
      await this.#replace(DESCRIPTION, text);
    };
    const saved = this.#saving.then(save);
    this.#saving = saved.catch(() => {});
    await saved;
  }

  /** Tells what could not be taken. */
  async problem(sentence: string): Promise<void> {
    await this.update({ problems: [...this.#incident.problems, sentence] });
  }

  async remove(): Promise<void> {
    await this.#saving;
    await rm(this.dir, { recursive: true, force: true });
  }

  async #replace(name: string, content: Content): Promise<void> {
    const temporary = join(this.dir, `${name}${TEMPORARY}`);
    await writeFile(temporary, content, { mode: 0o600 });
    await rename(temporary, join(this.dir, name));
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return undefined;
  }
}

function parse(text: string): Incident | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isIncident(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
