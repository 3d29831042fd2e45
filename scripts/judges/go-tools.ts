// Judges written in Go, built once from the versions in go/go.mod, whose go.sum has the hash of every module: gRPC's interop
// client, h2spec and grpcurl.
//
// Rejected: `go install TOOL@version` for each. Three module graphs take three times as long to fetch and compile, and nothing
// here would say what was got.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { CachedFolder } from "../cached.ts";
import { version } from "../program.ts";

export type GoTool = "client" | "grpcurl" | "h2spec";

const MODULE = join(import.meta.dirname, "go");
const FOLDER = new CachedFolder("go-judges", [join(MODULE, "go.mod"), join(MODULE, "go.sum")]);
/** What go.mod asks for. */
const GO_MINOR_MIN = 24;

/** One line that says what to install, or undefined. */
export async function missingForGo(): Promise<string | undefined> {
  if (await FOLDER.isComplete()) return undefined;
  const go = await version("go", ["version"]);
  const remedy = `install Go 1.${GO_MINOR_MIN} or newer`;
  if (go === undefined) return `go is not installed: ${remedy}`;
  const minor = Number(/go1\.(\d+)/.exec(go)?.[1] ?? GO_MINOR_MIN);
  return minor < GO_MINOR_MIN ? `go is 1.${minor}, which is too old: ${remedy}` : undefined;
}

/** Where the tool is; the first call builds all of them, which takes a minute. @throws Error with one line. */
export async function goTool(name: GoTool): Promise<string> {
  const folder = await FOLDER.complete(async (path) => {
    await promisify(execFile)("go", ["install", "tool"], { cwd: MODULE, env: { ...process.env, GOBIN: path } }).catch(
      (error: unknown) => {
        const { stderr = "", message } = error as { stderr?: string; message: string };
        throw new Error(`the judges could not be built: ${stderr.trim().split("\n").at(-1) ?? message}`, {
          cause: error,
        });
      },
    );
  });
  return join(folder, name);
}
