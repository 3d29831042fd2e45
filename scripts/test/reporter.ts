// A node:test reporter for the runner: one line of JSON per finished test, over file descriptor 3.
//
// The error is rendered here, where its class and its cause are still real objects.

import { writeSync } from "node:fs";
import { inspect } from "node:util";
import type { TestEvent } from "node:test/reporters";

/** What the runner is told about one test, or about a suite or parent that fails for itself. */
export interface Outcome {
  readonly result: "passed" | "failed" | "skipped";
  /** Names from the outermost suite to the test. */
  readonly path: readonly string[];
  /** `file:line`, as far as it is known. */
  readonly location: string;
  /** Why it failed, rendered, or why it was skipped. */
  readonly message: string;
}

const REPORT_FD = 3;
/** The diagnostics at the end of every file. */
const COUNTS = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) \d/;

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const path: string[] = [];
  for await (const event of source) {
    if (event.type === "test:start") {
      path.length = event.data.nesting;
      path.push(event.data.name);
    } else if (event.type === "test:pass" || event.type === "test:fail") {
      const outcome = outcomeOf(event, path.slice(0, event.data.nesting));
      if (outcome !== undefined) send(outcome);
    } else if (event.type === "test:diagnostic" && !COUNTS.test(event.data.message)) {
      // What was thrown after its test had ended, for one.
      yield `${event.data.message}\n`;
    }
  }
}

function outcomeOf(
  event: Extract<TestEvent, { type: "test:pass" | "test:fail" }>,
  parents: readonly string[],
): Outcome | undefined {
  const { data } = event;
  const suite = data.details.type === "suite";
  const common = { path: [...parents, data.name], location: `${data.file ?? ""}:${data.line ?? 0}` };
  if (event.type === "test:pass" || data.todo !== undefined) {
    if (suite) return undefined;
    const reason = data.skip ?? data.todo;
    if (reason === undefined) return { ...common, result: "passed", message: "" };
    return { ...common, result: "skipped", message: typeof reason === "string" ? reason : "" };
  }
  const { error } = event.data.details;
  const { failureType } = error as { failureType?: string };
  // The subtest has told its own failure.
  if (failureType === "subtestsFailed") return undefined;
  return { ...common, result: "failed", message: inspect(error.cause ?? error, { depth: 6 }) };
}

function send(outcome: Outcome): void {
  const line = Buffer.from(`${JSON.stringify(outcome)}\n`);
  for (let written = 0; written < line.length;) {
    try {
      written += writeSync(REPORT_FD, line, written);
    } catch (error) {
      // The pipe is full for the moment.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
  }
}
