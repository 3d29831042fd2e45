// What a header list means to gRPC. It is found out once for each list, and kept with it: a client sends the same list with
// nearly every call of a method.

import type { Code } from "../../errors.ts";
import { fieldOf, type RequestHeaders } from "../../http2/request.ts";
import { acceptsGzip, isKnownEncoding } from "./encodings.ts";
import { ForeignRequest } from "./foreign-request.ts";
import { trailersBlock, unknownEncodingBlock } from "./header-blocks.ts";
import { badTimeout, notPost, unknownEncoding, unknownMethod, wrongContentType } from "./refusals.ts";
import type { ServedMethod } from "./served-method.ts";

/** A call that may begin. */
export class GrpcRequest {
  readonly served: ServedMethod;
  /** Of `grpc-timeout`, in milliseconds; undefined: the call may take for ever. */
  readonly timeoutMs: number | undefined;
  /** Messages may be compressed, which the client wants to hear. */
  readonly gzip: boolean;
  /** Answers may be compressed. */
  readonly acceptsGzip: boolean;
  /** Undefined until somebody asks; null: there is none. */
  #traceparent: string | null | undefined;

  constructor(served: ServedMethod, timeoutMs: number | undefined, gzip: boolean, gzipAnswers: boolean) {
    this.served = served;
    this.timeoutMs = timeoutMs;
    this.gzip = gzip;
    this.acceptsGzip = gzipAnswers;
  }

  /** @param headers the list that this is kept with. */
  traceparentOf(headers: RequestHeaders): string | undefined {
    if (this.#traceparent === undefined) this.#traceparent = fieldOf(headers, "traceparent") ?? null;
    return this.#traceparent ?? undefined;
  }
}

/** A call that is answered at once. */
export class RefusedRequest {
  /** The whole answer. */
  readonly block: Buffer;
  readonly code: Code;
  /** The method, where it is one of ours. */
  readonly served: ServedMethod | undefined;

  constructor(block: Buffer, code: Code, served?: ServedMethod) {
    this.block = block;
    this.code = code;
    this.served = served;
  }
}

export type ReadRequest = GrpcRequest | RefusedRequest | ForeignRequest;

/** @param methods by path. */
export function grpcRequestOf(headers: RequestHeaders, methods: ReadonlyMap<string, ServedMethod>): ReadRequest {
  const { memo } = headers;
  if (memo instanceof GrpcRequest || memo instanceof RefusedRequest || memo instanceof ForeignRequest) return memo;
  const request = read(headers, methods);
  headers.memo = request;
  return request;
}

function read(headers: RequestHeaders, methods: ReadonlyMap<string, ServedMethod>): ReadRequest {
  if (headers.method !== "POST") {
    return new ForeignRequest("405", headers.method, notPost(headers.method));
  }
  const contentType = fieldOf(headers, "content-type");
  if (contentType === undefined || !/^application\/grpc(?:$|[+;])/i.test(contentType)) {
    return new ForeignRequest("415", headers.method, wrongContentType(contentType));
  }
  const served = methods.get(headers.path);
  if (served === undefined) {
    const status = unknownMethod(headers.path);
    return new RefusedRequest(trailersBlock(status, true), status.code);
  }
  const timeout = fieldOf(headers, "grpc-timeout");
  const timeoutMs = timeout === undefined ? undefined : millisecondsOf(timeout);
  if (timeout !== undefined && timeoutMs === undefined) {
    const status = badTimeout(timeout);
    return new RefusedRequest(trailersBlock(status, true), status.code, served);
  }
  const encoding = fieldOf(headers, "grpc-encoding") ?? "identity";
  if (!isKnownEncoding(encoding)) {
    const status = unknownEncoding(encoding);
    return new RefusedRequest(unknownEncodingBlock(status), status.code, served);
  }
  const gzipAnswers = acceptsGzip(fieldOf(headers, "grpc-accept-encoding") ?? "");
  return new GrpcRequest(served, timeoutMs, encoding === "gzip", gzipAnswers);
}

/** Milliseconds of each unit of `grpc-timeout`. */
const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** Timeout := TimeoutValue TimeoutUnit, the value of at most 8 digits. */
function millisecondsOf(timeout: string): number | undefined {
  const [, value, unit] = /^(\d{1,8})([HMSmun])$/.exec(timeout) ?? [];
  return value === undefined ? undefined : Number(value) * UNITS[unit!]!;
}
