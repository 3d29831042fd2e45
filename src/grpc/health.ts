// grpc.health.v1.Health over the server port: Check, Watch and List, for the server as a whole ("") and for each service.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code } from "../errors.ts";
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthCheckResponseSchema,
  HealthListRequestSchema,
  HealthListResponseSchema,
} from "../gen/grpc/health/v1/health_pb.js";
import type { CallHandler, Method, ServerCall } from "./server.ts";
import { OK } from "./status.ts";

/** What probes of orchestrators ask when they do not name a service. */
const WHOLE_SERVER = "";

export class Health {
  readonly methods: readonly Method[];
  readonly #serving = new Map<string, boolean>();
  readonly #watchers = new Map<ServerCall, string>();

  /** @param services full names, for example `sluice.v1.EventIngest`; NOT_SERVING until told otherwise. */
  constructor(services: readonly string[]) {
    for (const service of [WHOLE_SERVER, ...services]) this.#serving.set(service, false);
    this.methods = [
      {
        path: "/grpc.health.v1.Health/Check",
        requestStream: false,
        responseStream: false,
        open: (call) => new RequestHandler(call, readService, (service) => this.#check(call, service)),
      },
      {
        path: "/grpc.health.v1.Health/Watch",
        requestStream: false,
        responseStream: true,
        open: (call) =>
          new RequestHandler(
            call,
            readService,
            (service) => this.#watch(call, service),
            () => this.#watchers.delete(call),
          ),
      },
      {
        path: "/grpc.health.v1.Health/List",
        requestStream: false,
        responseStream: false,
        open: (call) =>
          new RequestHandler(
            call,
            (bytes) => fromBinary(HealthListRequestSchema, bytes),
            () => this.#list(call),
          ),
      },
    ];
  }

  /** Tells every watcher whether this server takes calls. */
  setServing(serving: boolean): void {
    for (const service of this.#serving.keys()) this.#serving.set(service, serving);
    for (const [call, service] of this.#watchers) call.send(this.#response(service));
  }

  /** Ends the watches, which else would keep their connections open. */
  end(): void {
    for (const call of this.#watchers.keys())
      call.end({ code: Code.UNAVAILABLE, message: "this server is going away" });
    this.#watchers.clear();
  }

  #check(call: ServerCall, service: string): void {
    if (!this.#serving.has(service)) {
      call.end({ code: Code.NOT_FOUND, message: `service "${service}" is not served here` });
      return;
    }
    call.send(this.#response(service));
    call.end(OK);
  }

  #watch(call: ServerCall, service: string): void {
    this.#watchers.set(call, service);
    call.send(this.#response(service));
  }

  #list(call: ServerCall): void {
    const statuses = Object.fromEntries(
      Array.from(this.#serving.keys(), (service) => [service, { status: this.#status(service) }]),
    );
    call.send(toBinary(HealthListResponseSchema, create(HealthListResponseSchema, { statuses })));
    call.end(OK);
  }

  #response(service: string): Uint8Array {
    const status = this.#status(service);
    return toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }));
  }

  #status(service: string): ServingStatus {
    const serving = this.#serving.get(service);
    if (serving === undefined) return ServingStatus.SERVICE_UNKNOWN;
    return serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  }
}

/** @throws if the bytes are no HealthCheckRequest. */
function readService(bytes: Buffer): string {
  return fromBinary(HealthCheckRequestSchema, bytes).service;
}

class RequestHandler<Request> implements CallHandler {
  readonly #call: ServerCall;
  readonly #read: (bytes: Buffer) => Request;
  readonly #onRequest: (request: Request) => void;
  readonly #onCancelled: () => void;

  constructor(
    call: ServerCall,
    read: (bytes: Buffer) => Request,
    onRequest: (request: Request) => void,
    onCancelled: () => void = () => {},
  ) {
    this.#call = call;
    this.#read = read;
    this.#onRequest = onRequest;
    this.#onCancelled = onCancelled;
  }

  message(buffer: Buffer, start: number, end: number): void {
    const bytes = buffer.subarray(start, end);
    let request: Request;
    try {
      request = this.#read(bytes);
    } catch (thrown) {
      this.#call.end({ code: Code.INVALID_ARGUMENT, message: `not a request of grpc.health.v1: ${String(thrown)}` });
      return;
    }
    this.#onRequest(request);
  }

  halfClose(): void {}

  drained(): void {}

  cancelled(): void {
    this.#onCancelled();
  }
}
