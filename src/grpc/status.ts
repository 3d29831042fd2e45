// From an IngestError to what a gRPC client gets: a code, a message and typed details.
//
// The same google.rpc.Status goes into `grpc-status-details-bin` of a call that ends and into `Refused` on a stream that goes on.

import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack, type Any } from "@bufbuild/protobuf/wkt";
import { Code, type IngestError } from "../errors.ts";
import { BadRequestSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import { StatusSchema, type Status as RpcStatus } from "../gen/google/rpc/status_pb.js";
import type { Status } from "./server.ts";

export const OK: Status = { code: Code.OK, message: "" };

export function rpcStatus(error: IngestError): RpcStatus {
  const details: Any[] = [];
  if (error.field !== undefined) {
    const fieldViolations = [{ field: error.field, description: error.message }];
    details.push(anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations })));
  }
  if (error.retryDelayMs !== undefined) {
    const retryDelay = {
      seconds: BigInt(Math.floor(error.retryDelayMs / 1000)),
      nanos: Math.round(error.retryDelayMs % 1000) * 1_000_000,
    };
    details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })));
  }
  return create(StatusSchema, { code: error.code, message: error.message, details });
}

export function statusOf(error: IngestError): Status {
  const status = rpcStatus(error);
  if (status.details.length === 0) return { code: error.code, message: error.message };
  return { code: error.code, message: error.message, details: toBinary(StatusSchema, status) };
}

/** The canonical name of a code, for metrics: `OK`, `INVALID_ARGUMENT`, ... */
export function codeName(code: Code): string {
  return CODE_NAMES[code] ?? String(code);
}

const CODE_NAMES: Partial<Record<number, string>> = Object.fromEntries(
  Object.entries(Code).map(([name, code]) => [code, name]),
);
