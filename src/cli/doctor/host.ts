// The host: Node.js, file descriptors, and the disk of the spool.

import { accessSync, constants, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Config } from "../../config.ts";
import { messageOf } from "../io.ts";
import { formatSize } from "../table.ts";
import { error, type Finding, ok, warning } from "./finding.ts";

const NODE_MAJOR_MIN = 24;
/** Every client's connection takes one, every broker's, and the spool's files. */
const FILES_MIN = 4096;
/** Linux's numbers of file systems that are memory. */
const MEMORY_FILE_SYSTEMS: ReadonlySet<number> = new Set([0x01021994, 0x858458f6]);

export function checkNode(version: string): Finding {
  const major = Number(/^v(\d+)/.exec(version)?.[1]);
  return major >= NODE_MAJOR_MIN
    ? ok("Node.js", version)
    : error("Node.js", `${version} is too old`, `install Node.js ${NODE_MAJOR_MIN} or newer`);
}

/** The limit of this process; Node.js raises the soft limit to the hard one when it starts. */
export function openFilesLimit(): number {
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: number | string } } };
  const soft = report.userLimits?.open_files?.soft;
  return typeof soft === "number" ? soft : Number.parseInt(soft ?? "", 10) || Infinity;
}

export function checkOpenFiles(limit: number): Finding {
  if (limit === Infinity) return ok("file descriptors", "no limit");
  return limit >= FILES_MIN
    ? ok("file descriptors", `${limit} may be open`)
    : warning(
        "file descriptors",
        `only ${limit} may be open; each client's connection takes one`,
        `raise the limit to ${FILES_MIN} or more: \`ulimit -n\`, LimitNOFILE= of systemd, or --ulimit nofile of Docker`,
      );
}

/** DATA_DIR, or the nearest folder above it that exists, since the service makes the rest. */
export function checkDisk(config: Config): Finding[] {
  const subject = "DATA_DIR";
  const { dataDir, spoolBytesMax } = config;
  try {
    const place = nearestDirectory(dataDir);
    const exists = place === dataDir;
    accessSync(place, constants.R_OK | constants.W_OK | constants.X_OK);
    const { bavail, bsize, type } = statfsSync(place);
    const free = bavail * bsize;
    const findings = [ok(subject, exists ? `${dataDir} can be written` : `${dataDir} will be made in ${place}`)];
    if (MEMORY_FILE_SYSTEMS.has(type))
      findings.push(
        warning(subject, "it lies in memory: persisted events are lost when the host restarts", "put it on a disk"),
      );
    findings.push(
      free >= spoolBytesMax
        ? ok("disk", `${formatSize(free)} are free, the spool takes ${formatSize(spoolBytesMax)} at most`)
        : warning(
            "disk",
            `${formatSize(free)} are free, but the spool may take ${formatSize(spoolBytesMax)}`,
            "free the disk, or set SPOOL_BYTES_MAX to less than what is free: a full disk refuses PERSISTED batches",
          ),
    );
    return findings;
  } catch (thrown) {
    return [
      error(
        subject,
        messageOf(thrown),
        "make the directory and give it to the user that runs the service, or set DATA_DIR",
      ),
    ];
  }
}

function nearestDirectory(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return nearestDirectory(dirname(path));
  if (!stats.isDirectory()) throw new Error(`${path} is not a directory`);
  return path;
}
