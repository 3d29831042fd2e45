// One error class for everything the world can do wrong to an event or a batch.
//
// Whether a failure is permanent is decided where the error is born, because only that place knows; everybody above
// only reads `retryable`. The codes are gRPC's, so that the edge of the service translates nothing. Assertions, not
// IngestErrors, are for our own bugs.

/** gRPC's canonical status codes that this service answers with. */
export const Code = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

/** Why one event is not stored; the numbers are those of `sluice.v1.Reason`. */
export const Reason = {
  UNKNOWN_TOPIC: 1,
  INVALID_TOPIC: 2,
  INVALID_PARTITION: 3,
  TOO_LARGE: 4,
  INVALID_TIMESTAMP: 5,
  MISSING_KEY: 6,
  NOT_AUTHORIZED: 7,
  REJECTED: 8,
  UNAVAILABLE: 9,
} as const;
export type Reason = (typeof Reason)[keyof typeof Reason];

const REASON_LABELS = Object.fromEntries(
  Object.entries(Reason).map(([name, value]) => [value, name.toLowerCase()]),
) as Record<Reason, Lowercase<keyof typeof Reason>>;

/** The reason as a metric label, for example `unknown_topic`. */
export function reasonLabel(reason: Reason): string {
  return REASON_LABELS[reason];
}

export interface IngestErrorOptions {
  /** May the same thing succeed when it is tried again later? */
  readonly retryable?: boolean;
  /** Why an event failed, where the error is about events. */
  readonly reason?: Reason;
  /** The field of the request that is wrong, for example `events[3].headers[0].key`. */
  readonly field?: string;
  /** How long a client should wait before it tries again, in milliseconds. */
  readonly retryDelayMs?: number;
  readonly cause?: unknown;
}

export class IngestError extends Error {
  override readonly name = "IngestError";
  readonly code: Code;
  readonly retryable: boolean;
  readonly reason: Reason;
  readonly field: string | undefined;
  readonly retryDelayMs: number | undefined;

  constructor(code: Code, message: string, options: IngestErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.reason = options.reason ?? (this.retryable ? Reason.UNAVAILABLE : Reason.REJECTED);
    this.field = options.field;
    this.retryDelayMs = options.retryDelayMs;
  }

  /** Total: whatever was thrown becomes an IngestError; what is not one already is our bug, hence INTERNAL. */
  static from(thrown: unknown): IngestError {
    if (thrown instanceof IngestError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new IngestError(Code.INTERNAL, message, { cause: thrown });
  }
}

/** For our own bugs: an invariant does not hold, and going on could lose or corrupt events. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
