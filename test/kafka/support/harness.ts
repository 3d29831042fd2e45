// A direct producer on a fake cluster, with short time-outs.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import { type Clock, systemClock } from "../../../src/clock.ts";
import { DirectProducer } from "../../../src/kafka/direct/producer.ts";
import type { KafkaOptions } from "../../../src/kafka/options.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { createMetrics, type Metrics, snapshot } from "../../../src/telemetry/metrics.ts";
import { FakeCluster, type FakeClusterOptions } from "../../support/fake-broker.ts";
import { valuesOf } from "./batches.ts";

export function kafkaOptions(bootstrap: string, overrides: Partial<KafkaOptions> = {}): KafkaOptions {
  return {
    bootstrap: bootstrap.split(",").map((address) => {
      const colon = address.lastIndexOf(":");
      return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
    }),
    clientId: "test",
    connectTimeoutMs: 2_000,
    requestTimeoutMs: 5_000,
    metadataMaxAgeMs: 60_000,
    autoCreateTopics: false,
    tls: undefined,
    sasl: undefined,
    ...overrides,
  };
}

export interface Harness extends AsyncDisposable {
  readonly cluster: FakeCluster;
  readonly producer: DirectProducer;
  readonly metrics: Metrics;
}

export async function start(
  options: FakeClusterOptions = {},
  overrides: Partial<KafkaOptions> = {},
  clock: Clock = systemClock,
): Promise<Harness> {
  const cluster = await FakeCluster.start({ topics: { t: 1 }, ...options });
  const { producer, metrics } = direct(cluster.bootstrap, overrides, clock);
  await producer.start();
  return {
    cluster,
    producer,
    metrics,
    [Symbol.asyncDispose]: async () => {
      await producer.dispose();
      await cluster.stop();
      assert.deepEqual(cluster.violations, [], "the protocol is kept");
      assert.equal(value(metrics, "sluice_kafka_queued_bytes"), 0, "what is settled is not counted as queued");
    },
  };
}

export function direct(
  bootstrap: string,
  overrides: Partial<KafkaOptions> = {},
  clock: Clock = systemClock,
): { readonly producer: DirectProducer; readonly metrics: Metrics } {
  const metrics = createMetrics();
  const dependencies = { log: silentLogger(), metrics, clock, random: Math.random };
  return { producer: new DirectProducer(dependencies, kafkaOptions(bootstrap, overrides)), metrics };
}

/** The sum over all series of a counter or gauge (that carry the label). */
export function value(metrics: Metrics, name: string, label?: string): number {
  const { series } = snapshot(metrics).find((metric) => metric.name === name)!;
  const chosen = label === undefined ? series : series.filter(([labels]) => labels.includes(label));
  return chosen.reduce((sum, [, each]) => sum + (typeof each === "number" ? each : 0), 0);
}

/** The values of the records that are stored, in order. */
export function storedValues(cluster: FakeCluster, topic: string, partition: number): string[] {
  return cluster.log(topic, partition).flatMap(({ bytes }) => valuesOf(bytes));
}

/** Resolves when the condition holds; rejects after 10 s. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `it does not come to be: ${what}`);
    await sleep(5);
  }
}

/** A clock that goes faster than time, so that a test need not wait for what takes 15 s. */
export function fastClock(factor: number): Clock {
  return {
    ...systemClock,
    monotonic: () => systemClock.monotonic() * factor,
    recentMonotonic: () => systemClock.recentMonotonic() * factor,
    setTimeout: (callback, delayMs) => systemClock.setTimeout(callback, delayMs / factor),
  };
}
