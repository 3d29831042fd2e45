// Real Kafka on this machine, without Docker: `npm run kafka -- start`. Tests and the bench import `startKafka`.

import { parseArgs } from "node:util";

import { type KafkaCluster, startKafka } from "./kafka/cluster.ts";
import { createTopic } from "./kafka/topics.ts";

export { type KafkaCluster, type KafkaNode, type KafkaOptions, startKafka } from "./kafka/cluster.ts";
export { kafkaClassPath, KafkaUnavailable, missingForKafka } from "./kafka/jars.ts";
export { createTopic, type TopicOptions } from "./kafka/topics.ts";

/** The environment variable in which the test runner hands its broker to test files, as `host:port`. */
export const SHARED_KAFKA = "SLUICE_TEST_KAFKA";

const HELP = `Real Kafka on this machine, in KRaft mode; needs Java 17 or newer, and Maven to fetch Kafka once.

  node scripts/kafka.ts start [--brokers 1|3] [--port 9092]
      Starts brokers on 127.0.0.1, on --port and the ports after it, and runs until Ctrl-C;
      then their data is removed.

  node scripts/kafka.ts topic NAME [--partitions 1] [--replication-factor N] [--config key=value]...
      [--bootstrap 127.0.0.1:9092]
      Creates a topic. Brokers here never create topics by themselves.

  --help  Prints this.
`;

async function start(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { brokers: { type: "string", default: "1" }, port: { type: "string", default: "9092" } },
  });
  if (values.brokers !== "1" && values.brokers !== "3")
    throw new TypeError(`--brokers ${values.brokers}: it is 1 or 3`);
  const first = integer("--port", values.port, 1, 65_535);
  process.stdout.write(`Starting Kafka; the first time, Maven fetches it…\n`);
  const ended = new Promise<string>((resolve) => {
    process.once("SIGINT", resolve).once("SIGTERM", resolve);
  });
  const starting = startKafka({ ports: Array.from({ length: Number(values.brokers) }, (_, index) => first + index) });
  const cluster: KafkaCluster | string = await Promise.race([starting, ended]);
  if (typeof cluster !== "string") {
    process.stdout.write(`Kafka is up. Ctrl-C stops it.\n\n  KAFKA_BROKERS=${cluster.bootstrap}\n\n`);
    await ended;
  }
  process.stdout.write("\nStopping Kafka…\n");
  await (await starting).stop();
}

async function topic(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      partitions: { type: "string", default: "1" },
      "replication-factor": { type: "string", default: "-1" },
      config: { type: "string", multiple: true, default: [] },
      bootstrap: { type: "string", default: "127.0.0.1:9092" },
    },
  });
  const [name, ...rest] = positionals;
  if (name === undefined || rest.length > 0) throw new TypeError("topic takes exactly one NAME");
  const configs = values.config.map((entry) => {
    const at = entry.indexOf("=");
    if (at < 1) throw new TypeError(`--config ${entry}: it is key=value`);
    return [entry.slice(0, at), entry.slice(at + 1)];
  });
  const partitions = integer("--partitions", values.partitions, 1, 10_000);
  const replicationFactor = integer("--replication-factor", values["replication-factor"], -1, 3);
  await createTopic(values.bootstrap, name, { partitions, replicationFactor, configs: Object.fromEntries(configs) });
  process.stdout.write(`Created topic ${name} with ${partitions} partition${partitions === 1 ? "" : "s"}.\n`);
}

function integer(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new TypeError(`${flag} ${text}: it is a number from ${min} to ${max}`);
  }
  return value;
}

async function main([command, ...args]: string[]): Promise<void> {
  if (command === undefined || command === "help" || [command, ...args].includes("--help")) {
    process.stdout.write(HELP);
    return;
  }
  if (command === "start") await start(args);
  else if (command === "topic") await topic(args);
  else throw new TypeError(`no command ${command}; --help tells which there are`);
}

if (import.meta.main) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`kafka: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
