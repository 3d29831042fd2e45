// The server port over @grpc/grpc-js: the reference, and the way out should a client ever disagree with the native server.
//
// Messages pass through as bytes: the (de)serializers are the identity, so grpc-js does framing, flow control and metadata,
// and nothing is decoded twice. Its Duplex streams are turned into the port's calls here and nowhere else.

import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  logVerbosity,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerErrorResponse,
  type ServerInterceptingCall,
  type ServerInterceptor,
  type ServerUnaryCall,
  type ServerWritableStream,
  setLogVerbosity,
  status as GrpcJsCode,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { type Clock, systemClock } from "../clock.ts";
import { Code } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { bindError } from "./bind-error.ts";
import type {
  CallersState,
  CallHandler,
  GrpcServer,
  Metadata as Fields,
  Method,
  ServerCall,
  Status,
} from "./server.ts";
import { codeName } from "./status.ts";
import type { TlsMaterial, TlsPaths } from "../tls/files.ts";
import { TlsWatch } from "../tls/watch.ts";

export interface GrpcJsOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** A larger message ends its call with RESOURCE_EXHAUSTED. */
  readonly messageBytesMax: number;
  /** Undefined: plaintext. */
  readonly tls: TlsMaterial | undefined;
  /** Where `tls` was read from; it is read again when these change. */
  readonly tlsFiles?: TlsPaths | undefined;
}

// Its own lines on the console would stand beside ours and say the same less clearly; what matters comes back as errors.
setLogVerbosity(logVerbosity.NONE);

const identity = (bytes: Buffer): Buffer => bytes;

export class GrpcJsServer implements GrpcServer {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #options: GrpcJsOptions;
  readonly #clock: Clock;
  readonly #server: Server;
  #tlsWatch: TlsWatch | undefined;
  #port = 0;
  #disposed = false;

  /** @param clock for looking at `tlsFiles`; the rest is grpc-js' own time. */
  constructor(
    log: Logger,
    metrics: Metrics,
    methods: readonly Method[],
    options: GrpcJsOptions,
    clock: Clock = systemClock,
  ) {
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    this.#options = options;
    this.#server = new Server({
      "grpc.max_receive_message_length": options.messageBytesMax,
      interceptors: [namingTheLimit(options.messageBytesMax)],
    });
    const services = new Map<string, Method[]>();
    for (const method of methods) {
      const service = method.path.split("/")[1]!;
      services.set(service, [...(services.get(service) ?? []), method]);
    }
    for (const group of services.values()) this.#addService(group);
  }

  get address(): { readonly host: string; readonly port: number } {
    return { host: this.#options.host, port: this.#port };
  }

  async start(): Promise<void> {
    const { host, port, tls, tlsFiles } = this.#options;
    const bracketed = host.includes(":") ? `[${host}]` : host;
    const secure = tls === undefined ? undefined : new RenewableCredentials(tls);
    this.#port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(`${bracketed}:${port}`, secure ?? ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(bindError(host, port, error));
      });
    });
    if (tls !== undefined && tlsFiles !== undefined) {
      const expiry = this.#metrics.grpcCertificateExpiry.with();
      const dependencies = { log: this.#log, clock: this.#clock, expiry };
      this.#tlsWatch = new TlsWatch(dependencies, tlsFiles, tls, (material) => secure?.renew(material));
    }
    this.#log.info({ host, port: this.#port, server: "grpc-js", tls: tls !== undefined }, "gRPC listens");
  }

  inspect(): CallersState {
    const unknown = ["@grpc/grpc-js does not tell who is connected, nor how many calls each has open"];
    return { server: "grpc-js", unknown, callers: [], callersLeftOut: 0 };
  }

  /** Takes no new calls, and waits until those under way have ended. */
  async drain(deadlineMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, deadlineMs - Date.now()));
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  dispose(): Promise<void> {
    this.#tlsWatch?.stop();
    if (!this.#disposed) this.#server.forceShutdown();
    this.#disposed = true;
    return Promise.resolve();
  }

  #addService(methods: readonly Method[]): void {
    const definition: Record<string, MethodDefinition<Buffer, Buffer>> = {};
    const implementation: UntypedServiceImplementation = {};
    for (const method of methods) {
      definition[method.path] = {
        path: method.path,
        requestStream: method.requestStream,
        responseStream: method.responseStream,
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      };
      implementation[method.path] = method.requestStream ? this.#streaming(method) : this.#unary(method);
    }
    this.#server.addService(definition, implementation);
  }

  #ended(method: Method): (code: Code) => void {
    return (code) => this.#metrics.grpcCalls.with(method.path, codeName(code)).inc();
  }

  #unary(method: Method): handleUnaryCall<Buffer, Buffer> {
    const ended = this.#ended(method);
    const handle = (
      stream: ServerUnaryCall<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>,
      callback?: Callback,
    ): void => {
      // grpc-js gives both a stream to write to; what instruments it sees the end of a unary call in its callback.
      const call =
        callback === undefined && "write" in stream
          ? new StreamingCall(stream, ended)
          : new UnaryCall(stream, callback!, ended);
      const handler = method.open(call);
      call.handler = handler;
      handler.message(stream.request, 0, stream.request.length);
      handler.halfClose();
    };
    return handle;
  }

  #streaming(method: Method): handleBidiStreamingCall<Buffer, Buffer> {
    const ended = this.#ended(method);
    return (stream) => {
      const call = new StreamingCall(stream, ended);
      const handler = method.open(call);
      call.handler = handler;
      // What was read already when the call ended is not taken: nobody could be told what became of it.
      stream.on("data", (bytes: Buffer) => {
        if (!call.over) handler.message(bytes, 0, bytes.length);
      });
      stream.on("end", () => {
        if (!call.over) handler.halfClose();
      });
    };
  }
}

/** A certificate that can be replaced while the server runs. `ServerCredentials.createSsl` gives one that cannot. */
class RenewableCredentials extends ServerCredentials {
  constructor(tls: TlsMaterial) {
    const mutual = tls.clientCa !== undefined;
    super({ requestCert: mutual, rejectUnauthorized: mutual, minVersion: "TLSv1.2" }, secureContextOf(tls));
  }

  /** For connections that come from now on. */
  renew(tls: TlsMaterial): void {
    this.updateSecureContextOptions(secureContextOf(tls));
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function secureContextOf({ cert, key, clientCa }: TlsMaterial) {
  return { cert, key, ...(clientCa === undefined ? {} : { ca: clientCa }) };
}

/** What grpc-js says of a message over the limit: its size, or nothing where it was compressed. */
const OVER_LIMIT = /^Received message (?:larger than max \((\d+) vs|that decompresses to a size larger than)/;

/**
 * Says which option limits a message, where grpc-js only gives the figures. It ends such a call by itself, before a handler
 * or a responder sees anything of it, so it is the call's own `sendStatus` that has to know. Rejected: a limit that is
 * ours instead, since grpc-js would have gathered the whole message by then.
 */
function namingTheLimit(bytesMax: number): ServerInterceptor {
  return (_method, call) => {
    const sendStatus = call.sendStatus.bind(call);
    call.sendStatus = (status) => {
      const match = status.code === GrpcJsCode.RESOURCE_EXHAUSTED ? OVER_LIMIT.exec(status.details) : null;
      if (match === null) return sendStatus(status);
      const size = match[1] === undefined ? "more, uncompressed" : `${match[1]} bytes`;
      const details = `the message has ${size}, and the limit is ${bytesMax} (GRPC_MESSAGE_BYTES_MAX): send smaller batches, or raise it`;
      return sendStatus({ ...status, details });
    };
    // The same call; the type asks for a wrapper, which would cost every message some calls and gain nothing.
    return call as ServerInterceptingCall;
  };
}

type Callback = (error: ServerErrorResponse | null, value?: Buffer, trailers?: Metadata) => void;

interface AnyCall {
  readonly metadata: Metadata;
  getPeer(): string;
  sendMetadata(metadata: Metadata): void;
  on(event: "cancelled", listener: () => void): unknown;
}

abstract class BaseCall implements ServerCall {
  readonly #stream: AnyCall;
  readonly #ended: (code: Code) => void;
  handler: CallHandler | undefined;
  over = false;
  abstract readonly unsentBytes: number;

  constructor(stream: AnyCall, ended: (code: Code) => void) {
    this.#stream = stream;
    this.#ended = ended;
    stream.on("cancelled", () => {
      if (!this.finish(Code.CANCELLED)) return;
      this.handler?.cancelled();
    });
  }

  get peer(): string {
    return this.#stream.getPeer();
  }

  get traceparent(): string | undefined {
    return this.header("traceparent");
  }

  header(name: string): string | undefined {
    return this.#stream.metadata.get(name)[0]?.toString();
  }

  binaryHeader(name: string): Uint8Array | undefined {
    const value = this.#stream.metadata.get(name)[0];
    return typeof value === "string" ? undefined : value;
  }

  sendHeaders(metadata: Fields): void {
    if (!this.over) this.#stream.sendMetadata(addFields(new Metadata(), metadata));
  }

  /** True for the first to end the call. */
  protected finish(code: Code): boolean {
    if (this.over) return false;
    this.over = true;
    this.#ended(code);
    return true;
  }

  abstract send(message: Uint8Array): void;
  abstract pause(): void;
  abstract resume(): void;
  abstract end(status: Status): void;
}

class UnaryCall extends BaseCall {
  readonly #callback: Callback;
  #message: Buffer | undefined;
  readonly unsentBytes = 0;

  constructor(stream: AnyCall, callback: Callback, ended: (code: Code) => void) {
    super(stream, ended);
    this.#callback = callback;
  }

  send(message: Uint8Array): void {
    this.#message = Buffer.from(message);
  }

  end(status: Status): void {
    if (!this.finish(status.code)) return;
    const trailers = trailersOf(status);
    if (status.code === Code.OK) this.#callback(null, this.#message, trailers);
    else this.#callback(toGrpcJs(status, trailers));
  }

  /** There is no second message to hold back. */
  pause(): void {}

  resume(): void {}
}

class StreamingCall extends BaseCall {
  readonly #stream: ServerDuplexStream<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>;
  #unsentBytes = 0;

  constructor(
    stream: ServerDuplexStream<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>,
    ended: (code: Code) => void,
  ) {
    super(stream, ended);
    this.#stream = stream;
    stream.on("drain", () => {
      this.#unsentBytes = 0;
      if (!this.over) this.handler?.drained();
    });
    // A broken connection is told by 'cancelled'; without a listener 'error' would end the process.
    stream.on("error", () => {
      if (this.finish(Code.UNKNOWN)) this.handler?.cancelled();
    });
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  send(message: Uint8Array): void {
    if (this.over) return;
    if (this.#stream.write(Buffer.from(message))) this.#unsentBytes = 0;
    else this.#unsentBytes += message.length;
  }

  pause(): void {
    if ("pause" in this.#stream) this.#stream.pause();
  }

  resume(): void {
    if ("resume" in this.#stream && !this.over) this.#stream.resume();
  }

  end(status: Status): void {
    if (!this.finish(status.code)) return;
    const trailers = trailersOf(status);
    if (status.code === Code.OK) this.#stream.end(trailers);
    else this.#stream.emit("error", toGrpcJs(status, trailers));
  }
}

/** The same bytes, as the one kind of array that grpc-js takes. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function addFields(metadata: Metadata, fields: Fields): Metadata {
  for (const [name, value] of fields) metadata.add(name, typeof value === "string" ? value : asBuffer(value));
  return metadata;
}

function trailersOf({ details, trailers = [] }: Status): Metadata {
  const metadata = addFields(new Metadata(), trailers);
  if (details !== undefined) metadata.set("grpc-status-details-bin", asBuffer(details));
  return metadata;
}

function toGrpcJs(status: Status, metadata: Metadata): ServerErrorResponse {
  return { name: "Status", code: status.code, message: status.message, details: status.message, metadata };
}
