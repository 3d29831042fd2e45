// gRPC's interop test service (grpc/testing/test.proto) over our server port, as interop-test-descriptions.md of gRPC asks:
// what the official clients of every language are run against.
//
// UnimplementedCall and UnimplementedService are left out, since the clients test for just that.

import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { Code } from "../../src/errors.ts";
import type { CallHandler, Metadata, Method, ServerCall, Status } from "../../src/grpc/server.ts";
import { EmptySchema } from "./gen/grpc/testing/empty_pb.js";
import {
  type BoolValue,
  type EchoStatus,
  type SimpleRequest,
  SimpleRequestSchema,
  SimpleResponseSchema,
  StreamingInputCallRequestSchema,
  StreamingInputCallResponseSchema,
  type StreamingOutputCallRequest,
  StreamingOutputCallRequestSchema,
} from "./gen/grpc/testing/messages_pb.js";
import { OutputQueue } from "./output-queue.ts";

const ECHO_INITIAL = "x-grpc-test-echo-initial";
const ECHO_TRAILING = "x-grpc-test-echo-trailing-bin";

/** By which clients tell servers apart. */
const SERVER_ID = "the only one";

/** The methods of grpc.testing.TestService that are not about load balancing. */
export const TEST_SERVICE: readonly Method[] = [
  method("EmptyCall", false, false, (call) => new EmptyCall(call)),
  method("UnaryCall", false, false, (call) => new UnaryCall(call)),
  method("StreamingOutputCall", false, true, (call) => new OutputCall(call, "at once")),
  method("StreamingInputCall", true, false, (call) => new InputCall(call)),
  method("FullDuplexCall", true, true, (call) => new OutputCall(call, "at once")),
  method("HalfDuplexCall", true, true, (call) => new OutputCall(call, "at the end")),
];

function method(
  name: string,
  requestStream: boolean,
  responseStream: boolean,
  open: (call: ServerCall) => CallHandler,
): Method {
  return { path: `/grpc.testing.TestService/${name}`, requestStream, responseStream, open };
}

/** What all calls do: echo metadata, and end with INVALID_ARGUMENT what cannot be read or is not as it was announced. */
abstract class TestCall<Request extends DescMessage> implements CallHandler {
  protected readonly call: ServerCall;
  readonly #schema: Request;

  constructor(call: ServerCall, schema: Request) {
    this.call = call;
    this.#schema = schema;
    const initial = call.header(ECHO_INITIAL);
    if (initial !== undefined) call.sendHeaders([[ECHO_INITIAL, initial]]);
  }

  message(buffer: Buffer, start: number, end: number): void {
    const bytes = buffer.subarray(start, end);
    let request: MessageShape<Request>;
    try {
      request = fromBinary(this.#schema, bytes);
    } catch (error) {
      this.end(Code.INVALID_ARGUMENT, `not a ${this.#schema.typeName}: ${String(error)}`);
      return;
    }
    this.request(request);
  }

  protected abstract request(request: MessageShape<Request>): void;

  halfClose(): void {}
  drained(): void {}
  cancelled(): void {}

  protected end(code: number, message = ""): void {
    const trailing = this.call.binaryHeader(ECHO_TRAILING);
    const trailers: Metadata = trailing === undefined ? [] : [[ECHO_TRAILING, trailing]];
    // A client may ask for any number, and it is to come back.
    this.call.end({ code: code as Status["code"], message, trailers });
  }

  /** Ends the call where the client asks for a status, or where its message is not compressed as it said. */
  protected endedBy(status: EchoStatus | undefined, expectCompressed: BoolValue | undefined): boolean {
    const compressed = this.call.messageCompressed;
    if (expectCompressed !== undefined && compressed !== undefined && compressed !== expectCompressed.value) {
      this.end(Code.INVALID_ARGUMENT, `the message is ${compressed ? "" : "not "}compressed, and was not to be so`);
      return true;
    }
    if (status === undefined || status.code === 0) return false;
    this.end(status.code, status.message);
    return true;
  }
}

class EmptyCall extends TestCall<typeof EmptySchema> {
  constructor(call: ServerCall) {
    super(call, EmptySchema);
  }

  protected request(): void {
    this.call.send(toBinary(EmptySchema, create(EmptySchema)));
    this.end(Code.OK);
  }
}

class UnaryCall extends TestCall<typeof SimpleRequestSchema> {
  constructor(call: ServerCall) {
    super(call, SimpleRequestSchema);
  }

  protected request(request: SimpleRequest): void {
    if (this.endedBy(request.responseStatus, request.expectCompressed)) return;
    const response = create(SimpleResponseSchema, {
      payload: { body: new Uint8Array(request.responseSize) },
      serverId: request.fillServerId ? SERVER_ID : "",
    });
    this.call.send(toBinary(SimpleResponseSchema, response), request.responseCompressed?.value ?? false);
    this.end(Code.OK);
  }
}

class InputCall extends TestCall<typeof StreamingInputCallRequestSchema> {
  #aggregatedPayloadSize = 0;

  constructor(call: ServerCall) {
    super(call, StreamingInputCallRequestSchema);
  }

  protected request({ payload, expectCompressed }: MessageShape<typeof StreamingInputCallRequestSchema>): void {
    if (this.endedBy(undefined, expectCompressed)) return;
    this.#aggregatedPayloadSize += payload?.body.length ?? 0;
  }

  override halfClose(): void {
    const aggregatedPayloadSize = this.#aggregatedPayloadSize;
    const response = create(StreamingInputCallResponseSchema, { aggregatedPayloadSize });
    this.call.send(toBinary(StreamingInputCallResponseSchema, response));
    this.end(Code.OK);
  }
}

class OutputCall extends TestCall<typeof StreamingOutputCallRequestSchema> {
  readonly #queue: OutputQueue;
  readonly #when: "at once" | "at the end";
  readonly #held: StreamingOutputCallRequest[] = [];

  constructor(call: ServerCall, when: "at once" | "at the end") {
    super(call, StreamingOutputCallRequestSchema);
    this.#when = when;
    this.#queue = new OutputQueue(call, () => this.end(Code.OK));
  }

  protected request(request: StreamingOutputCallRequest): void {
    if (this.endedBy(request.responseStatus, undefined)) this.#queue.cancel();
    else if (this.#when === "at once") this.#queue.push(request.responseParameters);
    else this.#held.push(request);
  }

  override halfClose(): void {
    for (const { responseParameters } of this.#held) this.#queue.push(responseParameters);
    this.#queue.finish();
  }

  override drained(): void {
    this.#queue.drained();
  }

  override cancelled(): void {
    this.#queue.cancel();
  }
}
