// A lock that processes share: on a file, so that the operating system drops it when its holder dies.

import { mkdir, open } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname } from "node:path";

const { unlock, waitForLock } = createRequire(import.meta.url)("fs-native-extensions") as {
  waitForLock(this: void, fd: number): Promise<void>;
  unlock(this: void, fd: number): void;
};

/** Runs `body` while nobody else holds the lock on this file, which is made if it is not there, and stays. */
export async function withFileLock(path: string, body: () => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const lock = await open(path, "a+");
  try {
    await waitForLock(lock.fd);
    await body();
  } finally {
    unlock(lock.fd);
    await lock.close();
  }
}
