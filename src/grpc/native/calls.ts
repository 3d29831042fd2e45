// The calls of a worker: what they share, and how a request becomes one of them.

import type { Clock } from "../../clock.ts";
import type { Http2Observer } from "../../http2/observer.ts";
import type { RequestHeaders, RequestReceiver, RequestStream } from "../../http2/request.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Method } from "../server.ts";
import { codeName } from "../status.ts";
import { NativeCall } from "./call.ts";
import type { CallContext, CallLimits } from "./call-context.ts";
import { Deadlines } from "./deadlines.ts";
import { ForeignExchange, ForeignRequest } from "./foreign-request.ts";
import { IncompleteMessages } from "./incomplete-messages.ts";
import { Inflater } from "./inflater.ts";
import { MessageBuffers } from "./message-buffers.ts";
import type { Notices } from "./notices.ts";
import { grpcRequestOf, RefusedRequest } from "./request.ts";
import { ServedMethod } from "./served-method.ts";

/** The label of calls of methods that nobody knows: clients choose the names, and labels must stay few. */
const UNKNOWN_METHOD = "unknown";

export interface CallsDependencies {
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly observer: Pick<Http2Observer, "attack">;
  readonly notices: Notices;
}

export class Calls {
  readonly #metrics: Metrics;
  readonly #methods: ReadonlyMap<string, ServedMethod>;
  readonly #context: CallContext;

  constructor(dependencies: CallsDependencies, methods: readonly Method[], limits: CallLimits) {
    const { metrics, clock, observer, notices } = dependencies;
    this.#metrics = metrics;
    this.#methods = new Map(methods.map((method) => [method.path, new ServedMethod(method, metrics)]));
    const incomplete = new IncompleteMessages(clock, limits.messageTimeoutMs);
    const buffers = new MessageBuffers(metrics.grpcReceiveBufferBytes.with(), {
      bytesMax: limits.receiveBytesMax,
      evict: (requester) => incomplete.evictOldest(requester),
    });
    metrics.grpcReceiveBufferBytesLimit.with().set(limits.receiveBytesMax);
    const inflater = new Inflater(limits.messageBytesMax);
    const deadlines = new Deadlines(clock);
    this.#context = { clock, observer, notices, limits, buffers, incomplete, inflater, deadlines };
  }

  /** Memory that calls hold for messages, in bytes. */
  get heldBytes(): number {
    return this.#context.buffers.usedBytes;
  }

  /** Takes a request. */
  open(stream: RequestStream, headers: RequestHeaders): RequestReceiver {
    const request = grpcRequestOf(headers, this.#methods);
    if (request instanceof RefusedRequest) {
      stream.end(request.block);
      if (request.served === undefined) this.#metrics.grpcCalls.with(UNKNOWN_METHOD, codeName(request.code)).inc();
      else request.served.count(request.code);
      return ANSWERED;
    }
    if (request instanceof ForeignRequest) {
      this.#metrics.grpcCalls.with(UNKNOWN_METHOD, codeName(request.code)).inc();
      return new ForeignExchange(stream, request);
    }
    const call = new NativeCall(this.#context, stream, headers, request);
    call.begin();
    return call;
  }

  /** Stops the timers. */
  dispose(): void {
    this.#context.incomplete.dispose();
    this.#context.deadlines.dispose();
  }
}

/** Hears the rest of a request that has its answer already; the stream gives its credit back by itself. */
const ANSWERED: RequestReceiver = {
  data: () => {},
  ended: () => {},
  drained: () => {},
  closed: () => {},
  goingAway: () => {},
};
