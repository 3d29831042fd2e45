// A method with its counters: handles of metrics are taken once for each code, not for each call.

import type { Code } from "../../errors.ts";
import type { Counter } from "../../telemetry/instruments.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Method } from "../server.ts";
import { codeName } from "../status.ts";

export class ServedMethod {
  readonly method: Method;
  readonly #metrics: Metrics;
  readonly #ended: (Counter | undefined)[] = [];

  constructor(method: Method, metrics: Metrics) {
    this.method = method;
    this.#metrics = metrics;
  }

  /** A call of it has ended. */
  count(code: Code): void {
    const counter = (this.#ended[code] ??= this.#metrics.grpcCalls.with(this.method.path, codeName(code)));
    counter.inc();
  }
}
