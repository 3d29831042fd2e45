// grpc.health.v1.Health over the server port: Check and Watch, for the server as a whole ("") and for each service.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code } from "../errors.ts";
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthCheckResponseSchema,
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
        open: (call) => new RequestHandler(call, (service) => this.#check(call, service)),
      },
      {
        path: "/grpc.health.v1.Health/Watch",
        requestStream: false,
        responseStream: true,
        open: (call) =>
          new RequestHandler(
            call,
            (service) => this.#watch(call, service),
            () => this.#watchers.delete(call),
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

  #response(service: string): Uint8Array {
    const serving = this.#serving.get(service);
    const status =
      serving === undefined
        ? ServingStatus.SERVICE_UNKNOWN
        : serving
          ? ServingStatus.SERVING
          : ServingStatus.NOT_SERVING;
    return toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }));
  }
}

class RequestHandler implements CallHandler {
  readonly #call: ServerCall;
  readonly #onRequest: (service: string) => void;
  readonly #onCancelled: () => void;

  constructor(call: ServerCall, onRequest: (service: string) => void, onCancelled: () => void = () => {}) {
    this.#call = call;
    this.#onRequest = onRequest;
    this.#onCancelled = onCancelled;
  }

  message(bytes: Buffer): void {
    let service: string;
    try {
      service = fromBinary(HealthCheckRequestSchema, bytes).service;
    } catch (thrown) {
      this.#call.end({ code: Code.INVALID_ARGUMENT, message: `not a HealthCheckRequest: ${String(thrown)}` });
      return;
    }
    this.#onRequest(service);
  }

  halfClose(): void {}

  drained(): void {}

  cancelled(): void {
    this.#onCancelled();
  }
}
