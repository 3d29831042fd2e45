// nghttp2's client, which checks every frame that it gets, with the shapes of requests that gRPC's clients never send.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SUBJECTS } from "../interop/subjects.ts";
import { certificate } from "../support/certificate.ts";
import { judgeTest } from "./support/judge.ts";
import { PUBLISH_PATH, requestFile, startJudged, storedExactly } from "./support/judged-service.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const GRPC = ["-H", "content-type: application/grpc", "-H", "te: trailers"];

interface Shape {
  readonly title: string;
  readonly args: readonly string[];
  readonly requests?: number;
}

const SHAPES: readonly Shape[] = [
  { title: "as it is, after PRIORITY frames for streams that never open", args: [] },
  { title: "without PRIORITY", args: ["--no-dep"] },
  { title: "padded frames", args: ["--padding=255"] },
  { title: "a header block over CONTINUATION frames", args: ["--continuation"] },
  { title: "trailers after the request", args: ["--trailer=x-checksum: 1"] },
  { title: "an answer in windows of one byte", args: ["-w1", "-W1"] },
  { title: "windows of the largest size", args: ["-w30", "-W30"] },
  { title: "no dynamic tables", args: ["--header-table-size=0", "--encoder-header-table-size=0"] },
  {
    title: "a table that shrinks to nothing and grows again",
    args: ["--header-table-size=0", "--header-table-size=8192"],
  },
  { title: "ten requests at once", args: ["-m10"], requests: 10 },
];

for (const { name } of SUBJECTS) {
  judgeTest("nghttp", `nghttp publishes to ${name}`, async (nghttp, context) => {
    await using folder = await temporaryFolder();
    // Those that need CONTINUATION frames make a list of 25 KB.
    await using service = await startJudged(name, { GRPC_HEADER_LIST_BYTES_MAX: "64KiB" });
    const body = await requestFile(folder.path, 100);
    let sent = 0;
    for (const { title, args, requests = 1 } of SHAPES) {
      await context.test(title, async () => {
        const url = `http://${service.grpcAddress}${PUBLISH_PATH}`;
        const { stdout } = await nghttp.passes(["-v", "-n", ...args, ...GRPC, "-d", body, url]);
        assert.equal(stdout.match(/recv \(stream_id=\d+\) :status: 200$/gm)?.length, requests, stdout);
        assert.equal(stdout.match(/recv \(stream_id=\d+\) grpc-status: 0$/gm)?.length, requests, stdout);
        assert.doesNotMatch(stdout, /recv (?:RST_STREAM|GOAWAY)|\[INVALID/);
        sent += requests;
      });
    }
    await storedExactly(service, sent * 100);
  });

  judgeTest("nghttp", `nghttp publishes to ${name} over TLS`, async (nghttp) => {
    await using folder = await temporaryFolder();
    const { cert, key } = certificate();
    const [certFile, keyFile] = [join(folder.path, "cert.pem"), join(folder.path, "key.pem")];
    await writeFile(certFile, cert);
    await writeFile(keyFile, key);
    await using service = await startJudged(name, { GRPC_TLS_CERT_FILE: certFile, GRPC_TLS_KEY_FILE: keyFile });
    const body = await requestFile(folder.path, 100);
    const url = `https://${service.grpcAddress}${PUBLISH_PATH}`;
    const { stdout } = await nghttp.passes(["-v", "-n", "-y", ...GRPC, "-d", body, url]);
    assert.match(stdout, /The negotiated protocol: h2$/m);
    assert.match(stdout, /grpc-status: 0$/m);
    await storedExactly(service, 100);
  });

  judgeTest("nghttp", `${name} refuses requests of nghttp that are no gRPC, and goes on`, async (nghttp) => {
    await using service = await startJudged(name);
    const { stdout } = await nghttp.passes(["-v", "-n", `http://${service.grpcAddress}/`]);
    assert.match(stdout, /recv \(stream_id=\d+\) :status: 4\d\d$/m);
    assert.doesNotMatch(stdout, /recv GOAWAY/);
  });
}

judgeTest("nghttp", "native answers a header list over its limit with 431, and goes on", async (nghttp) => {
  await using folder = await temporaryFolder();
  await using service = await startJudged("native");
  const body = await requestFile(folder.path, 1);
  const url = `http://${service.grpcAddress}${PUBLISH_PATH}`;
  const args = ["-v", "-n", ...GRPC, "-d", body, url];
  const { stdout } = await nghttp.passes(["--continuation", ...args]);
  assert.match(stdout, /recv \(stream_id=\d+\) :status: 431$/m);
  assert.doesNotMatch(stdout, /recv GOAWAY/);
  assert.match((await nghttp.passes(args)).stdout, /grpc-status: 0$/m);
  await storedExactly(service, 1);
});
