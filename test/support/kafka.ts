// Real Kafka for `*.kafka.test.ts` files.
//
//   kafkaTest("a tombstone stays a tombstone", async (kafka) => {
//     const topic = await kafka.createTopic("tombstones", { partitions: 4 });
//     …
//     const records = await javaConsume({ bootstrap: kafka.bootstrap, topic, count: 10 });
//   });
//
// Under the runner (scripts/test.ts) all files share one broker, which it names in SLUICE_TEST_KAFKA; a file that runs
// alone starts its own at the first use and stops it at the end. A test that needs three brokers, or kills some, calls
// `startKafka` itself.

import { randomBytes } from "node:crypto";
import test, { after, type TestContext } from "node:test";

import {
  createTopic,
  type KafkaCluster,
  missingForKafka,
  SHARED_KAFKA,
  startKafka,
  type TopicOptions,
} from "../../scripts/kafka.ts";

export { type KafkaCluster, type KafkaNode, startKafka } from "../../scripts/kafka.ts";
export { javaConsume, javaConsumeEach, type JavaConsumeOptions, type JavaRecord } from "../../scripts/kafka/consume.ts";

export interface TestKafka {
  readonly available: true;
  /** "host:port", as KAFKA_BROKERS takes it. */
  readonly bootstrap: string;
  /** Creates a topic whose name begins with `prefix` and is nobody else's; resolves with the name. */
  createTopic(prefix: string, options?: TopicOptions): Promise<string>;
}

export interface NoKafka {
  readonly available: false;
  /** One line that says what to install. */
  readonly reason: string;
}

let own: Promise<KafkaCluster> | undefined;

after(async () => {
  await (await own?.catch(() => undefined))?.stop();
});

/** The broker to test with: the runner's, or this file's own. */
export async function kafka(): Promise<TestKafka | NoKafka> {
  const shared = process.env[SHARED_KAFKA];
  if (shared !== undefined && shared !== "") return use(shared);
  if (own === undefined) {
    const reason = await missingForKafka();
    if (reason !== undefined) return { available: false, reason };
  }
  own ??= startKafka();
  return use((await own).bootstrap);
}

/** A test that needs a broker; it is skipped, with the reason, where none can be had. */
export function kafkaTest(
  name: string,
  body: (kafka: TestKafka, context: TestContext) => Promise<void>,
  options: { readonly timeout?: number } = {},
): void {
  void test(name, { timeout: options.timeout ?? 120_000 }, async (context) => {
    const found = await kafka();
    if (found.available) await body(found, context);
    else context.skip(found.reason);
  });
}

/** A legal topic name that no other test uses. */
export function uniqueTopic(prefix: string): string {
  return `${prefix}-${randomBytes(6).toString("hex")}`;
}

function use(bootstrap: string): TestKafka {
  return {
    available: true,
    bootstrap,
    createTopic: async (prefix, options) => {
      const name = uniqueTopic(prefix);
      await createTopic(bootstrap, name, options);
      return name;
    },
  };
}
