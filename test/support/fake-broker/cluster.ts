// A Kafka cluster that does what a real one cannot be made to do on demand: lose an answer, name any error, hang, be slow,
// move a leader between two requests. A test double, not a product: nothing is replicated and nothing can be fetched; what
// was stored is read back with `log`.

import { type Clock, systemClock } from "../../../src/clock.ts";
import { FakeBroker, type Listen, listenOnLoopback } from "./broker.ts";
import type { AppendHook, Hooks, ProduceHook, RequestHook, RequestInfo } from "./hooks.ts";
import type { StoredBatch } from "./partition-log.ts";
import { ClusterState, configDefaults, type FakeNode, type FakePartition, type TopicSpec } from "./state.ts";
import { type ApiName, PROFILES, type Profile, type VersionRanges } from "./versions.ts";

export interface FakeClusterOptions {
  /** Default 1. Their node ids are 1, 2, 3… */
  readonly brokers?: number;
  /** The release that the brokers look like; default "4.1". */
  readonly profile?: Profile;
  /** Version ranges that differ from the profile's. */
  readonly versions?: Partial<VersionRanges>;
  /** Topics to begin with, with their number of partitions or more. */
  readonly topics?: Readonly<Record<string, number | TopicSpec>>;
  /** Partitions of topics that Metadata creates by itself; default 0: it does not. */
  readonly autoCreatePartitions?: number;
  /** False: batches cannot be read back, and requests are not listed. With `verify: false`, record bytes are skipped. */
  readonly store?: boolean;
  /** False: every batch for the right leader is taken; neither CRC nor size nor sequence is checked. */
  readonly verify?: boolean;
  readonly clock?: Clock;
  /** Default: on the loopback interface. */
  readonly listen?: Listen;
}

/** `requests` forgets the oldest beyond this. */
const REQUESTS_MAX = 50_000;

export class FakeCluster implements Hooks, AsyncDisposable {
  readonly brokers: readonly FakeBroker[];
  /** Every request taken up, oldest first; empty with `store: false`. */
  readonly requests: RequestInfo[] = [];
  /** What was sent that is not the protocol; a good client leaves it empty. */
  readonly violations: string[] = [];
  onProduce: ProduceHook | undefined;
  onRequest: RequestHook | undefined;
  onAppend: AppendHook | undefined;
  readonly #state: ClusterState;

  /** Nothing listens before `start`. */
  constructor(options: FakeClusterOptions = {}) {
    const profile = options.profile ?? "4.1";
    const store = options.store ?? true;
    const nodes = Array.from({ length: options.brokers ?? 1 }, (_, index): FakeNode => ({
      nodeId: index + 1,
      host: "127.0.0.1",
      port: 0,
      up: false,
    }));
    this.#state = new ClusterState(nodes, configDefaults(profile));
    const listen = options.listen ?? listenOnLoopback;
    let connections = 0;
    const context = {
      state: this.#state,
      versions: { ...PROFILES[profile], ...options.versions },
      autoCreatePartitions: options.autoCreatePartitions ?? 0,
      store,
      verify: options.verify ?? true,
      clock: options.clock ?? systemClock,
      hooks: this,
      requested: (request: RequestInfo) => {
        if (!store) return;
        this.requests.push(request);
        if (this.requests.length > REQUESTS_MAX) this.requests.splice(0, REQUESTS_MAX / 2);
      },
      violated: (message: string) => this.violations.push(message),
    };
    this.brokers = nodes.map((node) => new FakeBroker(node, context, () => ++connections, listen));
    for (const [name, spec] of Object.entries(options.topics ?? {})) {
      this.createTopic(name, typeof spec === "number" ? { partitions: spec } : spec);
    }
  }

  /** A cluster whose brokers listen on free ports of the loopback interface. */
  static async start(options?: FakeClusterOptions): Promise<FakeCluster> {
    const cluster = new FakeCluster(options);
    await cluster.start();
    return cluster;
  }

  async start(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.start()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.stop()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** "host:port,host:port", as KAFKA_BROKERS takes it. */
  get bootstrap(): string {
    return this.brokers.map((broker) => `${broker.host}:${broker.port}`).join(",");
  }

  broker(nodeId: number): FakeBroker {
    const broker = this.brokers[nodeId - 1];
    if (broker === undefined) throw new RangeError(`there is no broker ${nodeId}`);
    return broker;
  }

  /** Throws if the topic exists or its name or size is not allowed. */
  createTopic(name: string, spec: TopicSpec = {}): void {
    const errorCode = this.#state.createTopic(name, spec);
    if (errorCode !== 0) throw new RangeError(`cannot create topic ${name}: Kafka error ${errorCode}`);
  }

  deleteTopic(name: string): void {
    this.#state.topics.delete(name);
  }

  /** Adds partitions behind those that there are. */
  addPartitions(name: string, count: number): void {
    this.#state.addPartitions(name, count);
  }

  /** Sets one of a topic's settings, for example `max.message.bytes`. */
  configure(name: string, key: string, value: string): void {
    this.#state.topics.get(name)?.configs.set(key, value);
  }

  /** The number of a topic's partitions; 0 if there is no such topic. */
  partitions(name: string): number {
    return this.#state.topics.get(name)?.partitions.length ?? 0;
  }

  leader(topic: string, partition: number): number {
    return this.#partition(topic, partition).leader;
  }

  /** Makes another broker the leader; the next leader epoch begins. The log and what is known of producers move along. */
  moveLeader(topic: string, partition: number, nodeId: number): void {
    const moved = this.#partition(topic, partition);
    moved.leader = this.broker(nodeId).nodeId;
    moved.leaderEpoch += 1;
  }

  /** Forgets the state of every producer of the partition, so that the next sequence is taken whatever it is. */
  forgetProducer(topic: string, partition: number): void {
    this.#partition(topic, partition).log.forgetProducers();
  }

  /** What is stored, in the order of its offsets. */
  log(topic: string, partition: number): readonly StoredBatch[] {
    return this.#partition(topic, partition).log.batches;
  }

  /** The offset of the partition's next record: the number of records ever stored; counted with `store: false` too. */
  endOffset(topic: string, partition: number): number {
    return this.#partition(topic, partition).log.endOffset;
  }

  /** How often an API was asked, of all brokers. */
  count(api: ApiName): number {
    return this.requests.filter((request) => request.api === api).length;
  }

  #partition(topic: string, partition: number): FakePartition {
    const found = this.#state.topics.get(topic)?.partitions[partition];
    if (found === undefined) throw new RangeError(`there is no partition ${topic}-${partition}`);
    return found;
  }
}
