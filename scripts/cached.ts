// What is fetched or built once for tests and trials: a folder in the repository's .cache, made anew when what it is made
// from has changed.
//
// Test files run as processes at the same time, so making it is guarded by a lock; a marker with the hash of the sources says
// that what lies there is complete.

import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { withFileLock } from "./file-lock.ts";

const CACHE = join(import.meta.dirname, "..", ".cache");

export class CachedFolder {
  readonly path: string;
  readonly #name: string;
  readonly #sources: readonly string[];

  /** @param sources files whose content says what is in the folder, for example a pom.xml. */
  constructor(name: string, sources: readonly string[]) {
    this.path = join(CACHE, name);
    this.#name = name;
    this.#sources = sources;
  }

  /** Resolves when the folder is complete. @param make fills the empty folder; whatever it throws is thrown. */
  async complete(make: (folder: string) => Promise<void>): Promise<string> {
    if (await this.isComplete()) return this.path;
    await withFileLock(join(CACHE, `${this.#name}.lock`), async () => {
      // Whoever held the lock before may have done it.
      if (await this.isComplete()) return;
      await rm(this.path, { recursive: true, force: true });
      await mkdir(this.path, { recursive: true });
      await make(this.path);
      await writeFile(this.#marker, await this.#hash());
    });
    return this.path;
  }

  async isComplete(): Promise<boolean> {
    const marked = await readFile(this.#marker, "utf8").catch(() => undefined);
    return marked !== undefined && marked === (await this.#hash());
  }

  get #marker(): string {
    return join(this.path, "complete");
  }

  async #hash(): Promise<string> {
    const hash = createHash("sha256");
    for (const source of this.#sources) hash.update(await readFile(source));
    return hash.digest("hex");
  }
}
