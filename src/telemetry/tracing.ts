// What a request's trace is told, by those who know it: a port, so that ingest and gRPC know no OpenTelemetry.
//
// Whether a request is recorded is decided when its bytes are there, before any span exists. One that is not recorded and
// brought no context has no object at all: the rest of its way asks for `trace` and finds undefined, as it does without tracing.
// Rejected: the API's no-op spans and its active context, which cost each request objects and an AsyncLocalStorage.

import type { TraceRef } from "./exemplars.ts";

/** A call, as tracing sees it. */
export interface TracedCall {
  /** The client's address, with its port. */
  readonly peer: string;
  /** That header's value; asked for by every request. */
  readonly traceparent: string | undefined;
  header(name: string): string | undefined;
}

/** The names that log lines carry. */
export interface TraceIds {
  readonly trace_id: string;
  readonly span_id: string;
}

/** One request that is recorded, or whose context is passed on. */
export interface RequestTrace {
  /** Headers for every record of the request that has no context of its own, as Kafka encodes them. */
  readonly headers: Buffer;
  readonly headerCount: number;
  /** Undefined: not recorded. */
  readonly span: RequestSpan | undefined;
}

/** The span of a recorded request. Times are milliseconds on the monotonic clock. */
export interface RequestSpan {
  /** For exemplars. */
  readonly context: TraceRef;
  /** For log lines. */
  readonly ids: TraceIds;
  /** Its events are in record batches. @param topic the batch's own; undefined: each event has one. */
  admitted(nowMs: number, events: number, topic: string | undefined): void;
  /** @param failures those of its events that are not stored, with why; the first says it for all. */
  answered(nowMs: number, stored: number, failures: readonly { readonly message: string }[]): void;
  /** @param code of the status, for example `RESOURCE_EXHAUSTED`. */
  refused(nowMs: number, code: string, message: string): void;
}

/** A record batch with records of recorded requests. */
export interface TracedRecords {
  readonly topic: string;
  readonly partition: number;
  /** Kept on local disk, rather than sent to Kafka. */
  readonly persisted: boolean;
  /** When it was closed to further records, and when it was first sent, on the monotonic clock. */
  readonly sealedAtMs?: number;
  readonly sentAtMs?: number;
  /** The broker that it was sent to last, `host:port`. */
  readonly sentTo?: string;
  readonly bytes: Buffer;
  /** Whose records these are, in order: runs[i] has runCounts[i] of them. */
  readonly runs: readonly { readonly trace: RequestTrace | undefined }[];
  readonly runCounts: readonly number[];
}

/** Why records are not stored. */
export interface TracedFailure {
  /** For example `TOO_LARGE`. */
  readonly type: string;
  readonly message: string;
}

export interface Tracing {
  /**
   * A request has arrived.
   *
   * @param receivedAtMs on the monotonic clock.
   * @returns undefined if it is neither recorded nor has a context to pass on.
   */
  request(method: string, call: TracedCall, receivedAtMs: number): RequestTrace | undefined;
  /**
   * Records [first, first + count) of the batch have their outcome.
   *
   * @param isFirst no other records of the batch had one before.
   * @param baseOffset of record `first`; -1 if it is not known.
   * @param failure undefined: they are stored.
   */
  settled(
    records: TracedRecords,
    first: number,
    count: number,
    isFirst: boolean,
    nowMs: number,
    baseOffset: number,
    failure: TracedFailure | undefined,
  ): void;
}
