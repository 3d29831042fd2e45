// The thinnest gRPC server on node:http2: the messages of a call, an answer to each, trailers. It shows what Node's own
// HTTP/2 costs before anything is done with a request; it checks nothing and knows the two methods of EventIngest only.

import { once } from "node:events";
import http2, { type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { answerTo, streamAnswerTo } from "./answering.ts";

const PREFIX_BYTES = 5;
const STREAM_WINDOW_BYTES = 1 << 20;
const CONNECTION_WINDOW_BYTES = 8 << 20;
const ANSWERS: Readonly<Record<string, (request: Buffer) => Buffer>> = {
  "/sluice.v1.EventIngest/Publish": answerTo,
  "/sluice.v1.EventIngest/PublishStream": streamAnswerTo,
};
const RESPONSE_HEADERS = { ":status": 200, "content-type": "application/grpc" };
const UNIMPLEMENTED = { ...RESPONSE_HEADERS, "grpc-status": "12" };

export class NodeHttp2Sink {
  readonly #host: string;
  readonly #port: number;
  readonly #server = http2.createServer({ settings: { initialWindowSize: STREAM_WINDOW_BYTES } });
  readonly #sessions = new Set<http2.ServerHttp2Session>();

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
    this.#server.on("session", (session) => {
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
      session.on("error", () => {}); // a client that is gone
    });
    this.#server.on("stream", (stream, headers) => {
      const answer = ANSWERS[headers[":path"] ?? ""];
      stream.on("error", () => {});
      if (answer === undefined) stream.respond(UNIMPLEMENTED, { endStream: true });
      else serve(stream, answer);
    });
  }

  get address(): { readonly host: string; readonly port: number } {
    return { host: this.#host, port: (this.#server.address() as AddressInfo).port };
  }

  async start(): Promise<void> {
    this.#server.listen(this.#port, this.#host);
    await once(this.#server, "listening");
  }

  async dispose(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

function serve(stream: ServerHttp2Stream, answer: (request: Buffer) => Buffer): void {
  let rest: Buffer | undefined;
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.respond(RESPONSE_HEADERS, { waitForTrailers: true });
  stream.on("data", (chunk: Buffer) => {
    const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (bytes.length - at >= PREFIX_BYTES) {
      const end = at + PREFIX_BYTES + bytes.readUInt32BE(at + 1);
      if (end > bytes.length) break;
      stream.write(framed(answer(bytes.subarray(at + PREFIX_BYTES, end))));
      at = end;
    }
    rest = at < bytes.length ? bytes.subarray(at) : undefined;
  });
  stream.on("end", () => stream.end());
}

function framed(message: Buffer): Buffer {
  const out = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  out[0] = 0;
  out.writeUInt32BE(message.length, 1);
  message.copy(out, PREFIX_BYTES);
  return out;
}
