// Whether answers are compressed, as they lie on the wire: no gRPC client tells.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import test from "node:test";
import { gunzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { SimpleRequestSchema, SimpleResponseSchema } from "./gen/grpc/testing/messages_pb.js";
import { SUBJECTS, startSubject } from "./subjects.ts";

const SIZE = 100_000;

/** The answer of UnaryCall to a request for a compressed one. @param accepted for grpc-accept-encoding. */
async function unaryCall(port: number, accepted: string) {
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    const stream = session.request({
      ":method": "POST",
      ":path": "/grpc.testing.TestService/UnaryCall",
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-accept-encoding": accepted,
    });
    const request = toBinary(
      SimpleRequestSchema,
      create(SimpleRequestSchema, { responseSize: SIZE, responseCompressed: { value: true } }),
    );
    const head = Buffer.alloc(5);
    head.writeUInt32BE(request.length, 1);
    stream.end(Buffer.concat([head, request]));
    const [headers] = (await once(stream, "response")) as [Readonly<Record<string, string>>];
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    assert.equal(body.readUInt32BE(1), body.length - 5, "one message");
    return { encoding: headers["grpc-encoding"] ?? "identity", flag: body[0], message: body.subarray(5) };
  } finally {
    session.destroy();
  }
}

for (const subject of SUBJECTS) {
  test(`${subject.name}: ${subject.compression ? "an answer is gzip" : "no answer is gzip"} where the client takes it`, async () => {
    await using server = await startSubject(subject);
    const { encoding, flag, message } = await unaryCall(server.port, "identity,deflate,gzip");
    assert.deepEqual([encoding, flag], subject.compression ? ["gzip", 1] : ["identity", 0]);
    const plain = flag === 1 ? gunzipSync(message) : message;
    assert.equal(fromBinary(SimpleResponseSchema, plain).payload?.body.length, SIZE);
  });

  test(`${subject.name}: an answer is not compressed where the client does not take gzip`, async () => {
    await using server = await startSubject(subject);
    const { flag, message } = await unaryCall(server.port, "identity,br");
    assert.equal(flag, 0);
    assert.equal(fromBinary(SimpleResponseSchema, message).payload?.body.length, SIZE);
  });
}
