// nghttp2's load generator: every request is answered, and the ledger has stored just what was sent.

import assert from "node:assert/strict";
import { SUBJECTS } from "../interop/subjects.ts";
import { judgeTest } from "./support/judge.ts";
import { PUBLISH_PATH, requestFile, startJudged, storedExactly } from "./support/judged-service.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const GRPC = ["-H", "content-type: application/grpc", "-H", "te: trailers"];

interface Shape {
  readonly title: string;
  readonly args: readonly string[];
  readonly requests: number;
  readonly events: number;
}

const SHAPES: readonly Shape[] = [
  { title: "4 connections of 20 streams", args: ["-c4", "-m20"], requests: 2000, events: 1 },
  { title: "one connection of 200 streams", args: ["-c1", "-m200"], requests: 1000, events: 10 },
  { title: "batches larger than a window", args: ["-c2", "-m4"], requests: 40, events: 2000 },
  { title: "windows of 255 bytes for answers", args: ["-c2", "-m10", "-w8", "-W8"], requests: 300, events: 1 },
  {
    title: "no dynamic tables",
    args: ["-c2", "-m10", "--header-table-size=0", "--encoder-header-table-size=0"],
    requests: 300,
    events: 1,
  },
  { title: "100 connections at once", args: ["-c100", "-m2"], requests: 1000, events: 1 },
];

for (const { name } of SUBJECTS) {
  for (const { title, args, requests, events } of SHAPES) {
    judgeTest(
      "h2load",
      `h2load on ${name}, ${title}: every request is answered, every event stored once`,
      async (h2load) => {
        await using folder = await temporaryFolder();
        await using service = await startJudged(name);
        const body = await requestFile(folder.path, events);
        const url = `http://${service.grpcAddress}${PUBLISH_PATH}`;
        const { stdout } = await h2load.passes([`-n${requests}`, ...args, ...GRPC, "-d", body, url]);
        assert.match(
          stdout,
          new RegExp(`^requests: ${requests} total, .* ${requests} succeeded, 0 failed, 0 errored, 0 timeout$`, "m"),
        );
        assert.match(stdout, new RegExp(`^status codes: ${requests} 2xx, 0 3xx, 0 4xx, 0 5xx$`, "m"));
        await storedExactly(service, requests * events);
      },
    );
  }
}
