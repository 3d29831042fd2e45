// The producers that have to conform.

import { type Clock, systemClock } from "../../../src/clock.ts";
import { DirectProducer } from "../../../src/kafka/direct/producer.ts";
import { KafkajsProducer } from "../../../src/kafka/kafkajs.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import type { Subject } from "../conformance.ts";
import { kafkaOptions } from "./harness.ts";

function dependencies(clock: Clock = systemClock) {
  return { log: silentLogger(), metrics: createMetrics(), clock, random: Math.random };
}

export const SUBJECTS: readonly Subject[] = [
  {
    name: "direct",
    exactlyOnce: true,
    keepsHeaderOrder: true,
    create: (bootstrap, overrides, clock) => {
      const own = dependencies(clock);
      return { producer: new DirectProducer(own, kafkaOptions(bootstrap, overrides)), metrics: own.metrics };
    },
  },
  {
    name: "kafkajs",
    exactlyOnce: false,
    keepsHeaderOrder: false,
    create: (bootstrap, overrides, clock) => {
      const own = dependencies(clock);
      return { producer: new KafkajsProducer(own, kafkaOptions(bootstrap, overrides)), metrics: own.metrics };
    },
  },
];
