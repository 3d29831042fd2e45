// A real Kafka cluster on the loopback interface, for tests, benchmarks and trials.

import { randomBytes } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { KafkaBroker, type Role } from "./broker.ts";
import { kafkaClassPath, KafkaUnavailable } from "./jars.ts";
import { freePorts, isFreePort } from "./ports.ts";
import { reapDirectory, removeDirectory } from "./reaper.ts";
import { askMetadata, createTopic, type TopicOptions } from "./topics.ts";

export interface KafkaOptions {
  /** 1 (the default) or 3. With 3, topics have 3 replicas and acks=all waits for 2 of them. */
  readonly brokers?: number;
  /** The port of each broker; free ones by default. */
  readonly ports?: readonly number[];
  /**
   * Gives the controller a process of its own, which none of `nodes` is. Without it every broker is one of the controllers,
   * and a cluster that loses most of its brokers elects no leaders and changes no in-sync replicas either. Default false.
   */
  readonly controllerApart?: boolean;
}

export interface KafkaNode {
  /** The node id: 1, 2, 3. */
  readonly id: number;
  readonly port: number;
  /** Of the JVM; undefined while it does not run. */
  readonly pid: number | undefined;
  /**
   * Sends a signal to the JVM (default SIGKILL) and resolves when it has ended; at once for SIGSTOP, which makes a
   * half-open broker, and SIGCONT.
   */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Ends the JVM, if it runs, starts it again with the same data and port, and resolves when all brokers see each other. */
  restart(): Promise<void>;
}

export interface KafkaCluster extends AsyncDisposable {
  /** "host:port,host:port", as KAFKA_BROKERS takes it. */
  readonly bootstrap: string;
  readonly nodes: readonly KafkaNode[];
  /** Resolves when every running broker knows the leaders. Rejects if the topic exists. */
  createTopic(name: string, options?: TopicOptions): Promise<void>;
  /** Ends the brokers and removes their data. Idempotent. */
  stop(): Promise<void>;
}

/** Four JVMs that start at once on two cores, with others at work on these, have taken longer than a minute. */
const READY_TIMEOUT_MS = 180_000;
const POLL_MS = 100;
/** The last brokers to go wait in vain for a quorum; their data is removed anyway. */
const STOP_GRACE_MS = 1_500;
const RESTART_GRACE_MS = 10_000;

/**
 * Starts a cluster and resolves when every broker answers and sees all the others (3 to 10 s).
 * Rejects with KafkaUnavailable if Java or Maven is missing, and with the broker's last words if it does not start.
 */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaCluster> {
  const count = options.ports?.length ?? options.brokers ?? 1;
  const classPath = await kafkaClassPath();
  const directory = mkdtempSync(join(tmpdir(), "sluice-kafka-"));
  reapDirectory(directory);
  const clusterId = randomBytes(16).toString("base64url");
  const ports = options.ports ?? (await freePorts(count));
  for (const port of options.ports ?? []) {
    if (!(await isFreePort(port)))
      throw new KafkaUnavailable(`port ${port} is taken: end what listens there, or choose another`);
  }
  const apart = options.controllerApart ?? false;
  const controllerPorts = await freePorts(apart ? 1 : count, ports);
  const firstController = apart ? count + 1 : 1;
  const voters = controllerPorts.map((port, index) => `${firstController + index}@127.0.0.1:${port}`).join(",");
  const newNode = (id: number, roles: readonly Role[], port: number, controllerPort: number): KafkaBroker =>
    new KafkaBroker({ id, roles, port, controllerPort, voters, brokers: count, clusterId, classPath, directory });
  const brokers = ports.map((port, index) =>
    newNode(index + 1, apart ? ["broker"] : ["broker", "controller"], port, controllerPorts[index] ?? 0),
  );
  const controllers = apart ? [newNode(firstController, ["controller"], 0, controllerPorts[0]!)] : [];
  const all = [...controllers, ...brokers];
  const stop = async (): Promise<void> => {
    await Promise.all(all.map((each) => each.stop(STOP_GRACE_MS)));
    removeDirectory(directory);
  };
  try {
    await Promise.all(all.map((each) => each.format()));
    for (const each of all) each.start();
    await ready(brokers);
  } catch (error) {
    await stop();
    throw error;
  }
  const bootstrap = ports.map(address).join(",");
  return {
    bootstrap,
    nodes: brokers.map((broker) => node(broker, brokers)),
    createTopic: async (name, topic) => {
      const running = brokers.filter((broker) => broker.running).map((broker) => address(broker.port));
      await createTopic(running.join(","), name, topic);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function node(broker: KafkaBroker, brokers: readonly KafkaBroker[]): KafkaNode {
  return {
    id: broker.id,
    port: broker.port,
    get pid() {
      return broker.pid;
    },
    kill: async (signal) => {
      await broker.kill(signal);
    },
    restart: async () => {
      await broker.stop(RESTART_GRACE_MS);
      broker.start();
      await ready(brokers.filter((each) => each.running));
    },
  };
}

/** Resolves when each of the brokers answers a Metadata request with all of them. */
async function ready(brokers: readonly KafkaBroker[]): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (const broker of brokers) {
    while (!(await sees(broker, brokers))) {
      if (!broker.running) throw new Error(`broker ${broker.id} ended at its start:\n${await broker.logTail()}`);
      if (performance.now() > deadline) {
        throw new Error(
          `broker ${broker.id} is not ready after ${READY_TIMEOUT_MS / 1000} s:\n${await broker.logTail()}`,
        );
      }
      await sleep(POLL_MS);
    }
  }
}

async function sees(broker: KafkaBroker, brokers: readonly KafkaBroker[]): Promise<boolean> {
  // Refused until the JVM listens.
  const metadata = await askMetadata(address(broker.port), []).catch(() => undefined);
  return metadata !== undefined && brokers.every(({ id }) => metadata.brokers.some(({ nodeId }) => nodeId === id));
}

function address(port: number): string {
  return `127.0.0.1:${port}`;
}
