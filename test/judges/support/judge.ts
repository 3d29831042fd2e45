// Tests whose judge is a program of others (scripts/judges.ts); skipped, with what to install, where it cannot be had.
//
//   judgeTest("curl", "curl gets its answer", async (curl) => {
//     const { stdout } = await curl.passes(["--http2-prior-knowledge", url]);
//   });

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import test, { type TestContext } from "node:test";
import { judge, type Judge, type JudgeName } from "../../../scripts/judges.ts";

export interface JudgeRun {
  /** Its exit code, or null if it was ended because of the time it took. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface JudgeRunOptions {
  /** For its standard input. */
  readonly input?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

const RUN_TIMEOUT_MS = 60_000;

export class JudgeProgram {
  readonly #judge: Judge;

  constructor(found: Judge) {
    this.#judge = found;
  }

  /** Runs it to its end. */
  async run(args: readonly string[], { input = "", env = {} }: JudgeRunOptions = {}): Promise<JudgeRun> {
    const child = spawn(this.#judge.command, [...this.#judge.args, ...args], {
      timeout: RUN_TIMEOUT_MS,
      env: { ...process.env, ...env },
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.stdin.on("error", () => {}); // it may end without having read it
    child.stdin.end(input);
    const [code] = (await once(child, "close")) as [number | null];
    return { code, stdout, stderr };
  }

  /** Runs it, and fails with what it printed if it does not end with 0. */
  async passes(args: readonly string[], options: JudgeRunOptions = {}): Promise<JudgeRun> {
    const run = await this.run(args, options);
    assert.equal(run.code, 0, `${args.join(" ")} ended with ${run.code}:\n${run.stdout}${run.stderr}`);
    return run;
  }
}

/** A test that needs this judge. */
export function judgeTest(
  name: JudgeName,
  title: string,
  body: (program: JudgeProgram, context: TestContext) => Promise<void>,
): void {
  void test(title, { timeout: 280_000 }, async (context) => {
    const found = await judge(name);
    if (typeof found === "string") context.skip(found);
    else await body(new JudgeProgram(found), context);
  });
}
