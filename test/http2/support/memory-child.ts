// A server in a process of its own, that tells how much memory it has. Run with --expose-gc and an IPC channel.
//
// The resident set is what an operator's limit counts, and it is the process's: a test's own buffers would be in it.

import { NativeServer } from "../../../src/grpc/native/server.ts";
import { systemClock } from "../../../src/clock.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { EchoCounts, echoMethods } from "./echo.ts";
import { TEST_OPTIONS } from "./options.ts";

export interface MemoryReport {
  readonly rss: number;
  readonly opened: number;
  readonly cancelled: number;
  readonly attacks: readonly string[];
}

const options = { ...TEST_OPTIONS, ...(JSON.parse(process.argv[2] ?? "{}") as object) };
const counts = new EchoCounts();
const metrics = createMetrics();
const server = new NativeServer({ log: silentLogger(), metrics, clock: systemClock }, echoMethods(counts), options);
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

async function report(): Promise<MemoryReport> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await turn();
  }
  const attacks = metrics.grpcAttacks.snapshot().series.flatMap(([labels, value]) => (value === 0 ? [] : labels));
  return { rss: process.memoryUsage.rss(), opened: counts.opened, cancelled: counts.cancelled, attacks };
}

await server.start();
process.on("message", () => {
  void report().then((answer) => process.send!(answer));
});
process.on("disconnect", () => process.exit(0));
process.send!(server.address);
