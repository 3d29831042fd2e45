// The server port over our own HTTP/2 server: gRPC's protocol, and what ties it to metrics and the log.
//
// Why it is our own, and not @grpc/grpc-js or node:http2: with those the transport costs several times what the rest of the
// service does. `GRPC_SERVER=grpc-js` stays as the reference; both pass one conformance suite.

import type { Clock } from "../../clock.ts";
import type { RequestHandler } from "../../http2/request.ts";
import { Http2Server, type Http2ServerOptions } from "../../http2/server.ts";
import { type Attribution, noAttribution } from "../../telemetry/attribution.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { bindError } from "../bind-error.ts";
import type { CallersState, GrpcServer, Method } from "../server.ts";
import type { TlsPaths } from "../../tls/files.ts";
import { TlsWatch } from "../../tls/watch.ts";
import type { CallLimits } from "./call-context.ts";
import { callersOf } from "./callers.ts";
import { Calls } from "./calls.ts";
import { Notices } from "./notices.ts";
import { TransportObserver } from "./observer.ts";

export interface NativeDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly attribution?: Attribution | undefined;
}

export interface NativeOptions extends Http2ServerOptions, CallLimits {
  /** Where `tls` was read from; it is read again when these change. */
  readonly tlsFiles?: TlsPaths | undefined;
}

export class NativeServer implements GrpcServer {
  readonly #dependencies: NativeDependencies;
  readonly #options: NativeOptions;
  readonly #notices: Notices;
  readonly #calls: Calls;
  readonly #http2: Http2Server;
  #tlsWatch: TlsWatch | undefined;

  constructor(dependencies: NativeDependencies, methods: readonly Method[], options: NativeOptions) {
    const { log, metrics, clock, attribution = noAttribution } = dependencies;
    this.#dependencies = dependencies;
    this.#options = options;
    this.#notices = new Notices(log, clock);
    const observer = new TransportObserver(metrics, this.#notices);
    metrics.grpcConnectionsLimit.with().set(options.connectionsMax);
    metrics.grpcConnectionStreamsLimit.with().set(options.streamsMax);
    metrics.grpcConnectionStreamsMax.with().read = () => this.#streamsMax();
    const calls = new Calls({ metrics, clock, observer, notices: this.#notices }, methods, options);
    this.#calls = calls;
    const handler: RequestHandler = (stream, headers) => calls.open(stream, headers);
    const labels = attribution.ofAll("write");
    const aroundWrites = (write: () => void) => {
      const previous = attribution.enter(labels);
      write();
      attribution.leave(previous);
    };
    this.#http2 = new Http2Server({ handler, observer, clock, aroundWrites }, options);
  }

  get address(): { readonly host: string; readonly port: number } {
    return { host: this.#options.host, port: this.#http2.port };
  }

  /** Memory that calls hold for messages that are incomplete or wait, in bytes; 0 when no call is open. */
  get heldBytes(): number {
    return this.#calls.heldBytes;
  }

  #streamsMax(): number {
    let max = 0;
    for (const { streamCount } of this.#http2.connections) max = Math.max(max, streamCount);
    return max;
  }

  inspect(): CallersState {
    return { server: "native", unknown: [], ...callersOf(this.#http2.connections) };
  }

  async start(): Promise<void> {
    const { host, port, tls, tlsFiles } = this.#options;
    try {
      await this.#http2.start();
    } catch (thrown) {
      throw bindError(host, port, thrown);
    }
    if (tls !== undefined && tlsFiles !== undefined) {
      const { log, metrics, clock } = this.#dependencies;
      const dependencies = { log, clock, expiry: metrics.grpcCertificateExpiry.with() };
      this.#tlsWatch = new TlsWatch(dependencies, tlsFiles, tls, (material) => this.#http2.setTls(material));
    }
    this.#dependencies.log.info({ ...this.address, server: "native", tls: tls !== undefined }, "gRPC listens");
  }

  /** Takes no new calls, and waits until those under way have ended. */
  drain(deadlineMs: number): Promise<void> {
    return this.#http2.drain(deadlineMs);
  }

  async dispose(): Promise<void> {
    this.#tlsWatch?.stop();
    await this.#http2.dispose();
    this.#calls.dispose();
    this.#notices.dispose();
  }
}
