// Changes the product's files while they are loaded.

import { registerHooks } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Mutation } from "./mutations.ts";

const ROOT = join(import.meta.dirname, "../..");

/** Call it before anything of the product is loaded. Throws at the loading of a file that does not hold the old text once. */
export function mutate({ edits }: Mutation): void {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const own = url.startsWith("file:") ? edits.filter(({ file }) => fileURLToPath(url) === join(ROOT, file)) : [];
      if (own.length === 0) return loaded;
      let source = textOf(loaded.source);
      for (const edit of own) {
        const found = source.split(edit.old).length - 1;
        if (found !== 1) throw new Error(`${edit.file} holds ${found} times, not once: ${edit.old}`);
        source = source.replace(edit.old, () => edit.new);
      }
      return { ...loaded, source };
    },
  });
}

function textOf(source: string | ArrayBuffer | NodeJS.TypedArray | null | undefined): string {
  return typeof source === "string" ? source : Buffer.from(source as Uint8Array).toString("utf8");
}
