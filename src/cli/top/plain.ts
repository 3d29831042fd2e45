// A second in one line, for outputs that are no terminal: `2026-03-01T10:11:12Z ready 2/2  1,200 events/s  ...`.

import type { LiveSnapshot } from "../../admin/live/model.ts";
import { printable } from "../table.ts";
import { last } from "../../admin/live/view/numbers.ts";
import { quantity } from "./numbers.ts";

export function plainLine({ atMs, service, bottleneck, history: { service: now } }: LiveSnapshot): string {
  return [
    `${new Date(atMs).toISOString().slice(0, 19)}Z`,
    `${service.ready ? "ready" : "NOT-READY"} ${service.workersUp}/${service.workers}`,
    `${quantity(last(now.eventsPerSecond), "per second")} events`,
    `${quantity(last(now.errorsPerSecond), "per second")} errors`,
    `p50 ${quantity(last(now.acknowledgeP50), "seconds")}`,
    `p99 ${quantity(last(now.acknowledgeP99), "seconds")}`,
    `${quantity(last(now.eventsInFlight), "count")} in flight`,
    `${quantity(last(now.kafkaQueuedBytes), "bytes")} queued`,
    `${quantity(last(now.spoolBytes), "bytes")} spooled`,
    printable(bottleneck.sentence),
  ].join("  ");
}
