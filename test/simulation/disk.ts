// The disk of one machine, shared by its processes: slow, failing, full, and without its unsynced bytes after a power cut.
//
// What lies on it is test/spool/support/memory-file-system.ts; here every operation takes time, before and behind its effect,
// so that a process may die in front of an operation, or behind it without having heard of it.

import type { File, FileLock, FileSystem } from "../../src/spool/file-system.ts";
import type { Chance } from "../kafka/support/random.ts";
import { MemoryFileSystem, systemError } from "../spool/support/memory-file-system.ts";
import type { SimulatedProcess } from "./process.ts";

/** Probabilities for each operation. */
export interface DiskFaults {
  readonly write: number;
  readonly sync: number;
  /** open, truncate, rename, remove, and syncing a directory. */
  readonly metadata: number;
  /** Reading back what is spooled; not while a process starts, because what cannot be read then is told as damage. */
  readonly read: number;
  readonly stall: number;
}

export const NO_DISK_FAULTS: DiskFaults = { write: 0, sync: 0, metadata: 0, read: 0, stall: 0 };

const STALL_MS_MAX = 3_000;

export class Disk {
  faults: DiskFaults = NO_DISK_FAULTS;
  machine = new MemoryFileSystem();
  /** Told of each operation that took effect. */
  onEffect: (what: "write" | "sync", process: SimulatedProcess) => void = () => undefined;
  readonly chance: Chance;

  constructor(chance: Chance) {
    this.chance = chance;
    this.machine.random = () => chance.next();
  }

  /** The power goes; every process of the machine has to end with it. */
  cutPower(): void {
    const { capacity } = this.machine;
    this.machine = this.machine.cutPower(() => this.chance.next());
    this.machine.random = () => this.chance.next();
    this.machine.capacity = capacity;
  }

  /** Leaves room for so many bytes. */
  fill(room: number): void {
    const { machine } = this;
    machine.capacity = machine.paths().reduce((sum, path) => sum + machine.contents(path).length, room);
  }

  free(): void {
    this.machine.capacity = Infinity;
  }

  /** Do bytes that are synced hold this? */
  isDurable(text: string): boolean {
    return this.machine.durableFiles().some((bytes) => bytes.includes(text, 0, "latin1"));
  }

  /** The file system of one process. */
  mount(process: SimulatedProcess, started: () => boolean): FileSystem {
    return new MountedDisk(this, process, started);
  }
}

type Kind = Exclude<keyof DiskFaults, "stall"> | "none";

class MountedDisk implements FileSystem {
  readonly #disk: Disk;
  readonly #process: SimulatedProcess;
  readonly #started: () => boolean;
  readonly #locks = new Set<FileLock>();

  constructor(disk: Disk, process: SimulatedProcess, started: () => boolean) {
    this.#disk = disk;
    this.#process = process;
    this.#started = started;
    process.onEnd(() => {
      for (const lock of this.#locks) void lock.release();
    });
  }

  async open(path: string, mode: "read" | "update" | "create"): Promise<File> {
    const kind = mode === "create" ? "metadata" : "none";
    return this.#file(path, await this.#do(kind, path, (machine) => machine.open(path, mode)));
  }

  async lock(path: string): Promise<FileLock | undefined> {
    const lock = await this.#do("none", path, async (machine) => {
      const taken = await machine.lock(path);
      // At once: a process that dies before it hears of its lock gives it back too.
      if (taken !== undefined) this.#locks.add(taken);
      return taken;
    });
    if (lock === undefined) return undefined;
    return {
      linked: () => this.#do("none", path, () => lock.linked()),
      release: async () => {
        this.#locks.delete(lock);
        await lock.release();
      },
    };
  }

  list(path: string): Promise<string[]> {
    return this.#do("none", path, (machine) => machine.list(path));
  }

  makeDirectory(path: string): Promise<string | undefined> {
    return this.#do("metadata", path, (machine) => machine.makeDirectory(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.#do("metadata", path, (machine) => machine.syncDirectory(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#do("metadata", from, (machine) => machine.rename(from, to));
  }

  remove(path: string): Promise<void> {
    return this.#do("metadata", path, (machine) => machine.remove(path));
  }

  #file(path: string, file: File): File {
    const { chance } = this.#disk;
    return {
      read: (buffer, position) => this.#do(this.#started() ? "read" : "none", path, () => file.read(buffer, position)),
      write: (buffers, position) =>
        this.#do(
          "write",
          path,
          () => file.write(buffers, position),
          // What a write that fails leaves behind: some of its bytes.
          async () => {
            const bytes = Buffer.concat(buffers);
            await file.write([bytes.subarray(0, chance.below(bytes.length + 1))], position);
          },
        ),
      truncate: (size) => this.#do("metadata", path, () => file.truncate(size)),
      sync: () =>
        this.#do(
          "sync",
          path,
          () => file.sync(),
          async (machine) => {
            machine.fail("sync", /./, "EIO");
            await file.sync().catch(() => undefined);
          },
        ),
      size: () => this.#do("none", path, () => file.size()),
      close: () => this.#do("none", path, () => file.close()),
    };
  }

  /** @param halfway what happens instead, if it fails. */
  async #do<T>(
    kind: Kind,
    path: string,
    act: (machine: MemoryFileSystem) => Promise<T>,
    halfway?: (machine: MemoryFileSystem) => Promise<void>,
  ): Promise<T> {
    const { chance, faults } = this.#disk;
    await this.#process.sleep(this.#latencyMs(kind));
    const { machine } = this.#disk;
    let failure: unknown;
    let result: T | undefined;
    if (kind !== "none" && chance.hit(faults[kind])) {
      await halfway?.(machine).catch(() => undefined);
      failure = systemError("EIO", kind, path);
    } else {
      try {
        result = await act(machine);
        if (kind === "write" || kind === "sync") this.#disk.onEffect(kind, this.#process);
      } catch (thrown) {
        failure = thrown;
      }
    }
    await this.#process.sleep(this.#latencyMs("none"));
    if (failure !== undefined) throw failure;
    return result as T;
  }

  #latencyMs(kind: Kind): number {
    const { chance, faults } = this.#disk;
    if (chance.hit(faults.stall)) return chance.next() ** 2 * STALL_MS_MAX;
    return kind === "sync" ? 0.2 + chance.next() * 6 : 0.01 + chance.next() * 0.3;
  }
}
