// Which unit test files share a process.
//
// A process per file costs more than most files do: starting Node.js, loading and compiling the same modules again, running
// them cold. Files that leave their process as they found it run one after the other in one; the others run alone. What a file
// says of itself decides, and what it imports from outside of src/: no list that somebody has to keep. What this reading
// misses is seen at the end of each file, where its process is compared with what it was (guard.ts).
//
// Rejected: everything in one process, since a profiler, a replaced global or a listener for signals is then everybody's.

import { readFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";

/** More are spread over several processes, so that one folder does not make the run long, nor one crash many files. */
export const SHARED_FILES_MAX = 8;

/** What is the whole process's. */
const OF_THE_PROCESS: readonly (readonly [RegExp, string])[] = [
  [/from "node:(child_process|cluster|inspector|worker_threads)/, "starts processes or threads"],
  [
    /^((import|export) (?!type ).*|\} )from "(@datadog\/pprof|[./]+\/src\/profiling\/.*)"/m,
    "uses the process's profiler",
  ],
  [/\bmock\.(method|module|property|timers|getter|setter)\b/, "replaces what others use"],
  [/\bglobalThis\.\w+ = |\bObject\.assign\(globalThis\b|\bsetFlagsFromString\b/, "changes globals"],
  [/\bprocess\.(on|once|off|emit|exit|exitCode|abort|kill|chdir|umask)\b/, "handles or ends the process"],
  [/\bprocess\.env(\.\w+|\[[^\]]+\]) = |\bdelete process\.env\b/, "changes the environment"],
  [/^(before|after|beforeEach|afterEach)\(/m, "has hooks outside of a suite"],
  [/^(import (?!type ).*|\} )from "[./]+\/src\/telemetry\/(process|event-loop)\.ts"/m, "measures the process"],
  [/\bprocess\.(memoryUsage|resourceUsage|cpuUsage)\b/, "measures the process"],
];
const RELATIVE_IMPORT = /from "(\.[^"]+\.ts)"/g;

/** Why this file must have a process of its own; undefined if it may share one. @param file an absolute path. */
export function whyAlone(file: string, root: string): string | undefined {
  const seen = new Set<string>();
  const source = join(root, "src") + sep;
  const visit = (path: string): string | undefined => {
    if (seen.has(path) || path.startsWith(source)) return undefined;
    seen.add(path);
    const text = readFileSync(path, "utf8");
    const found = OF_THE_PROCESS.find(([pattern]) => pattern.test(text));
    if (found !== undefined) return path === file ? found[1] : `${found[1]}, in ${path.slice(root.length + 1)}`;
    for (const [, specifier] of text.matchAll(RELATIVE_IMPORT)) {
      const why = visit(join(dirname(path), specifier!));
      if (why !== undefined) return why;
    }
    return undefined;
  };
  return visit(file);
}

/** Groups of files, each for one process; those of one folder of test/ load much the same modules. Single files come first. */
export function groupsOf(files: readonly string[], root: string): string[][] {
  const alone: string[][] = [];
  const folders = new Map<string, string[]>();
  for (const file of files) {
    if (whyAlone(join(root, file), root) !== undefined) {
      alone.push([file]);
      continue;
    }
    const [, folder = ""] = dirname(file).split(sep);
    folders.set(folder, [...(folders.get(folder) ?? []), file]);
  }
  const shared = [...folders.values()].flatMap((members) => {
    const parts = Math.ceil(members.length / SHARED_FILES_MAX);
    return Array.from({ length: parts }, (_, part) => members.filter((_file, index) => index % parts === part));
  });
  return [...alone, ...shared.sort((a, b) => b.length - a.length)];
}
