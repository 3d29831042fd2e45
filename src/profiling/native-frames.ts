// Functions of native addons, which V8's profiler cannot tell apart.
//
// All functions that addons make with Node-API have one entry in Node.js, and V8 names what runs there after the one that was made
// last: CRC-32C shows as a function of another addon that locks files. Which of them it was, nobody can say; that it was native
// code, and who called it, is true. So a frame without a file whose name is one of an addon's becomes `(native)`.
//
// Rejected: giving it the name of the caller, which wraps several functions in places; asking V8 which name it uses, because it
// changes with each addon that is loaded.

import { createRequire } from "node:module";
import type { Profile } from "pprof-format";

const NATIVE = "(native)";

/** What is read and changed of a profile, whichever of pprof-format's two builds made it. */
type Named = Pick<Profile, "function"> & {
  readonly stringTable: { readonly strings: readonly string[]; dedup(text: string): number };
};

const modules = createRequire(import.meta.filename).cache;

/** The names of all functions of the native addons that are loaded now. */
export class NativeNames {
  readonly #names = new Set<string>();
  readonly #seen = new Set<string>();

  current(): ReadonlySet<string> {
    for (const path in modules) {
      if (!path.endsWith(".node") || this.#seen.has(path)) continue;
      const loaded = modules[path];
      if (loaded?.loaded !== true) continue;
      this.#seen.add(path);
      this.#collect(loaded.exports);
    }
    return this.#names;
  }

  #collect(exported: unknown, depth = 0): void {
    if (exported === null || (typeof exported !== "object" && typeof exported !== "function")) return;
    for (const [key, { value }] of Object.entries(Object.getOwnPropertyDescriptors(exported))) {
      if (typeof value === "function") {
        this.#names.add(key);
        this.#names.add((value as { readonly name: string }).name);
      }
      // Classes have their methods on their prototypes; some addons have objects of functions.
      if (depth < 2) this.#collect(value, depth + 1);
    }
  }
}

/** Renames the frames of native functions, in place. */
export function renameNative(profile: Named, names: ReadonlySet<string>): void {
  const { stringTable } = profile;
  for (const each of profile.function) {
    const isNative = stringTable.strings[Number(each.filename)] === "";
    if (!isNative || !names.has(stringTable.strings[Number(each.name)] ?? "")) continue;
    each.name = each.systemName = stringTable.dedup(NATIVE);
  }
}
