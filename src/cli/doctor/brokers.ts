// Brokers: can each be reached and logged in to, and which Kafka is it?

import { apiVersionsV3, Connection, type ConnectionOptions } from "@platformatic/kafka";
import { type Address, type Config, formatAddress } from "../../config.ts";
import { kafkaOptions, kafkaReason } from "../kafka.ts";
import { error, type Finding, ok } from "./finding.ts";

const PRODUCE = 0;
const PRODUCE_VERSION_MIN = 9;

/** Which releases have this as the newest version of the Produce API: the one number that tells them apart. */
const RELEASES: readonly (readonly [produceVersion: number, release: string])[] = [
  [13, "4.1 or newer"],
  [12, "4.0"],
  [11, "3.8 or 3.9"],
  [10, "3.7"],
  [9, "2.8 to 3.6"],
];

/** Says which Kafka offers this version of Produce; undefined: one that is too old. */
export function releaseOf(produceVersionMax: number): string | undefined {
  return RELEASES.find(([version]) => produceVersionMax >= version)?.[1];
}

/** One bootstrap broker: connects, logs in, and asks for its APIs. */
async function checkBroker(address: Address, options: ConnectionOptions): Promise<Finding> {
  const subject = `broker ${formatAddress(address)}`;
  const connection = new Connection("sluice-doctor", options);
  try {
    await connection.connect(address.host, address.port);
    const { apiKeys } = await apiVersionsV3.api.async(connection, "sluice-doctor", "1");
    const release = releaseOf(apiKeys.find(({ apiKey }) => apiKey === PRODUCE)?.maxVersion ?? -1);
    if (release === undefined)
      return error(subject, `is older than Kafka 2.8: it has no Produce version ${PRODUCE_VERSION_MIN}`, "upgrade it");
    return ok(subject, `answers, Kafka ${release}`);
  } catch (thrown) {
    return error(
      subject,
      `cannot be used: ${kafkaReason(thrown)}`,
      "check that it runs and is reachable from here, then KAFKA_BROKERS, KAFKA_TLS and the KAFKA_SASL_ options",
    );
  } finally {
    await connection.close().catch(() => {});
  }
}

export async function checkBrokers(config: Config): Promise<Finding[]> {
  const options = kafkaOptions(config);
  return Promise.all(
    config.kafkaBrokers.map((address) =>
      checkBroker(address, {
        connectTimeout: config.kafkaConnectTimeoutMs,
        requestTimeout: config.kafkaRequestTimeoutMs,
        ...(options.tls === undefined ? {} : { tls: options.tls, tlsServerName: true }),
        ...(options.sasl === undefined ? {} : { sasl: options.sasl }),
      }),
    ),
  );
}
