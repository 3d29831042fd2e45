// How the command line reaches Kafka: the options of @platformatic/kafka's clients, from the configuration.

import { readFileSync } from "node:fs";
import { type BaseOptions, UserError } from "@platformatic/kafka";
import type { Config } from "../config.ts";

/** Throws if KAFKA_TLS_CA_FILE cannot be read. */
export function kafkaOptions(config: Config): BaseOptions {
  const { kafkaSaslMechanism: mechanism, kafkaSaslUsername: username, kafkaSaslPassword: password } = config;
  const ca = config.kafkaTlsCaFile === undefined ? {} : { ca: readFileSync(config.kafkaTlsCaFile) };
  return {
    clientId: config.kafkaClientId,
    bootstrapBrokers: config.kafkaBrokers.map(({ host, port }) => ({ host, port })),
    connectTimeout: config.kafkaConnectTimeoutMs,
    requestTimeout: config.kafkaRequestTimeoutMs,
    retries: 2,
    retryDelay: 250,
    ...(config.kafkaTls ? { tls: ca, tlsServerName: true } : {}),
    ...(mechanism === undefined
      ? {}
      : {
          sasl: {
            mechanism,
            ...(username === undefined ? {} : { username }),
            ...(password === undefined ? {} : { password }),
          },
        }),
  };
}

/**
 * What went wrong, in one line. The library's errors come as groups of groups, and the deepest one is what happened; of the
 * errors in a response it knows only codes.
 */
export function kafkaReason(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return kafkaReason(thrown.errors[0]);
  if (!(thrown instanceof Error)) return String(thrown);
  if (thrown.cause instanceof Error) return kafkaReason(thrown.cause);
  return thrown.message.replaceAll(/\s+/g, " ");
}

/** The library tells this one from its other mistakes by nothing but its message. */
export function isUnknownTopic(thrown: unknown): boolean {
  return thrown instanceof UserError && thrown.message.startsWith("Unknown topic");
}
