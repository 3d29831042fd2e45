// Puts what cannot be read aside, byte for byte, so that deleting or cutting its place destroys no evidence.

import { FaultKind, type Faults } from "./faults.ts";
import { errorCode, type File, type FileSystem, makeDurableDirectory } from "./file-system.ts";
import { segmentName } from "./segment.ts";

const NAME = "quarantine";
const BLOCK_BYTES = 4096;
const COPY_BYTES = 1024 * 1024;

/** The same file, but a block that the disk cannot read is read as zeros, so that what lies around it can be read. */
export function tolerant(file: File): File {
  return {
    async read(buffer, position) {
      try {
        return await file.read(buffer, position);
      } catch {
        buffer.fill(0);
        const size = Math.min(buffer.length, Math.max(0, (await file.size()) - position));
        for (let at = 0; at < size; at += BLOCK_BYTES) {
          const block = buffer.subarray(at, Math.min(at + BLOCK_BYTES, size));
          await file.read(block, position + at).catch(() => block.fill(0));
        }
        return size;
      }
    },
    write: (buffers, position) => file.write(buffers, position),
    truncate: (size) => file.truncate(size),
    sync: () => file.sync(),
    size: () => file.size(),
    close: () => file.close(),
  };
}

export interface BadRange {
  readonly segmentId: number;
  readonly from: number;
  readonly to: number;
}

/**
 * Copies bytes of a segment into quarantine/, and tells the fault: once, however often the service starts over them. If the
 * copy fails, it tells that too and goes on.
 */
export async function copyAside(
  fs: FileSystem,
  dir: string,
  file: File,
  { segmentId, from, to }: BadRange,
  kind: FaultKind,
  faults: Faults,
): Promise<void> {
  const name = segmentName(segmentId);
  const copy = `${dir}/${NAME}/${name}-${from}-${to}`;
  const what =
    kind === FaultKind.TORN_TAIL
      ? "has a hole where the last write was cut off"
      : "is damaged; the batches around it are served";
  try {
    await makeDurableDirectory(fs, `${dir}/${NAME}`);
    const out = await fs.open(copy, "create");
    try {
      for (let at = from; at < to; at += COPY_BYTES) {
        const bytes = Buffer.allocUnsafeSlow(Math.min(COPY_BYTES, to - at));
        const read = await file.read(bytes, at);
        await out.write([bytes.subarray(0, read)], at - from);
      }
      await out.sync();
    } finally {
      await out.close();
    }
    await fs.syncDirectory(`${dir}/${NAME}`);
  } catch (error) {
    if (errorCode(error) === "EEXIST") return;
    faults.tell(FaultKind.WRITE, `damaged bytes could not be copied to ${copy}`, { error });
  }
  faults.tell(kind, `${dir}/${name} ${what}`, { from, to, copy });
}

/** Moves a whole file into quarantine/. */
export async function moveAside(fs: FileSystem, dir: string, name: string): Promise<void> {
  await makeDurableDirectory(fs, `${dir}/${NAME}`);
  await fs.rename(`${dir}/${name}`, `${dir}/${NAME}/${name}`);
  await fs.syncDirectory(`${dir}/${NAME}`);
  await fs.syncDirectory(dir);
}
