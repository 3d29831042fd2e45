// One node of a cluster in KRaft mode, broker or controller or both: its properties, its storage, its JVM.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { endedWithParent, forgetProcess, reapProcess } from "./reaper.ts";

export type Role = "broker" | "controller";

export interface BrokerOptions {
  readonly id: number;
  readonly roles: readonly Role[];
  /** Ports on the loopback interface: for clients, and for the other controllers. */
  readonly port: number;
  readonly controllerPort: number;
  /** `id@host:port` of every controller, comma-separated. */
  readonly voters: string;
  readonly brokers: number;
  readonly clusterId: string;
  readonly classPath: string;
  /** An existing directory, which the broker's files go into. */
  readonly directory: string;
}

export class KafkaBroker {
  readonly id: number;
  readonly port: number;
  readonly #options: BrokerOptions;
  readonly #properties: string;
  readonly #logFile: string;
  #process: ChildProcess | undefined;

  constructor(options: BrokerOptions) {
    this.id = options.id;
    this.port = options.port;
    this.#options = options;
    this.#properties = join(options.directory, `n${options.id}.properties`);
    this.#logFile = join(options.directory, `n${options.id}.log`);
  }

  /** Of the JVM; undefined while it does not run. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get running(): boolean {
    return this.#process !== undefined;
  }

  /** Prepares the storage; once, before the first `start`. */
  async format(): Promise<void> {
    const { classPath, clusterId } = this.#options;
    await writeFile(this.#properties, properties(this.#options));
    const args = [
      "-cp",
      classPath,
      "kafka.tools.StorageTool",
      "format",
      `--cluster-id=${clusterId}`,
      "-c",
      this.#properties,
    ];
    await promisify(execFile)("java", ["-Xmx128m", "-XX:TieredStopAtLevel=1", ...args]);
  }

  /** Starts the JVM; the broker answers some seconds later. */
  start(): void {
    if (this.#process !== undefined) return;
    const log = openSync(this.#logFile, "a");
    const [command, args] = endedWithParent("java", [
      "-Xmx384m",
      "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
      "-Dorg.slf4j.simpleLogger.showDateTime=true",
      "-cp",
      this.#options.classPath,
      "kafka.Kafka",
      this.#properties,
    ]);
    const child = spawn(command, args, { stdio: ["ignore", log, log], cwd: this.#options.directory });
    closeSync(log);
    this.#process = child;
    const { pid } = child;
    if (pid !== undefined) reapProcess(pid);
    const ended = (): void => {
      if (pid !== undefined) forgetProcess(pid);
      if (this.#process === child) this.#process = undefined;
    };
    child.once("exit", ended);
    child.once("error", ended);
  }

  /** Sends the signal; where the signal ends the JVM (not SIGSTOP, SIGCONT), resolves when it has ended. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    const ended = once(child, "exit");
    child.kill(signal);
    if (signal === "SIGSTOP" || signal === "SIGCONT") return;
    await ended;
  }

  /** Ends the JVM in order, or after `graceMs` by force. */
  async stop(graceMs: number): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    const force = setTimeout(() => child.kill("SIGKILL"), graceMs);
    // A broker that a test has stopped would not see SIGTERM.
    child.kill("SIGCONT");
    await this.kill("SIGTERM");
    clearTimeout(force);
  }

  /** What the JVM printed last. */
  async logTail(): Promise<string> {
    const log = await readFile(this.#logFile, "utf8").catch(() => "");
    return log.trimEnd().split("\n").slice(-15).join("\n");
  }
}

function properties(options: BrokerOptions): string {
  const { id, roles, port, controllerPort, voters, brokers, directory } = options;
  const listeners: Readonly<Record<Role, string>> = {
    broker: `PLAINTEXT://127.0.0.1:${port}`,
    controller: `CONTROLLER://127.0.0.1:${controllerPort}`,
  };
  const replicas = Math.min(3, brokers);
  const inSyncReplicas = Math.max(1, replicas - 1);
  return Object.entries({
    "process.roles": roles.join(","),
    "node.id": id,
    "controller.quorum.voters": voters,
    listeners: roles.map((role) => listeners[role]).join(","),
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    // A properties file takes a backslash for an escape.
    "log.dirs": join(directory, `n${id}`).replaceAll("\\", "/"),
    "auto.create.topics.enable": false,
    "default.replication.factor": replicas,
    "min.insync.replicas": inSyncReplicas,
    "offsets.topic.replication.factor": replicas,
    "offsets.topic.num.partitions": 1,
    "transaction.state.log.replication.factor": replicas,
    "transaction.state.log.min.isr": inSyncReplicas,
    "transaction.state.log.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": replicas,
    "share.coordinator.state.topic.min.isr": inSyncReplicas,
    // A killed broker's partitions find new leaders, and it may come back, after this rather than 9 s.
    "broker.session.timeout.ms": 5_000,
    "broker.heartbeat.interval.ms": 1_000,
    // Consumers in tests begin at once instead of waiting for company.
    "group.initial.rebalance.delay.ms": 0,
  })
    .map(([key, value]) => `${key}=${value}\n`)
    .join("");
}
