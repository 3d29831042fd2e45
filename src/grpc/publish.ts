// EventIngest: unary and stream share one path, a session of the pipeline; they differ only in how an answer is wrapped.

import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Clock, Timer } from "../clock.ts";
import { Code, IngestError } from "../errors.ts";
import { PublishStreamResponseSchema } from "../gen/sluice/v1/ingest_pb.js";
import type { Batch, Responder } from "../ingest/batch.ts";
import type { Pipeline } from "../ingest/pipeline.ts";
import { Session } from "../ingest/session.ts";
import { type Linked, LinkedList } from "../linked-list.ts";
import type { Counter, Gauge } from "../telemetry/instruments.ts";
import { type Attribution, noAttribution, type Origin, type Origins } from "../telemetry/attribution.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { RequestTrace, Tracing } from "../telemetry/tracing.ts";
import { encodePublished, encodePublishResponse } from "../wire/publish-response.ts";
import { type Caller, Callers } from "./callers.ts";
import type { CallHandler, Method, ServerCall } from "./server.ts";
import { codeName, OK, rpcStatus, statusOf } from "./status.ts";

const PUBLISH = "/sluice.v1.EventIngest/Publish";
const PUBLISH_STREAM = "/sluice.v1.EventIngest/PublishStream";

/** A stream whose client has not taken this much of its answers is not read any further, in bytes. */
const UNSENT_BYTES_MAX = 1 << 20;

/**
 * How long a draining stream waits for what was on the wire when Drain was said, in milliseconds. A client that ends its side
 * of the stream shows that nothing is.
 */
const DRAIN_GRACE_MS = 1_000;

const DRAINED = new IngestError(
  Code.UNAVAILABLE,
  "this server is going away: open another stream; batches without an answer may or may not be stored",
  { retryable: true },
);

export interface EventIngestDependencies {
  readonly pipeline: Pipeline;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly attribution?: Attribution;
  /** Undefined: nothing is traced. */
  readonly tracing?: Tracing | undefined;
  readonly callers?: Callers;
}

/** What every call needs; the handles of metrics are taken once, not for every batch. */
interface Shared extends EventIngestDependencies {
  readonly unaryOrigins: Origins;
  readonly streamOrigins: Origins;
  readonly tracing: Tracing | undefined;
  readonly callers: Callers;
  readonly answered: Counter;
  readonly receivedBytes: Counter;
  readonly openStreams: Gauge;
  /** Calls that have not ended. */
  readonly calls: LinkedList<OpenCall>;
}

type OpenCall = UnaryCall | StreamCall;

/** The two methods of sluice.v1.EventIngest. */
export class EventIngest {
  readonly methods: readonly Method[];
  readonly #shared: Shared;
  /** Set once it drains: until when calls may go on, in milliseconds since the epoch. */
  #deadlineMs: number | undefined;

  constructor(dependencies: EventIngestDependencies) {
    const { metrics, attribution = noAttribution, tracing, callers = new Callers(metrics) } = dependencies;
    this.#shared = {
      ...dependencies,
      unaryOrigins: attribution.origins(PUBLISH),
      streamOrigins: attribution.origins(PUBLISH_STREAM),
      tracing,
      callers,
      answered: metrics.batches.with("OK"),
      receivedBytes: metrics.publishBytes.with(),
      openStreams: metrics.grpcStreams.with(),
      calls: new LinkedList(),
    };
    this.methods = [
      {
        path: PUBLISH,
        requestStream: false,
        responseStream: false,
        open: (call) => new UnaryCall(call, this.#shared),
      },
      {
        path: PUBLISH_STREAM,
        requestStream: true,
        responseStream: true,
        open: (call) => this.#openStream(call),
      },
    ];
  }

  /**
   * Says Drain on every stream, answers what has come and what was on the wire, then ends it with UNAVAILABLE. Unary calls
   * are answered. What has no answer at the deadline ends with UNAVAILABLE, too: what became of it is unknown.
   *
   * @param deadlineMs when calls are ended at the latest, in milliseconds since the epoch.
   */
  async drain(deadlineMs: number): Promise<void> {
    this.#deadlineMs = deadlineMs;
    const { calls } = this.#shared;
    // A call that was on the wire may open meanwhile.
    while (calls.size > 0) await Promise.all(calls.toArray().map((call) => call.drain(deadlineMs)));
  }

  #openStream(call: ServerCall): CallHandler {
    const stream = new StreamCall(call, this.#shared);
    if (this.#deadlineMs !== undefined) void stream.drain(0);
    return stream;
  }
}

class UnaryCall implements CallHandler, Responder, Linked<OpenCall> {
  previous: OpenCall | undefined;
  next: OpenCall | undefined;
  readonly origin: Origin;
  readonly caller: Caller;
  readonly #call: ServerCall;
  readonly #session: Session;
  readonly #shared: Shared;
  /** Set while the call is draining. */
  #onDrained: (() => void) | undefined;

  constructor(call: ServerCall, shared: Shared) {
    this.#call = call;
    this.#shared = shared;
    const peer = call.peerIdentity ?? call.peer;
    this.origin = shared.unaryOrigins.of(peer);
    this.caller = shared.callers.of(peer);
    this.caller.openCalls += 1;
    this.#session = new Session(shared.pipeline, this, call, shared.clock, shared.receivedBytes);
    shared.calls.add(this);
  }

  message(buffer: Buffer, start: number, end: number): void {
    this.caller.requests.inc();
    this.#session.publish(buffer, start, end);
  }

  trace(receivedAtMs: number): RequestTrace | undefined {
    return this.#shared.tracing?.request(PUBLISH, this.#call, receivedAtMs);
  }

  answered(batch: Batch): void {
    this.#shared.answered.inc();
    if (batch.trace !== undefined) traceAnswer(batch, this.#shared);
    this.#call.send(encodePublishResponse(batch));
    this.#call.end(OK);
    this.#finish();
  }

  refused(batch: Batch, error: IngestError): void {
    this.#shared.metrics.batches.with(codeName(error.code)).inc();
    if (batch.trace !== undefined) traceRefusal(batch, error, this.#shared);
    this.#call.end(statusOf(error));
    this.#finish();
  }

  halfClose(): void {}

  drained(): void {}

  cancelled(): void {
    this.#session.close();
    this.#finish();
  }

  /** Resolves when the call has ended, which is at the deadline at the latest. */
  async drain(deadlineMs: number): Promise<void> {
    const { clock } = this.#shared;
    const drained = Promise.withResolvers<void>();
    this.#onDrained = drained.resolve;
    const deadline = clock.setTimeout(drained.resolve, Math.max(0, deadlineMs - clock.now()));
    await drained.promise;
    clock.clearTimeout(deadline);
    this.#call.end(statusOf(DRAINED));
    this.#session.close();
    this.#finish();
  }

  #finish(): void {
    this.#onDrained?.();
    if (this.#shared.calls.remove(this)) this.caller.openCalls -= 1;
  }
}

class StreamCall implements CallHandler, Responder, Linked<OpenCall> {
  previous: OpenCall | undefined;
  next: OpenCall | undefined;
  readonly origin: Origin;
  readonly caller: Caller;
  readonly #call: ServerCall;
  readonly #session: Session;
  readonly #shared: Shared;
  /** Reasons not to read: the session's and the client's own slowness come and go on their own. */
  #heldBySession = false;
  #heldByClient = false;
  #halfClosed = false;
  #over = false;
  /** Set once the stream is draining. */
  #draining: Promise<void> | undefined;
  #onDrained: (() => void) | undefined;
  /** When a draining stream ends at the latest, in milliseconds since the epoch. */
  #deadlineMs = Number.POSITIVE_INFINITY;
  #deadline: Timer | undefined;
  #grace: Timer | undefined;

  constructor(call: ServerCall, shared: Shared) {
    const { pipeline, clock, receivedBytes } = shared;
    this.#call = call;
    this.#shared = shared;
    const peer = call.peerIdentity ?? call.peer;
    this.origin = shared.streamOrigins.of(peer);
    this.caller = shared.callers.of(peer);
    this.caller.openCalls += 1;
    const flow = {
      pause: () => {
        this.#heldBySession = true;
        call.pause();
      },
      resume: () => {
        this.#heldBySession = false;
        this.#resume();
        this.#settledOne();
      },
    };
    this.#session = new Session(pipeline, this, flow, clock, receivedBytes);
    shared.calls.add(this);
    shared.openStreams.inc();
  }

  message(buffer: Buffer, start: number, end: number): void {
    this.caller.requests.inc();
    this.#session.publish(buffer, start, end);
  }

  trace(receivedAtMs: number): RequestTrace | undefined {
    return this.#shared.tracing?.request(PUBLISH_STREAM, this.#call, receivedAtMs);
  }

  answered(batch: Batch): void {
    this.#shared.answered.inc();
    if (batch.trace !== undefined) traceAnswer(batch, this.#shared);
    this.#send(encodePublished(batch));
  }

  refused(batch: Batch, error: IngestError): void {
    this.#shared.metrics.batches.with(codeName(error.code)).inc();
    if (batch.trace !== undefined) traceRefusal(batch, error, this.#shared);
    const refused = { sequence: BigInt(batch.sequence), status: rpcStatus(error) };
    this.#send(
      toBinary(
        PublishStreamResponseSchema,
        create(PublishStreamResponseSchema, { event: { case: "refused", value: refused } }),
      ),
    );
  }

  halfClose(): void {
    this.#halfClosed = true;
    this.#settledOne();
  }

  drained(): void {
    this.#heldByClient = false;
    this.#resume();
  }

  cancelled(): void {
    this.#session.close();
    this.#finish();
  }

  /** The client's connection has been open for too long. */
  goingAway(deadlineMs: number): void {
    void this.drain(deadlineMs);
  }

  /**
   * Says Drain, once. Resolves when the call has ended, which is at the deadline at the latest: the first to come, if this is
   * called again.
   */
  async drain(deadlineMs: number): Promise<void> {
    if (deadlineMs < this.#deadlineMs) {
      this.#deadlineMs = deadlineMs;
      if (this.#onDrained !== undefined && !this.#over) this.#setDeadline(this.#onDrained);
    }
    await (this.#draining ??= this.#drain(deadlineMs));
  }

  async #drain(deadlineMs: number): Promise<void> {
    if (this.#over) return;
    const { clock } = this.#shared;
    const deadline = timestampFromMs(Math.max(deadlineMs, clock.now()));
    // Asked for first, because it is what moves the last settled sequence on.
    const outstanding = this.#session.outstanding;
    const drain = { deadline, lastSettledSequence: BigInt(this.#session.lastSettledSequence) };
    this.#call.send(
      toBinary(
        PublishStreamResponseSchema,
        create(PublishStreamResponseSchema, { event: { case: "drain", value: drain } }),
      ),
    );
    if (!this.#halfClosed || outstanding > 0) {
      await new Promise<void>((resolve) => {
        this.#onDrained = resolve;
        this.#setDeadline(resolve);
        this.#settledOne();
      });
    }
    for (const timer of [this.#deadline, this.#grace]) if (timer !== undefined) clock.clearTimeout(timer);
    this.#end(statusOf(DRAINED));
  }

  #setDeadline(resolve: () => void): void {
    const { clock } = this.#shared;
    if (this.#deadline !== undefined) clock.clearTimeout(this.#deadline);
    this.#deadline = clock.setTimeout(resolve, Math.max(0, this.#deadlineMs - clock.now()));
  }

  #send(message: Uint8Array): void {
    this.#call.send(message);
    if (this.#call.unsentBytes > UNSENT_BYTES_MAX && !this.#heldByClient) {
      this.#heldByClient = true;
      this.#call.pause();
    }
    this.#settledOne();
  }

  #resume(): void {
    if (!this.#heldBySession && !this.#heldByClient) this.#call.resume();
  }

  /** Asking what is outstanding walks the session's batches, so it is asked only where somebody waits for the last one. */
  #settledOne(): void {
    if ((!this.#halfClosed && this.#onDrained === undefined) || this.#session.outstanding > 0) return;
    if (this.#onDrained === undefined) this.#end(OK);
    else if (this.#halfClosed) this.#onDrained();
    else this.#startGrace(this.#onDrained);
  }

  #startGrace(onDrained: () => void): void {
    const { clock } = this.#shared;
    if (this.#grace !== undefined) clock.clearTimeout(this.#grace);
    this.#grace = clock.setTimeout(() => {
      // A batch may have come meanwhile; its answer starts the wait anew.
      if (this.#session.outstanding === 0) onDrained();
    }, DRAIN_GRACE_MS);
  }

  #end(status: Parameters<ServerCall["end"]>[0]): void {
    if (this.#over) return;
    this.#call.end(status);
    this.#session.close();
    this.#finish();
  }

  #finish(): void {
    this.#over = true;
    this.#onDrained?.();
    if (!this.#shared.calls.remove(this)) return;
    this.caller.openCalls -= 1;
    this.#shared.openStreams.dec();
  }
}

function traceAnswer({ trace, stored, failures }: Batch, { clock }: Shared): void {
  trace?.span?.answered(clock.monotonic(), stored, failures);
}

function traceRefusal({ trace }: Batch, error: IngestError, { clock }: Shared): void {
  trace?.span?.refused(clock.monotonic(), codeName(error.code), error.message);
}
