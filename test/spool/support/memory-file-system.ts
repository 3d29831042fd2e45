// A disk in memory that can be broken: power cuts at any byte, failing writes and syncs, no room, damage at rest.
//
// It keeps apart what the system would show now and what would be there after a power cut: data is durable after `sync`,
// names after `syncDirectory`. A cut leaves of everything younger a random part. The same seed gives the same disk.
//
// A sync that fails is Linux's: what it was to bring to the disk is not dirty any more, so the next sync succeeds without it.

import { basename, dirname } from "node:path";
import type { File, FileLock, FileSystem } from "../../../src/spool/file-system.ts";

export type Operation =
  | "open"
  | "read"
  | "write"
  | "truncate"
  | "sync"
  | "size"
  | "close"
  | "lock"
  | "list"
  | "makeDirectory"
  | "syncDirectory"
  | "rename"
  | "remove";

/** A number in [0, 1). */
export type Random = () => number;

type Change = { readonly position: number; readonly bytes: Buffer } | { readonly size: number };

class Inode {
  data: Buffer = Buffer.alloc(0);
  durable: Buffer = Buffer.alloc(0);
  /** Since the last sync. */
  changes: Change[] = [];

  apply(change: Change): void {
    this.changes.push(change);
    this.data = applied(this.data, change);
  }

  sync(): void {
    for (const change of this.changes) this.durable = applied(this.durable, change);
    this.changes = [];
  }

  /** Some of the changes may have got to the disk; none of them is tried again. */
  failSync(random: Random): void {
    for (const change of this.changes) if (random() < 0.5) this.durable = applied(this.durable, change);
    this.changes = [];
  }

  /** What a power cut leaves: of each change all, nothing, or, of a write, whole sectors of it up to a torn one. */
  afterCut(random: Random): Inode {
    const inode = new Inode();
    let data = this.durable;
    for (const change of this.changes) {
      const fate = random();
      if (fate < 0.3) continue;
      if (fate < 0.6 || "size" in change) data = applied(data, change);
      else
        data = applied(data, {
          ...change,
          bytes: change.bytes.subarray(0, Math.floor(random() * change.bytes.length)),
        });
    }
    inode.data = Buffer.from(data);
    inode.durable = inode.data;
    return inode;
  }
}

function applied(data: Buffer, change: Change): Buffer {
  if ("size" in change) {
    return change.size <= data.length
      ? data.subarray(0, change.size)
      : Buffer.concat([data, Buffer.alloc(change.size - data.length)]);
  }
  const end = change.position + change.bytes.length;
  const grown = Buffer.alloc(Math.max(data.length, end));
  data.copy(grown);
  change.bytes.copy(grown, change.position);
  return grown;
}

export function systemError(code: string, operation: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${operation} '${path}'`), { code });
}

export class MemoryFileSystem implements FileSystem {
  readonly #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  readonly #directories = new Set(["/"]);
  #durableDirectories = new Set(["/"]);
  readonly #locks = new Map<string, Inode>();
  readonly #faults: { readonly operation: Operation; readonly path: RegExp; readonly code: string; left: number }[] =
    [];
  #dead = false;
  /** Bytes that fit on it. */
  capacity = Infinity;
  /** Says what of a failed sync gets to the disk; by default nothing does. */
  random: Random = () => 1;
  /** How often each operation was asked for. */
  readonly counts = new Map<Operation, number>();
  /** Awaited before each operation; a test can hold the disk here. */
  before: ((operation: Operation, path: string) => Promise<void> | undefined) | undefined;

  count(operation: Operation): number {
    return this.counts.get(operation) ?? 0;
  }

  /** Lets an operation on paths that match fail, the next `times` times. */
  fail(operation: Operation, path: RegExp, code: string, times = 1): void {
    this.#faults.push({ operation, path, code, left: times });
  }

  /** Forgets all faults that were set. */
  heal(): void {
    this.#faults.length = 0;
  }

  /** The bytes of a file as they are now. */
  contents(path: string): Buffer {
    const inode = this.#names.get(path);
    if (inode === undefined) throw systemError("ENOENT", "contents", path);
    return inode.data;
  }

  /** Changes a file at rest. */
  damage(path: string, change: (bytes: Buffer) => Buffer): void {
    const inode = this.#names.get(path);
    if (inode === undefined) throw systemError("ENOENT", "damage", path);
    inode.data = change(Buffer.from(inode.data));
    inode.durable = inode.data;
    inode.changes = [];
  }

  /** What would be there after a power cut, if it took everything that it can take. */
  durableFiles(): Buffer[] {
    const isDurable = (directory: string): boolean =>
      this.#durableDirectories.has(directory) && (directory === "/" || isDurable(dirname(directory)));
    return [...this.#durableNames].filter(([path]) => isDurable(dirname(path))).map(([, inode]) => inode.durable);
  }

  /** Every file's path. */
  paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  /** The process ends here: nothing that it still asks for is ever answered. The system goes on with the same files. */
  kill(): MemoryFileSystem {
    this.#dead = true;
    const next = new MemoryFileSystem();
    for (const directory of this.#directories) next.#directories.add(directory);
    next.#durableDirectories = new Set(this.#durableDirectories);
    for (const [path, inode] of this.#names) next.#names.set(path, inode);
    next.#durableNames = new Map(this.#durableNames);
    return next;
  }

  /** The power goes: what was not synced is there, or not, or half. */
  cutPower(random: Random): MemoryFileSystem {
    this.#dead = true;
    const next = new MemoryFileSystem();
    // Parents first: they take their children along.
    for (const directory of [...this.#directories].sort()) {
      const isKept = this.#durableDirectories.has(directory) || random() < 0.5;
      if (isKept && next.#directories.has(dirname(directory))) next.#directories.add(directory);
    }
    const inodes = new Map<Inode, Inode>();
    for (const path of new Set([...this.#names.keys(), ...this.#durableNames.keys()])) {
      const now = this.#names.get(path);
      const durable = this.#durableNames.get(path);
      const inode = now === durable || random() < 0.5 ? durable : now;
      if (inode === undefined || !next.#directories.has(dirname(path))) continue;
      let cut = inodes.get(inode);
      if (cut === undefined) inodes.set(inode, (cut = inode.afterCut(random)));
      next.#names.set(path, cut);
    }
    next.#durableNames = new Map(next.#names);
    next.#durableDirectories = new Set(next.#directories);
    return next;
  }

  async open(path: string, mode: "read" | "update" | "create"): Promise<File> {
    await this.#begin("open", path);
    let inode = this.#names.get(path);
    if (mode === "create") {
      if (inode !== undefined) throw systemError("EEXIST", "open", path);
      if (!this.#directories.has(dirname(path))) throw systemError("ENOENT", "open", path);
      this.#names.set(path, (inode = new Inode()));
    }
    if (inode === undefined) throw systemError("ENOENT", "open", path);
    return this.#file(path, inode);
  }

  async lock(path: string): Promise<FileLock | undefined> {
    await this.#begin("lock", path);
    if (!this.#directories.has(dirname(path))) throw systemError("ENOENT", "lock", path);
    let inode = this.#names.get(path);
    if (inode === undefined) this.#names.set(path, (inode = new Inode()));
    if (this.#locks.has(path)) return undefined;
    this.#locks.set(path, inode);
    return {
      linked: async () => this.#names.get(path) === inode,
      release: async () => {
        this.#locks.delete(path);
      },
    };
  }

  async list(path: string): Promise<string[]> {
    await this.#begin("list", path);
    if (!this.#directories.has(path)) throw systemError("ENOENT", "list", path);
    const all = [...this.#names.keys(), ...this.#directories];
    return all.filter((each) => each !== "/" && dirname(each) === path).map((each) => basename(each));
  }

  async makeDirectory(path: string): Promise<string | undefined> {
    await this.#begin("makeDirectory", path);
    let first: string | undefined;
    for (let directory = path; !this.#directories.has(directory); directory = dirname(directory)) {
      this.#directories.add(directory);
      first = directory;
    }
    return first;
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#begin("syncDirectory", path);
    if (!this.#directories.has(path)) throw systemError("ENOENT", "syncDirectory", path);
    for (const directory of this.#directories) {
      if (dirname(directory) === path) this.#durableDirectories.add(directory);
    }
    for (const name of this.#durableNames.keys()) {
      if (dirname(name) === path && !this.#names.has(name)) this.#durableNames.delete(name);
    }
    for (const [name, inode] of this.#names) if (dirname(name) === path) this.#durableNames.set(name, inode);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#begin("rename", from);
    const inode = this.#names.get(from);
    if (inode === undefined) throw systemError("ENOENT", "rename", from);
    this.#names.delete(from);
    this.#names.set(to, inode);
  }

  async remove(path: string): Promise<void> {
    await this.#begin("remove", path);
    if (!this.#names.delete(path)) throw systemError("ENOENT", "remove", path);
  }

  #file(path: string, inode: Inode): File {
    return {
      read: async (buffer, position) => {
        await this.#begin("read", path);
        return position >= inode.data.length ? 0 : inode.data.copy(buffer, 0, position);
      },
      write: async (buffers, position) => {
        const bytes = Buffer.concat(buffers);
        await this.#begin("write", path);
        const growth = Math.max(0, position + bytes.length - inode.data.length);
        const room = this.capacity - this.#used();
        if (growth <= room) return inode.apply({ position, bytes });
        inode.apply({ position, bytes: bytes.subarray(0, Math.max(0, bytes.length - (growth - room))) });
        throw systemError("ENOSPC", "write", path);
      },
      truncate: async (size) => {
        await this.#begin("truncate", path);
        inode.apply({ size });
      },
      sync: async () => {
        await this.#begin("sync", path).catch((error: unknown) => {
          inode.failSync(this.random);
          throw error;
        });
        inode.sync();
      },
      size: async () => {
        await this.#begin("size", path);
        return inode.data.length;
      },
      close: () => this.#begin("close", path),
    };
  }

  #used(): number {
    return [...new Set(this.#names.values())].reduce((sum, inode) => sum + inode.data.length, 0);
  }

  async #begin(operation: Operation, path: string): Promise<void> {
    this.counts.set(operation, this.count(operation) + 1);
    await this.before?.(operation, path);
    if (this.#dead) await new Promise<never>(() => {});
    const fault = this.#faults.find((each) => each.operation === operation && each.left > 0 && each.path.test(path));
    if (fault === undefined) return;
    fault.left--;
    throw systemError(fault.code, operation, path);
  }
}
