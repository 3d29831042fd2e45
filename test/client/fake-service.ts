// A service for the client's tests: grpc-js with identity serializers around the generated code, answering as a test says.

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import {
  Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  status as Code,
} from "@grpc/grpc-js";
import { BadRequestSchema, RetryInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "../../src/gen/google/rpc/status_pb.js";
import {
  type PublishRequest,
  PublishRequestSchema,
  PublishResponseSchema as ResponseSchema,
  PublishStreamResponseSchema,
} from "../../src/gen/sluice/v1/ingest_pb.js";

/** One PublishStream call, as the test drives it. */
export class FakeCall {
  readonly requests: PublishRequest[] = [];
  readonly #duplex: ServerDuplexStream<Buffer, Buffer>;
  /** True once the client half-closed; the call then ends when everything is answered. */
  halfClosed = false;
  cancelled = false;
  #answers = 0;

  constructor(duplex: ServerDuplexStream<Buffer, Buffer>) {
    this.#duplex = duplex;
  }

  stored(request: PublishRequest): void {
    this.answer({ sequence: request.sequence, stored: request.events.length, durability: 2 });
  }

  answer(value: MessageInitShape<typeof ResponseSchema>): void {
    this.#say({ case: "published", value });
  }

  refused(request: PublishRequest, status: Status): void {
    this.#say({ case: "refused", value: { sequence: request.sequence, status } });
  }

  drain(): void {
    this.#say({ case: "drain", value: {} });
  }

  halfClose(): void {
    this.halfClosed = true;
    if (this.#answers === this.requests.length) this.#duplex.end();
  }

  /** Ends the call with a status. */
  end(code: Code, details = ""): void {
    this.#duplex.emit("error", { code, details, metadata: new Metadata() });
  }

  #say(event: NonNullable<MessageInitShape<typeof PublishStreamResponseSchema>["event"]>): void {
    this.#duplex.write(
      Buffer.from(toBinary(PublishStreamResponseSchema, create(PublishStreamResponseSchema, { event }))),
    );
    if (event.case !== "drain") this.#answers += 1;
    if (this.halfClosed) this.halfClose();
  }
}

export interface FakeHandlers {
  /** Called with each batch on a stream. Default: stores it. */
  readonly stream?: (call: FakeCall, request: PublishRequest, callIndex: number) => void;
  /** Answers a unary call. Default: stores it. */
  readonly unary?: (request: PublishRequest) => MessageInitShape<typeof ResponseSchema> | Status;
}

export class FakeService {
  readonly calls: FakeCall[] = [];
  readonly #server = new Server();
  address = "";

  constructor(handlers: FakeHandlers = {}) {
    const identity = (bytes: Buffer) => bytes;
    const codec = {
      requestSerialize: identity,
      requestDeserialize: identity,
      responseSerialize: identity,
      responseDeserialize: identity,
    };
    const path = (name: string) => `/sluice.v1.EventIngest/${name}`;
    this.#server.addService(
      {
        Publish: { path: path("Publish"), requestStream: false, responseStream: false, ...codec },
        PublishStream: { path: path("PublishStream"), requestStream: true, responseStream: true, ...codec },
      },
      {
        Publish: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
          const request = fromBinary(PublishRequestSchema, call.request);
          const answer = handlers.unary?.(request) ?? { stored: request.events.length };
          if ("code" in answer) {
            const metadata = new Metadata();
            metadata.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, answer)));
            callback({ code: answer.code, details: answer.message, metadata });
          } else callback(null, Buffer.from(toBinary(ResponseSchema, create(ResponseSchema, answer))));
        },
        PublishStream: (duplex: ServerDuplexStream<Buffer, Buffer>) => {
          const call = new FakeCall(duplex);
          const index = this.calls.push(call) - 1;
          duplex.on("data", (bytes: Buffer) => {
            const request = fromBinary(PublishRequestSchema, bytes);
            call.requests.push(request);
            if (handlers.stream === undefined) call.stored(request);
            else handlers.stream(call, request, index);
          });
          duplex.on("end", () => {
            call.halfClose();
          });
          duplex.on("cancelled", () => {
            call.cancelled = true;
          });
        },
      },
    );
  }

  async start(): Promise<this> {
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    this.address = `127.0.0.1:${port}`;
    return this;
  }

  /** Ends every connection at once. */
  stop(): void {
    this.#server.forceShutdown();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

export function overloaded(retryMs: number): Status {
  const retryDelay = { seconds: BigInt(Math.floor(retryMs / 1000)), nanos: (retryMs % 1000) * 1e6 };
  return create(StatusSchema, {
    code: Code.RESOURCE_EXHAUSTED,
    message: "no room",
    details: [anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay }))],
  });
}

export function badRequest(field: string, description: string): Status {
  return create(StatusSchema, {
    code: Code.INVALID_ARGUMENT,
    message: `${field}: ${description}`,
    details: [anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations: [{ field, description }] }))],
  });
}
