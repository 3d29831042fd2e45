// The real service, whose workers come to harm on demand: SIGUSR2 to a worker does to it what FAULT says.
//
//   leak   takes memory until V8's heap limit ends the process
//   loop   never comes back from a function
//   throw  throws what nobody catches
//   full   makes every write to disk fail with ENOSPC, from then on

import { createService, realEnvironment } from "../../src/service.ts";
import { type File, type FileSystem, nodeFileSystem } from "../../src/spool/file-system.ts";
import type { CreateService } from "../../src/supervisor/worker.ts";
import { runServiceProcess } from "../support/service-process.ts";

let full = false;

function fullDisk(): Error {
  return Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
}

/** The real file system, until it is full. */
const fs: FileSystem = {
  ...nodeFileSystem,
  open: async (path, mode): Promise<File> => {
    if (full && mode === "create") throw fullDisk();
    const file = await nodeFileSystem.open(path, mode);
    return {
      read: (buffer, position) => file.read(buffer, position),
      write: async (buffers, position) => {
        if (full) throw fullDisk();
        await file.write(buffers, position);
      },
      truncate: (size) => file.truncate(size),
      sync: () => file.sync(),
      size: () => file.size(),
      close: () => file.close(),
    };
  },
};

const leaked: unknown[] = [];

/** Tests look for its name, and for its line. */
function spin(): number {
  let x = 0;
  for (;;) for (let i = 0; i < 1e5; i++) x = (x * 31 + i) % 1_000_003; // the loop
}

function harm(): void {
  const fault = process.env["FAULT"];
  if (fault === "full") full = true;
  else if (fault === "loop") spin();
  else if (fault === "leak") {
    for (;;) leaked.push(Array.from({ length: 1_000 }, (_, i) => ({ i, leaked: leaked.length })));
  } else throw new Error(`FAULT is ${fault}`);
}

const create: CreateService = (options) => {
  process.on("SIGUSR2", harm);
  return createService({ ...options, environment: { ...realEnvironment, fs } });
};

process.exit(await runServiceProcess(create, import.meta.filename));
