// Open connections by caller, as a metric.
//
// Invariant: a connection that ends is taken off where it was added, whatever its caller is told as meanwhile.

import { callerOf } from "../../telemetry/attribution.ts";
import type { Gauge } from "../../telemetry/instruments.ts";
import type { Metrics } from "../../telemetry/metrics.ts";

export class CallerConnections {
  readonly #metrics: Metrics;
  /** By the peer's address with its port, or the name that it has shown. */
  readonly #open = new Map<string, { readonly gauge: Gauge; connections: number }>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  opened(peer: string): void {
    let open = this.#open.get(peer);
    if (open === undefined) {
      open = { gauge: this.#metrics.grpcCallerConnections.with(callerOf(peer)), connections: 0 };
      this.#open.set(peer, open);
    }
    open.connections += 1;
    open.gauge.inc();
  }

  closed(peer: string): void {
    const open = this.#open.get(peer);
    if (open === undefined) return;
    open.gauge.dec();
    open.connections -= 1;
    if (open.connections === 0) this.#open.delete(peer);
  }
}
