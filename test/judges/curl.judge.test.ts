// curl, which knows HTTP/2 and nothing of gRPC: what a person sees who tries the port by hand.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { SUBJECTS } from "../interop/subjects.ts";
import { type JudgeProgram, judgeTest } from "./support/judge.ts";
import { PUBLISH_PATH, publishResponse, requestFile, startJudged, storedExactly } from "./support/judged-service.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const GRPC = ["-H", "content-type: application/grpc", "-H", "te: trailers"];

/** The status line, fields and trailers of an answer, and its body. */
async function request(curl: JudgeProgram, folder: string, args: readonly string[]) {
  const output = join(folder, "answer");
  const quiet = ["--silent", "--show-error", "--max-time", "30", "--dump-header", "-", "--output", output];
  const { stdout } = await curl.passes([...quiet, ...args]);
  return { head: stdout.replaceAll("\r", ""), body: await readFile(output).catch(() => Buffer.alloc(0)) };
}

for (const { name } of SUBJECTS) {
  for (const gzip of [false, true]) {
    const what = gzip ? "a compressed batch" : "a batch";
    judgeTest("curl", `curl --http2-prior-knowledge publishes ${what} to ${name}`, async (curl) => {
      await using folder = await temporaryFolder();
      await using service = await startJudged(name);
      const file = await requestFile(folder.path, 50, { gzip });
      const encoding = gzip ? ["-H", "grpc-encoding: gzip"] : [];
      const url = `http://${service.grpcAddress}${PUBLISH_PATH}`;
      const args = ["--http2-prior-knowledge", ...GRPC, ...encoding, "--data-binary", `@${file}`, url];
      const { head, body } = await request(curl, folder.path, args);
      assert.match(head, /^HTTP\/2 200 *$/m);
      assert.match(head, /^content-type: application\/grpc/m);
      assert.match(head, /^grpc-status: 0$/m);
      const { sequence, stored, failures } = publishResponse(body);
      assert.deepEqual([sequence, stored, failures], [7n, 50, []]);
      await storedExactly(service, 50);
    });
  }

  judgeTest("curl", `${name} tells curl what is wrong with a request`, async (curl) => {
    await using folder = await temporaryFolder();
    await using service = await startJudged(name);
    const file = await requestFile(folder.path, 1);
    const base = `http://${service.grpcAddress}`;
    const h2 = ["--http2-prior-knowledge"];
    const unknown = await request(curl, folder.path, [...h2, ...GRPC, "--data-binary", `@${file}`, `${base}/a.B/C`]);
    assert.match(unknown.head, /^HTTP\/2 200 *$/m);
    assert.match(unknown.head, /^grpc-status: 12$/m);
    // grpc-js resets the stream right behind its 415, and curl at times sees that first.
    if (name === "native") {
      const json = ["-H", "content-type: application/json", "--data", "{}"];
      const wrongType = await request(curl, folder.path, [...h2, ...json, `${base}${PUBLISH_PATH}`]);
      assert.match(wrongType.head, /^HTTP\/2 415 *$/m);
      assert.match(wrongType.body.toString(), /^This is a gRPC server: content-type has to be/);
    }
    await storedExactly(service, 0);
  });
}

judgeTest(
  "curl",
  "native tells curl over HTTP/1.1 that this is HTTP/2, with or without asking for an upgrade",
  async (curl) => {
    await using folder = await temporaryFolder();
    await using service = await startJudged("native");
    const url = `http://${service.grpcAddress}/`;
    for (const version of ["--http1.1", "--http2", "--http1.0"]) {
      const { head, body } = await request(curl, folder.path, [version, url]);
      assert.match(head, /^HTTP\/1\.1 4\d\d /m, version);
      assert.match(body.toString(), /HTTP\/2/, version);
    }
  },
);
