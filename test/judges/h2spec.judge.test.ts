// h2spec, generic, hpack and strict, on the native server: nothing may fail, and what is skipped is named here with the reason.
//
// It sends GET requests for "/" and judges frames, not gRPC. Some of its cases need an answer with a body, which gRPC never
// gives to a GET; so it judges the HTTP/2 server below as well, with a handler that answers everything.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { encodeHeaders } from "../../src/http2/hpack/encoder.ts";
import type { Http2Observer } from "../../src/http2/observer.ts";
import type { TlsOptions } from "../../src/http2/options.ts";
import type { RequestReceiver, RequestStream } from "../../src/http2/request.ts";
import { Http2Server } from "../../src/http2/server.ts";
import { native, NATIVE_OPTIONS, startSubject } from "../interop/subjects.ts";
import { certificate } from "../support/certificate.ts";
import { type H2specReport, readH2specReport } from "./support/h2spec-report.ts";
import { type JudgeProgram, judgeTest } from "./support/judge.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

/** The cases of this version, so that a run that stops half way does not pass. */
const CASES = 146;

/** Each needs body bytes in the answer to a GET, to hold back some of them: an answer of gRPC to it has none. */
const NEED_A_BODY = [
  "http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE",
  "http2/6.9.1: Sends SETTINGS frame to set the initial window size to 1 and sends HEADERS frame",
  "http2/6.9.2: Changes SETTINGS_INITIAL_WINDOW_SIZE after sending HEADERS frame",
  "http2/6.9.2: Sends a SETTINGS frame for window size to be negative",
];

async function h2spec(program: JudgeProgram, port: number, tls: boolean): Promise<H2specReport> {
  await using folder = await temporaryFolder();
  const report = join(folder.path, "report.xml");
  const options = ["--strict", "--timeout=5", `--port=${port}`, `--junit-report=${report}`];
  // It ends with 1 if a case fails; the report says which.
  const { stderr } = await program.run([...options, ...(tls ? ["--tls", "--insecure"] : [])]);
  return readH2specReport(await readFile(report, "utf8").catch(() => assert.fail(`no report: ${stderr}`)));
}

for (const tls of [false, true]) {
  const how = tls ? "over TLS" : "in plaintext";
  judgeTest("h2spec", `h2spec finds no fault with the native gRPC server ${how}`, async (program) => {
    await using server = await startSubject(native, tls ? certificate() : undefined);
    const { cases, failed, skipped } = await h2spec(program, server.port, tls);
    assert.deepEqual(failed, []);
    assert.deepEqual(skipped, NEED_A_BODY);
    assert.equal(cases, CASES);
  });

  judgeTest("h2spec", `h2spec finds no fault with the HTTP/2 server ${how}, and skips nothing`, async (program) => {
    const server = http2Server(tls ? { ...certificate(), clientCa: undefined } : undefined);
    await server.start();
    try {
      const { cases, failed, skipped } = await h2spec(program, server.port, tls);
      assert.deepEqual(failed, []);
      assert.deepEqual(skipped, []);
      assert.equal(cases, CASES);
    } finally {
      await server.dispose();
    }
  });
}

const HEADERS = encodeHeaders([
  [":status", "200"],
  ["content-type", "text/plain"],
]);
const TRAILERS = encodeHeaders([["x-over", "1"]]);
const BODY = Buffer.from("an answer that is longer than one byte");

/** Answers every request with a body, when the request is complete. */
function answerAll(stream: RequestStream): RequestReceiver {
  return {
    data: (_buffer, start, end) => stream.consume(end - start),
    end: () => {
      stream.respond(HEADERS);
      stream.write(Buffer.alloc(0), BODY);
      stream.end(TRAILERS);
    },
    drained: () => {},
    closed: () => {},
    goingAway: () => {},
  };
}

function http2Server(tls: TlsOptions | undefined): Http2Server {
  const nothing = (): void => {};
  const observer: Http2Observer = {
    connectionOpened: nothing,
    connectionClosed: nothing,
    streamOpened: nothing,
    streamClosed: nothing,
    bytes: nothing,
    windowStalled: nothing,
    reset: nothing,
    goaway: nothing,
    attack: nothing,
    handshakeFailed: nothing,
    fault: (thrown) => {
      throw thrown;
    },
  };
  return new Http2Server({ handler: answerAll, observer, clock: systemClock }, { ...NATIVE_OPTIONS, tls });
}
