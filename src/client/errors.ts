// What goes wrong between a client and the service, with everything the service said about it.
//
// One question matters to a caller more than the code: may the batch be stored? `outcome` answers it. A refusal by the
// service is "not stored" and the batch can be sent again without a duplicate; a stream that ended without an answer is
// "unknown". Rejected: a class per code; callers would have to know them all to ask that one question.

import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack, type Any } from "@bufbuild/protobuf/wkt";
import { type ServiceError, status as Code, type StatusObject } from "@grpc/grpc-js";
import { BadRequestSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../gen/google/rpc/status_pb.js";

/** A field of the request that is wrong, from google.rpc.BadRequest. */
export interface FieldViolation {
  /** For example `events[3].headers[0].key`. */
  readonly field: string;
  readonly description: string;
}

/** `not_stored`: no event of the batch is stored. `unknown`: any of them may be; sending it again may duplicate them. */
export type Outcome = "not_stored" | "unknown";

interface Details {
  readonly outcome: Outcome;
  readonly retryable: boolean;
  readonly retryDelayMs?: number | undefined;
  readonly fieldViolations?: readonly FieldViolation[];
  readonly cause?: unknown;
}

/** Why a whole batch has no answer. Events that fail within a batch are in `PublishResponse.failures` instead. */
export class SluiceError extends Error {
  override readonly name = "SluiceError";
  /** gRPC's status code, a number. */
  readonly code: number;
  /** The code's name, for example `RESOURCE_EXHAUSTED`. */
  readonly codeName: string;
  readonly outcome: Outcome;
  /** True if the same batch may be stored when it is sent again; with the outcome `unknown` it may then be stored twice. */
  readonly retryable: boolean;
  /** How long the service asks to wait before that, in milliseconds (google.rpc.RetryInfo). */
  readonly retryDelayMs: number | undefined;
  /** What is wrong with the request, from google.rpc.BadRequest. */
  readonly fieldViolations: readonly FieldViolation[];

  constructor(code: number, message: string, details: Details) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.codeName = Code[code] ?? `code ${code}`;
    this.outcome = details.outcome;
    this.retryable = details.retryable;
    this.retryDelayMs = details.retryDelayMs;
    this.fieldViolations = details.fieldViolations ?? [];
  }
}

interface RpcStatus {
  readonly code: number;
  readonly message: string;
  readonly details: readonly Any[];
}

/** The codes that the service gives before it takes anything of a batch. Everything else may come from in between. */
const REFUSALS: ReadonlySet<number> = new Set([
  Code.INVALID_ARGUMENT,
  Code.NOT_FOUND,
  Code.PERMISSION_DENIED,
  Code.UNAUTHENTICATED,
  Code.RESOURCE_EXHAUSTED,
  Code.FAILED_PRECONDITION,
  Code.OUT_OF_RANGE,
  Code.UNIMPLEMENTED,
]);

const UNAVAILABLE: number = Code.UNAVAILABLE;

/** The error of a batch that the service refused as a whole. */
export function refusedError(status: RpcStatus, cause?: unknown): SluiceError {
  const { code } = status;
  let retryDelayMs: number | undefined;
  const fieldViolations: FieldViolation[] = [];
  for (const detail of status.details) {
    const delay = anyUnpack(detail, RetryInfoSchema)?.retryDelay;
    if (delay !== undefined) retryDelayMs = Number(delay.seconds) * 1000 + delay.nanos / 1e6;
    for (const { field, description } of anyUnpack(detail, BadRequestSchema)?.fieldViolations ?? [])
      fieldViolations.push({ field, description });
  }
  return new SluiceError(code, status.message, {
    outcome: "not_stored",
    // RESOURCE_EXHAUSTED without RetryInfo is a limit that the same batch meets again, such as a message's size.
    retryable: retryDelayMs !== undefined || code === UNAVAILABLE,
    retryDelayMs,
    fieldViolations,
    cause,
  });
}

/** The error of a unary call. */
export function callError(error: ServiceError): SluiceError {
  if (REFUSALS.has(error.code)) return refusedError(rpcStatus(error), error);
  return unknownOutcome(connectionClosed(error) ? Code.UNAVAILABLE : error.code, error, error);
}

/**
 * Was the connection closed in the middle of the call, as when the service's process is killed? grpc-js then says INTERNAL or
 * UNAVAILABLE, depending on which of its events comes first.
 */
function connectionClosed({ code, details }: StatusObject | ServiceError): boolean {
  return code === Code.INTERNAL && details.startsWith("Received RST_STREAM with code 0");
}

/**
 * The error of a batch whose stream ended before its answer came. Whatever the status says is about the stream: of the
 * batches that were sent on it nothing is known.
 */
export function unansweredError(status: StatusObject): SluiceError {
  // A service that goes away ends its calls in any of these ways, too.
  const gone = status.code === Code.OK || status.code === Code.CANCELLED || connectionClosed(status);
  return unknownOutcome(gone ? Code.UNAVAILABLE : status.code, status);
}

/** The error of a batch whose sender stopped waiting for the answer. */
export function abandonedError(): SluiceError {
  return new SluiceError(Code.CANCELLED, "unknown outcome: cancelled by its sender", {
    outcome: "unknown",
    retryable: false,
  });
}

function unknownOutcome(code: Code, status: StatusObject | ServiceError, cause?: unknown): SluiceError {
  const why = status.details === "" || status.details === "OK" ? "" : `: ${status.details}`;
  return new SluiceError(code, `unknown outcome: no answer before the call ended with ${Code[status.code]}${why}`, {
    outcome: "unknown",
    retryable: code === Code.UNAVAILABLE || code === Code.DEADLINE_EXCEEDED,
    cause,
  });
}

/** The error of a batch that was never sent. */
export function unsentError(code: Code, message: string, cause?: unknown): SluiceError {
  return new SluiceError(code, message, { outcome: "not_stored", retryable: code === Code.UNAVAILABLE, cause });
}

/** The rich status of a call; what it cannot be read from is the plain one. */
function rpcStatus(status: ServiceError): RpcStatus {
  const plain = { code: status.code, message: status.details, details: [] };
  const [bytes] = status.metadata.get("grpc-status-details-bin");
  if (!Buffer.isBuffer(bytes)) return plain;
  try {
    return fromBinary(StatusSchema, bytes);
  } catch {
    return plain;
  }
}

/** How often, and after how long, a batch that the service refused under load is sent again. */
export interface RetryOptions {
  /** Times a batch is sent again; 0 never. Default 0. */
  readonly attemptsMax?: number;
  /** The longest pause, in milliseconds, whatever the service asks for. Default 30,000. */
  readonly delayMsMax?: number;
}

/**
 * The pause before a refused batch is sent again, in milliseconds: what the service asks for and up to a quarter more, so
 * that those who were refused together do not come back together. Undefined: it is not sent again. A batch whose outcome
 * is unknown never is; only its sender knows whether a duplicate matters.
 */
export function retryDelayMs(error: SluiceError, attempts: number, options: RetryOptions = {}): number | undefined {
  const { attemptsMax = 0, delayMsMax = 30_000 } = options;
  if (attempts >= attemptsMax || !error.retryable || error.outcome === "unknown") return undefined;
  return Math.min((error.retryDelayMs ?? 100) * (1 + Math.random() / 4), delayMsMax);
}
