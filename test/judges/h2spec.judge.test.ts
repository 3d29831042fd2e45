// h2spec, generic, hpack and strict, on the native gRPC server: nothing may fail, and nothing is skipped.
//
// Its cases are GET requests for "/", which the server answers with a text: some hold that answer back by a window, and would be
// skipped without a body to hold back.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { native, startSubject } from "../interop/subjects.ts";
import { certificate } from "../support/certificate.ts";
import { readH2specReport } from "./support/h2spec-report.ts";
import { judgeTest } from "./support/judge.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

/** The cases of this version, so that a run that stops half way does not pass. */
const CASES = 146;

/** What h2spec may skip, each with the reason why it cannot be judged: nothing so far. */
const SKIPPED: readonly string[] = [];

for (const tls of [false, true]) {
  judgeTest("h2spec", `h2spec finds no fault ${tls ? "over TLS" : "in plaintext"}`, async (program) => {
    await using server = await startSubject(native, tls ? certificate() : undefined);
    await using folder = await temporaryFolder();
    const path = join(folder.path, "report.xml");
    const options = ["--strict", "--timeout=5", `--port=${server.port}`, `--junit-report=${path}`];
    // It ends with 1 if a case fails; the report says which.
    const { stderr } = await program.run([...options, ...(tls ? ["--tls", "--insecure"] : [])]);
    const xml = await readFile(path, "utf8").catch(() => assert.fail(`no report: ${stderr}`));
    const { cases, failed, skipped } = readH2specReport(xml);
    assert.deepEqual(failed, []);
    assert.deepEqual(skipped, SKIPPED);
    assert.equal(cases, CASES);
  });
}
