// A directory whose size is limited, so that its disk can be filled: a tmpfs of its own.
//
// Where mounting is not permitted there is none, and whoever asked has to say so loudly and fill the spool's cap instead.
// It is unmounted when the process exits, however it does, but for SIGKILL.

import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { reapDirectory, removeDirectory } from "../kafka/reaper.ts";

const FILL_MS = 100;
/** Pieces in which what is left is taken, in bytes; the last one is a page. */
const PIECES = [1 << 20, 1 << 16, 1 << 12] as const;

export class SmallDisk implements AsyncDisposable {
  /** Why it could not be limited; then it is an ordinary directory. */
  readonly unlimited: string | undefined;
  readonly #root: string;
  #isFilling = false;
  #filling: Promise<void> = Promise.resolve();
  #isMounted: boolean;

  private constructor(root: string, unlimited: string | undefined) {
    this.#root = root;
    this.unlimited = unlimited;
    this.#isMounted = unlimited === undefined;
    if (this.#isMounted) process.once("exit", () => this.#unmount());
  }

  static async create(bytes: number): Promise<SmallDisk> {
    const root = mkdtempSync(join(tmpdir(), "sluice-chaos-disk-"));
    reapDirectory(root);
    const failure = await promisify(execFile)("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", root]).then(
      () => undefined,
      (error: unknown) => (error as { stderr?: string }).stderr?.trim() ?? String(error),
    );
    const disk = new SmallDisk(root, failure === "" ? "mount failed" : failure);
    mkdirSync(disk.path);
    return disk;
  }

  /** A directory on it. */
  get path(): string {
    return join(this.#root, "data");
  }

  /** Takes all room that is there, and what becomes free later, until `release`. Resolves when the disk is full. */
  async fill(): Promise<void> {
    if (this.unlimited !== undefined) throw new Error(`the directory has no limit: ${this.unlimited}`);
    this.#isFilling = true;
    await this.#take();
    this.#filling = this.#goOn();
  }

  async release(): Promise<void> {
    this.#isFilling = false;
    await this.#filling;
    await rm(this.#ballast, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
    this.#unmount();
    removeDirectory(this.#root);
  }

  get #ballast(): string {
    return join(this.#root, "ballast");
  }

  async #goOn(): Promise<void> {
    while (this.#isFilling) {
      await this.#take();
      await sleep(FILL_MS);
    }
  }

  async #take(): Promise<void> {
    const file = await open(this.#ballast, "a");
    try {
      for (const bytes of PIECES) {
        const piece = Buffer.alloc(bytes, 1);
        while ((await file.write(piece).then(({ bytesWritten }) => bytesWritten, isFull)) === bytes);
      }
    } finally {
      await file.close();
    }
  }

  #unmount(): void {
    if (!this.#isMounted) return;
    this.#isMounted = false;
    // Lazily: the service may still be about to let go of it.
    execFileSync("umount", ["-l", this.#root]);
  }
}

function isFull(error: NodeJS.ErrnoException): number {
  if (error.code !== "ENOSPC") throw error;
  return 0;
}
