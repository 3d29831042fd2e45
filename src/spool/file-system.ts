// What the spool asks of a file system: few operations, so that a simulation can stand in for the disk and break each one.
//
// Rejected: node:fs itself as the seam. Its surface is too wide to imitate, and two of its habits are traps here: a short
// write is a success, and whether a new name survives a power cut is nobody's business until the directory is synced.
//
// Invariants of every implementation: `write` writes everything or rejects; what `sync` resolved for survives a power cut;
// a created, renamed or removed name does so only after `syncDirectory` of its directory.

import type { Stats } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { tryLock } from "fs-native-extensions";

export interface File {
  /** Fills the buffer from the position on as far as the file goes. Resolves with the bytes read. */
  read(buffer: Buffer, position: number): Promise<number>;
  /** Writes all of the buffers, one after the other, or rejects; what lies on disk is unknown then. */
  write(buffers: readonly Buffer[], position: number): Promise<void>;
  truncate(size: number): Promise<void>;
  /** Brings the data, and as much metadata as is needed to read it back, to the disk (fdatasync). */
  sync(): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** An exclusive lock that ends with the process, whatever happens to it. */
export interface FileLock {
  /** False once somebody removed the lock's file, and so most likely its directory. */
  linked(): Promise<boolean>;
  release(): Promise<void>;
}

export interface FileSystem {
  /** `read`: for reading, must exist; `update`: for reading and writing, must exist; `create`: the same, must not exist. */
  open(path: string, mode: "read" | "update" | "create"): Promise<File>;
  /** Creates the file if need be. Undefined if somebody else holds the lock. */
  lock(path: string): Promise<FileLock | undefined>;
  /** The names in a directory, in no order. */
  list(path: string): Promise<string[]>;
  /** Creates a directory and its missing parents. Resolves with the first one created, undefined if it was there. */
  makeDirectory(path: string): Promise<string | undefined>;
  syncDirectory(path: string): Promise<void>;
  /** Replaces what is at `to`. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
}

/** The `code` of a system error, for example `ENOSPC`. */
export function errorCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}

/** Did it fail because the disk, or what this user may have of it, is full? */
export function isFull(thrown: unknown): boolean {
  const code = errorCode(thrown);
  return code === "ENOSPC" || code === "EDQUOT";
}

/** Creates a directory, given as an absolute path, so that it survives a power cut: every parent is synced. */
export async function makeDurableDirectory(fs: FileSystem, path: string): Promise<void> {
  const first = await fs.makeDirectory(path);
  const top = dirname(first ?? path);
  let isOwn = true;
  for (let parent = dirname(path); ; parent = dirname(parent)) {
    // Also those that were there: whoever created them may have died before they were synced. Only, what others look after may
    // be none of this user's business to open.
    await fs.syncDirectory(parent).catch((thrown: unknown) => {
      if (isOwn) throw thrown;
    });
    if (parent === top) isOwn = false;
    if (parent === dirname(parent)) return;
  }
}

/**
 * Creates a directory and its missing parents, one plain mkdir for each. Resolves with the first one that was missing,
 * undefined if none was. Rejected: mkdir's `recursive`. It takes ENOENT for a parent that is missing and tries again for
 * ever where the file system itself answers so (/proc), and on a read-only one it tells ENOENT instead of EROFS.
 */
async function makeDirectory(path: string): Promise<string | undefined> {
  const missing: string[] = [];
  let nearest = path;
  let stats = await statIfThere(nearest);
  while (stats === undefined && nearest !== dirname(nearest)) {
    missing.unshift(nearest);
    nearest = dirname(nearest);
    stats = await statIfThere(nearest);
  }
  // Something else in the place of a directory: the system says what it thinks of that.
  if (missing.length === 0 && stats?.isDirectory() !== true) missing.push(path);
  for (const each of missing) {
    try {
      await mkdir(each);
    } catch (thrown) {
      // Workers start at the same time, and make the directories that they share.
      if (errorCode(thrown) !== "EEXIST" || (await statIfThere(each))?.isDirectory() !== true) throw thrown;
    }
  }
  return missing[0];
}

async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (thrown) {
    const code = errorCode(thrown);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw thrown;
  }
}

/** The names in a directory; none if there is no such directory. */
export async function listIfThere(fs: FileSystem, path: string): Promise<string[]> {
  try {
    return await fs.list(path);
  } catch (thrown) {
    if (errorCode(thrown) === "ENOENT") return [];
    throw thrown;
  }
}

class NodeFile implements File {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    let read = 0;
    while (read < buffer.length) {
      const { bytesRead } = await this.#handle.read(buffer, read, buffer.length - read, position + read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    return read;
  }

  async write(buffers: readonly Buffer[], position: number): Promise<void> {
    let rest: Buffer[] = buffers as Buffer[];
    let at = position;
    for (;;) {
      // A short write is how the system says "no room" the first time; only the next attempt tells the error.
      let { bytesWritten } = await this.#handle.writev(rest, at);
      if (bytesWritten === 0) throw Object.assign(new Error("EIO: nothing was written"), { code: "EIO" });
      at += bytesWritten;
      let whole = 0;
      while (whole < rest.length && bytesWritten >= rest[whole]!.length) {
        bytesWritten -= rest[whole]!.length;
        whole++;
      }
      if (whole === rest.length) return;
      rest = rest.slice(whole);
      rest[0] = rest[0]!.subarray(bytesWritten);
    }
  }

  truncate(size: number): Promise<void> {
    return this.#handle.truncate(size);
  }

  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

const FLAGS = { read: "r", update: "r+", create: "wx+" } as const;

export const nodeFileSystem: FileSystem = {
  async open(path, mode) {
    return new NodeFile(await open(path, FLAGS[mode]));
  },

  async lock(path) {
    const handle = await open(path, "a+");
    if (!tryLock(handle.fd)) {
      await handle.close();
      return undefined;
    }
    return {
      linked: async () => (await handle.stat()).nlink > 0,
      release: () => handle.close(),
    };
  },

  list: (path) => readdir(path),

  makeDirectory,

  async syncDirectory(path) {
    const handle = await open(path, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },

  rename: (from, to) => rename(from, to),

  remove: (path) => unlink(path),
};
