// One broker: the connection to it, opened again whenever it is needed and gone, and the Produce requests it gets.
//
// Partitions that may have something to send are `ready`. A request takes one record batch from each of them, as many as fit,
// so that one broker with many partitions costs one request, not many.
//
// A broker works on the requests of a connection one after the other. So two are sent at once, one to work on and one that is
// there when that is done; what becomes ready then goes together with the next answer. Five at once, as Kafka's own client
// sends them, only wait in the broker's socket, and are smaller: an eighth more CPU for events of 1 KB. A long way is filled all
// the same: a further request, up to five, goes 20 ms after the last.

import type { Clock, Timer } from "../../clock.ts";
import { Code, IngestError } from "../../errors.ts";
import { LinkedList } from "../../linked-list.ts";
import type { TimeHistogram } from "../../telemetry/histograms.ts";
import type { Counter, Gauge } from "../../telemetry/instruments.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { errorName } from "../errors.ts";
import type { KafkaOptions } from "../options.ts";
import { authenticate, negotiate, type Versions } from "./codecs.ts";
import { Connection, type ConnectionOptions, type Dial, type Traffic } from "./connection.ts";
import type { Entry } from "./entry.ts";
import type { PartitionProducer } from "./partition.ts";
import {
  decodeProduceResponse,
  encodeProduceRequest,
  indexOfResult,
  type NodeEndpoint,
  type PartitionResult,
  RequestBuffer,
} from "./produce.ts";

const REQUESTS_AT_ONCE = 2;
const REQUESTS_IN_FLIGHT_MAX = 5;
/** Between a request and the next, while as many as are sent at once have no answer. */
const FURTHER_REQUEST_MS = 20;

/** Below the 100 MiB that a broker takes by default (socket.request.max.bytes), and small enough to share the connection. */
const REQUEST_BYTES_MAX = 8 << 20;

/** The broker gives up waiting for its replicas before this side gives up on it, and the connection with all it carries. */
const REPLICATION_SHARE = 0.5;

const RECONNECT_MS_MIN = 50;
const RECONNECT_MS_MAX = 2_000;
/** Whoever needs a broker tries again in time; a failure that nobody came back to for so long says nothing of today. */
const PROBLEM_MS = 10_000;

export type BrokerOptions = ConnectionOptions & Pick<KafkaOptions, "sasl">;

export interface BrokerDependencies {
  readonly dial: Dial;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: () => number;
  /** A response named brokers that may be new (KIP-951). */
  readonly onEndpoints: (endpoints: readonly NodeEndpoint[]) => void;
  /** The broker cannot be reached, or was lost: what it led may be led from elsewhere now. */
  readonly onUnreachable: () => void;
}

/** A connection that is ready for use, with the versions to use on it. */
export interface Link {
  readonly connection: Connection;
  readonly versions: Versions;
}

/** The instruments of one broker, taken once: a counter that begins at 0 shows its first step as a rate. */
interface Instruments {
  readonly connections: Gauge;
  readonly inFlight: Gauge;
  readonly requests: Counter;
  readonly requestTime: TimeHistogram;
  readonly retries: Counter;
  readonly connectFailures: Counter;
  readonly disconnects: Counter;
  readonly throttled: Counter;
  readonly traffic: Traffic;
}

export class Broker {
  readonly host: string;
  readonly port: number;
  /** As a metric label. */
  readonly name: string;
  readonly #dependencies: BrokerDependencies;
  readonly #options: BrokerOptions;
  readonly #ready = new LinkedList<PartitionProducer>();
  /** Those that no request is in; there are no more than requests in flight. */
  readonly #freeBuffers: RequestBuffer[] = [];
  #instruments: Instruments | undefined;
  #connecting: Connection | undefined;
  #opening: Promise<Link> | undefined;
  #link: Link | undefined;
  #problem: string | undefined;
  #failuresInRow = 0;
  #retryAtMs = 0;
  #requestsInFlight = 0;
  /** When the last was. */
  #sentAtMs = Number.NEGATIVE_INFINITY;
  #throttledUntilMs = 0;
  #pumpSoon = false;
  /** Nothing may be sent before it ends. */
  #pumpTimer: Timer | undefined;
  /** When it ends, a further request may be sent. */
  #furtherTimer: Timer | undefined;
  #disposed = false;

  constructor(host: string, port: number, dependencies: BrokerDependencies, options: BrokerOptions) {
    this.host = host;
    this.port = port;
    this.name = `${host}:${port}`;
    this.#dependencies = dependencies;
    this.#options = options;
  }

  /** Why there is no connection; undefined while there is one, or none is needed. */
  get problem(): string | undefined {
    const isOld = this.#opening === undefined && this.#dependencies.clock.monotonic() > this.#retryAtMs + PROBLEM_MS;
    return isOld ? undefined : this.#problem;
  }

  get connected(): boolean {
    return this.#link !== undefined;
  }

  /** Requests of any kind without a response. */
  get inFlight(): number {
    return this.#link?.connection.inFlight ?? 0;
  }

  /** Has it a Produce request to answer? */
  get busy(): boolean {
    return this.#requestsInFlight > 0;
  }

  /** The partition, which this broker leads, may have something to send. */
  ready(partition: PartitionProducer): void {
    if (!this.#ready.has(partition)) this.#ready.add(partition);
    this.#schedulePump();
  }

  /** Forgets a partition that will be led from elsewhere. */
  unready(partition: PartitionProducer): void {
    this.#ready.remove(partition);
  }

  /** @throws IngestError if there is none to be had; UNAVAILABLE is worth another try, after a while. */
  async link(): Promise<Link> {
    if (this.#link !== undefined) return this.#link;
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return await this.#opening;
  }

  /** Closes the connection, so that the next use negotiates anew. */
  disconnect(reason: string): void {
    this.#link?.connection.close(reason);
  }

  /** Closes the connection, unless it is in use, because it is not needed any more; unlike a lost one, that is no news. */
  release(): void {
    if (this.inFlight === 0) this.#close("not needed any more");
  }

  dispose(): void {
    this.#disposed = true;
    this.#ready.clear();
    const { clock } = this.#dependencies;
    if (this.#pumpTimer !== undefined) clock.clearTimeout(this.#pumpTimer);
    if (this.#furtherTimer !== undefined) clock.clearTimeout(this.#furtherTimer);
    this.#connecting?.close("not needed any more");
    this.#close("not needed any more");
  }

  // --- Connection -------------------------------------------------------------------------------------------------------

  async #open(): Promise<Link> {
    const { dial, clock, log } = this.#dependencies;
    const { connectTimeoutMs } = this.#options;
    if (this.#disposed) throw this.#unavailable("not needed any more");
    if (this.#retryAtMs > clock.monotonic()) throw this.#unavailable(this.#problem ?? "it failed a moment ago");
    const connection = new Connection(this.host, this.port, dial, clock, this.#options, this.#meters.traffic);
    this.#connecting = connection;
    // One time-out for the whole way: a broker that accepts and then says nothing is as good as none.
    const timer = clock.setTimeout(() => {
      connection.close(`broker ${this.name} was not ready for use within ${connectTimeoutMs} ms`);
    }, connectTimeoutMs);
    try {
      await connection.opened();
      const versions = await this.#greet(connection);
      if (connection.closed) throw this.#unavailable("it closed the connection");
      const link = { connection, versions };
      this.#link = link;
      this.#problem = undefined;
      this.#failuresInRow = 0;
      this.#meters.connections.inc();
      connection.onClosed((error) => this.#closed(link, error));
      log.info({ broker: this.name, versions }, "connected to broker");
      return link;
    } catch (thrown) {
      connection.close("it could not be used");
      const error = IngestError.from(thrown);
      this.#delayRetry(error);
      throw error;
    } finally {
      clock.clearTimeout(timer);
      this.#connecting = undefined;
    }
  }

  async #greet(connection: Connection): Promise<Versions> {
    const { sasl } = this.#options;
    // The library's SASL code may never answer on a connection that fails at the wrong moment.
    const closed = new Promise<never>((_, reject) => {
      connection.onClosed(reject);
    });
    const greet = async (): Promise<Versions> => {
      // Versions first: a broker that is too old should say so, whatever it thinks of the credentials.
      const versions = await negotiate(connection);
      if (sasl !== undefined) await authenticate(connection, sasl);
      return versions;
    };
    return await Promise.race([greet(), closed]);
  }

  #close(reason: string): void {
    const link = this.#link;
    if (link === undefined) return;
    this.#link = undefined;
    this.#meters.connections.dec();
    link.connection.close(reason);
  }

  #closed(link: Link, error: IngestError): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    this.#meters.connections.dec();
    this.#meters.disconnects.inc();
    this.#dependencies.log.warn({ broker: this.name, reason: error.message }, "lost connection to broker");
    this.#dependencies.onUnreachable();
    this.#schedulePump();
  }

  #delayRetry(error: IngestError): void {
    if (this.#disposed) return;
    this.#meters.connectFailures.inc();
    const { clock, random, log } = this.#dependencies;
    const backoffMs = Math.min(RECONNECT_MS_MAX, RECONNECT_MS_MIN * 2 ** this.#failuresInRow);
    this.#retryAtMs = clock.monotonic() + backoffMs * (0.75 + random() / 2);
    // The first failure is news; after that, /readyz and the metrics say it without a line for every try.
    if (this.#failuresInRow++ === 0) log.warn({ broker: this.name, reason: error.message }, "no connection to broker");
    this.#problem = error.message;
    this.#dependencies.onUnreachable();
  }

  #unavailable(reason: string): IngestError {
    return new IngestError(Code.UNAVAILABLE, `broker ${this.name}: ${reason}`, { retryable: true });
  }

  // --- Produce ----------------------------------------------------------------------------------------------------------

  /** At the end of this turn, so that everything which becomes ready in it goes into one request. */
  #schedulePump(): void {
    if (this.#pumpSoon || this.#pumpTimer !== undefined || this.#ready.size === 0 || this.#disposed) return;
    this.#pumpSoon = true;
    queueMicrotask(() => {
      this.#pumpSoon = false;
      this.#pump();
    });
  }

  #pumpAfter(delayMs: number): void {
    this.#pumpTimer ??= this.#dependencies.clock.setTimeout(
      () => {
        this.#pumpTimer = undefined;
        this.#pump();
      },
      Math.max(1, delayMs),
    );
  }

  /** Unless an answer comes first. */
  #pumpFurther(delayMs: number): void {
    this.#furtherTimer ??= this.#dependencies.clock.setTimeout(() => {
      this.#furtherTimer = undefined;
      this.#pump();
    }, Math.ceil(delayMs));
  }

  #pump(): void {
    if (this.#ready.size === 0 || this.#disposed) return;
    const now = this.#dependencies.clock.monotonic();
    const link = this.#link;
    if (link === undefined) {
      if (this.#retryAtMs > now) return this.#pumpAfter(this.#retryAtMs - now);
      const again = (): void => this.#schedulePump();
      void this.link().then(again, again);
      return;
    }
    if (this.#throttledUntilMs > now) return this.#pumpAfter(this.#throttledUntilMs - now);
    while (this.#ready.size > 0 && this.#requestsInFlight < REQUESTS_IN_FLIGHT_MAX && !link.connection.closed) {
      const waitMs = this.#requestsInFlight < REQUESTS_AT_ONCE ? 0 : this.#sentAtMs + FURTHER_REQUEST_MS - now;
      if (waitMs > 0) return this.#pumpFurther(waitMs);
      const entries = this.#takeEntries();
      if (entries.length === 0) return;
      this.#send(link, entries);
    }
  }

  /** One batch of each ready partition, until the request is full. Those that may have more stay ready, at the end. */
  #takeEntries(): Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    let sameTopic = true;
    for (let partition = this.#ready.first, following; partition !== undefined; partition = following) {
      following = partition.next;
      const entry = partition.take();
      if (entry === undefined || !partition.waiting) this.#ready.remove(partition);
      if (entry === undefined) continue;
      entry.batch.sentTo = this.name;
      entries.push(entry);
      sameTopic &&= entry.topic === entries[0]!.topic;
      bytes += entry.bytes.length;
      if (bytes >= REQUEST_BYTES_MAX) {
        this.#putLast(entries);
        break;
      }
    }
    if (!sameTopic) entries.sort(byTopic);
    return entries;
  }

  /** The next request begins with those that found no room in this one. */
  #putLast(entries: readonly Entry[]): void {
    for (const { owner } of entries) if (this.#ready.remove(owner)) this.#ready.add(owner);
  }

  #send(link: Link, entries: readonly Entry[]): void {
    const { clock } = this.#dependencies;
    const { clientId, requestTimeoutMs } = this.#options;
    const { inFlight, requests, requestTime, retries } = this.#meters;
    const replicationMs = Math.ceil(requestTimeoutMs * REPLICATION_SHARE);
    const sentAtMs = clock.monotonic();
    this.#sentAtMs = sentAtMs;
    const buffer = this.#freeBuffers.pop() ?? new RequestBuffer();
    this.#requestsInFlight++;
    inFlight.inc();
    requests.inc();
    for (let i = 0; i < entries.length; i++) if (entries[i]!.sends > 1) retries.inc();
    link.connection.request(
      (correlationId) =>
        encodeProduceRequest(link.versions.produce, correlationId, clientId, replicationMs, entries, buffer),
      (error, response) => {
        this.#requestsInFlight--;
        inFlight.dec();
        requestTime.observe(clock.monotonic() - sentAtMs);
        if (response === undefined) {
          this.#dependencies.log.debug({ broker: this.name, reason: error?.message }, "produce request lost");
          for (const entry of entries) entry.owner.lost(entry);
        } else {
          // Not if it was lost: the socket may have bytes of it still.
          this.#freeBuffers.push(buffer);
          this.#responded(entries, response);
        }
        this.#schedulePump();
      },
    );
  }

  #responded(entries: readonly Entry[], bytes: Buffer): void {
    const { metrics, clock, log } = this.#dependencies;
    let results: readonly PartitionResult[] = [];
    try {
      const response = decodeProduceResponse(bytes);
      results = response.results;
      if (response.throttleMs > 0) {
        this.#meters.throttled.inc(response.throttleMs / 1000);
        this.#throttledUntilMs = clock.monotonic() + response.throttleMs;
      }
      if (response.nodeEndpoints.length > 0) this.#dependencies.onEndpoints(response.nodeEndpoints);
    } catch (thrown) {
      log.error({ broker: this.name, reason: String(thrown) }, "a Produce response cannot be read");
    }
    let at = -1;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      at = indexOfResult(results, entry, at + 1);
      const result = results[at];
      if (result === undefined) {
        // Not a word about this batch: as open as if the connection had failed.
        entry.owner.lost(entry);
        continue;
      }
      if (result.errorCode !== 0) metrics.kafkaErrors.with(this.name, errorName(result.errorCode)).inc();
      entry.owner.result(entry, result);
    }
  }

  get #meters(): Instruments {
    const { metrics } = this.#dependencies;
    return (this.#instruments ??= {
      connections: metrics.kafkaConnections.with(this.name),
      inFlight: metrics.kafkaInFlight.with(this.name),
      requests: metrics.kafkaRequests.with(this.name, "Produce"),
      requestTime: metrics.kafkaRequestTime.with(this.name),
      retries: metrics.kafkaRetries.with(this.name),
      connectFailures: metrics.kafkaConnectFailures.with(this.name),
      disconnects: metrics.kafkaDisconnects.with(this.name),
      throttled: metrics.kafkaThrottle.with(this.name),
      traffic: { sent: metrics.kafkaSentBytes.with(this.name), received: metrics.kafkaReceivedBytes.with(this.name) },
    });
  }
}

function byTopic(a: Entry, b: Entry): number {
  return a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : 0;
}
