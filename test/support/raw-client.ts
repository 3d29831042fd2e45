// A gRPC client that sends whatever bytes a test gives it, and shows the answer as it came.

import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { BadRequestSchema, RetryInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "../../src/gen/google/rpc/status_pb.js";
import { type PublishStreamResponse, PublishStreamResponseSchema } from "../../src/gen/sluice/v1/ingest_pb.js";

const identity = (bytes: Buffer): Buffer => bytes;

export const PUBLISH = "/sluice.v1.EventIngest/Publish";
export const PUBLISH_STREAM = "/sluice.v1.EventIngest/PublishStream";

/** A status without its trappings, for comparing whole. */
export interface PlainStatus {
  readonly code: number;
  readonly message: string;
  readonly violations: readonly { readonly field: string; readonly description: string }[];
  readonly retryDelayMs: number | undefined;
}

export function plainStatus(status: Status): PlainStatus {
  const violations = status.details.flatMap((any) => anyUnpack(any, BadRequestSchema)?.fieldViolations ?? []);
  const retry = status.details.flatMap((any) => anyUnpack(any, RetryInfoSchema)?.retryDelay ?? [])[0];
  return {
    code: status.code,
    message: status.message,
    violations: violations.map(({ field, description }) => ({ field, description })),
    retryDelayMs: retry === undefined ? undefined : Number(retry.seconds) * 1000 + retry.nanos / 1e6,
  };
}

/** The status of a call that failed, its details decoded. */
export function statusOfError(error: ServiceError): PlainStatus {
  const details = error.metadata.get("grpc-status-details-bin")[0];
  if (details === undefined) {
    return { code: error.code, message: error.details, violations: [], retryDelayMs: undefined };
  }
  return plainStatus(fromBinary(StatusSchema, details as Buffer));
}

export class RawClient implements Disposable {
  readonly #client: Client;

  constructor(address: { readonly host: string; readonly port: number }) {
    this.#client = new Client(`${address.host}:${address.port}`, credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_send_message_length": -1,
    });
  }

  /** The bytes of the answer, or the status that the call ended with. */
  async unary(path: string, bytes: Uint8Array, options: CallOptions = {}): Promise<Buffer | PlainStatus> {
    return await new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        identity,
        identity,
        Buffer.from(bytes),
        new Metadata(),
        options,
        (error, answer) => {
          if (error !== null) resolve(statusOfError(error));
          else if (answer === undefined) reject(new Error("neither an error nor an answer"));
          else resolve(answer);
        },
      );
    });
  }

  /** Like `unary`, with messages for bytes; throws a PlainStatus as an error's cause. */
  async call<I extends DescMessage, O extends DescMessage>(
    path: string,
    input: I,
    request: MessageShape<I>,
    output: O,
  ): Promise<MessageShape<O>> {
    const answer = await this.unary(path, toBinary(input, request));
    if (Buffer.isBuffer(answer)) return fromBinary(output, answer);
    throw new Error(`${path} failed: ${answer.message}`, { cause: answer });
  }

  duplex(path: string): ClientDuplexStream<Buffer, Buffer> {
    return this.#client.makeBidiStreamRequest(path, identity, identity, new Metadata());
  }

  publishStream(): RawStream {
    return new RawStream(this.duplex(PUBLISH_STREAM));
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/** A PublishStream whose messages are taken one at a time. */
export class RawStream {
  readonly #stream: ClientDuplexStream<Buffer, Buffer>;
  readonly #received: PublishStreamResponse[] = [];
  #arrived = Promise.withResolvers<void>();
  /** How the stream ended. */
  readonly ended: Promise<PlainStatus>;

  constructor(stream: ClientDuplexStream<Buffer, Buffer>) {
    this.#stream = stream;
    const ended = Promise.withResolvers<PlainStatus>();
    this.ended = ended.promise;
    stream.on("data", (bytes: Buffer) => {
      this.#received.push(fromBinary(PublishStreamResponseSchema, bytes));
      this.#arrived.resolve();
    });
    stream.on("error", (error: ServiceError) => ended.resolve(statusOfError(error)));
    stream.on("end", () => ended.resolve({ code: 0, message: "", violations: [], retryDelayMs: undefined }));
  }

  send(bytes: Uint8Array): void {
    this.#stream.write(Buffer.from(bytes));
  }

  halfClose(): void {
    this.#stream.end();
  }

  cancel(): void {
    this.#stream.cancel();
  }

  /** The next message; rejects if the stream ends first. */
  async next(): Promise<PublishStreamResponse["event"]> {
    while (this.#received.length === 0) {
      this.#arrived = Promise.withResolvers();
      const over = await Promise.race([this.#arrived.promise, this.ended]);
      if (over !== undefined && this.#received.length === 0) {
        throw new Error(`the stream ended with ${over.code}: ${over.message}`);
      }
    }
    return this.#received.shift()!.event;
  }
}
