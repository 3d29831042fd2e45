// Where the JVM's part comes from: Kafka's jars, resolved by Maven once per pom.xml.
//
// Rejected: the binary release (125 MB from a mirror that keeps only recent ones).

import { join } from "node:path";
import { Jars } from "../maven.ts";

/** Kafka cannot be run here, and why; the message is one line that says what to install. */
export class KafkaUnavailable extends Error {
  override readonly name = "KafkaUnavailable";
}

const JARS = new Jars({
  what: "Kafka",
  pom: join(import.meta.dirname, "pom.xml"),
  folder: "kafka-libs",
  // Kafka 4's brokers are compiled for this release.
  javaReleaseMin: 17,
});

/** The class path with Kafka's broker and tools. Rejects with KafkaUnavailable. */
export async function kafkaClassPath(): Promise<string> {
  const missing = await missingForKafka();
  if (missing !== undefined) throw new KafkaUnavailable(missing);
  try {
    return await JARS.classPath();
  } catch (error) {
    throw new KafkaUnavailable((error as Error).message, { cause: error });
  }
}

/** One line that says what to install before Kafka can run, or undefined. */
export async function missingForKafka(): Promise<string | undefined> {
  return await JARS.missing();
}
