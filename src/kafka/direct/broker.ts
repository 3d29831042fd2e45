// One broker: the connection to it, opened again whenever it is needed and gone, and the Produce requests it gets.
//
// Partitions that may have something to send are `ready`. A request takes one record batch from each of them, as many as fit,
// so that one broker with many partitions costs one request, not many; up to five requests are under way on the connection.

import type { Clock } from "../../clock.ts";
import { Code, IngestError } from "../../errors.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { authenticate, negotiate, type SaslOptions, type Versions } from "./codecs.ts";
import { Connection, type ConnectionOptions, type Dial } from "./connection.ts";
import { errorName } from "./errors.ts";
import type { Entry, PartitionProducer } from "./partition.ts";
import { decodeProduceResponse, encodeProduceRequest, type NodeEndpoint, type PartitionResult } from "./produce.ts";

const REQUESTS_IN_FLIGHT_MAX = 5;

/** Below the 100 MiB that a broker takes by default (socket.request.max.bytes), and small enough to share the connection. */
const REQUEST_BYTES_MAX = 8 << 20;

const RECONNECT_MS_MIN = 50;
const RECONNECT_MS_MAX = 2_000;

export interface BrokerOptions extends ConnectionOptions {
  readonly sasl: SaslOptions | undefined;
}

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

export class Broker {
  readonly host: string;
  readonly port: number;
  /** As a metric label. */
  readonly name: string;
  readonly #dependencies: BrokerDependencies;
  readonly #options: BrokerOptions;
  readonly #ready = new Set<PartitionProducer>();
  #link: Link | undefined;
  #opening: Promise<Link> | undefined;
  #failuresInRow = 0;
  #retryAtMs = 0;
  #requestsInFlight = 0;
  #throttledUntilMs = 0;
  #pumpScheduled = false;
  #disposed = false;
  /** Why there is no connection; undefined while there is one, or none was needed yet. */
  problem: string | undefined;

  constructor(host: string, port: number, dependencies: BrokerDependencies, options: BrokerOptions) {
    this.host = host;
    this.port = port;
    this.name = `${host}:${port}`;
    this.#dependencies = dependencies;
    this.#options = options;
  }

  get connected(): boolean {
    return this.#link !== undefined;
  }

  /** The partition may have something to send to this broker. */
  ready(partition: PartitionProducer): void {
    this.#ready.add(partition);
    this.#schedulePump();
  }

  /** Forgets a partition that is led from elsewhere now. */
  unready(partition: PartitionProducer): void {
    this.#ready.delete(partition);
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

  /** Closes the connection because it is not needed any more; unlike a lost one, that is no news. */
  release(): void {
    const link = this.#link;
    if (link === undefined) return;
    this.#link = undefined;
    this.#dependencies.metrics.kafkaConnections.with(this.name).set(0);
    link.connection.close("not needed any more");
  }

  dispose(): void {
    this.#disposed = true;
    this.release();
  }

  async #open(): Promise<Link> {
    const { dial, clock, metrics, log } = this.#dependencies;
    const waitMs = this.#retryAtMs - clock.monotonic();
    if (waitMs > 0) throw this.#unavailable(this.problem ?? "it failed a moment ago");
    if (this.#disposed) throw this.#unavailable("the producer is closed");
    let connection: Connection | undefined;
    try {
      connection = await Connection.open(this.host, this.port, dial, clock, this.#options);
      // Versions first: a broker that is too old should say so, whatever it thinks of the credentials.
      const versions = await negotiate(connection);
      if (this.#options.sasl !== undefined) await authenticate(connection, this.#options.sasl);
      const link = { connection, versions };
      this.#link = link;
      this.problem = undefined;
      this.#failuresInRow = 0;
      metrics.kafkaConnections.with(this.name).set(1);
      log.info({ broker: this.name, versions }, "connected to broker");
      connection.onClosed((error) => this.#closed(link, error));
      return link;
    } catch (thrown) {
      connection?.close("it could not be used");
      const error = IngestError.from(thrown);
      this.#delayRetry(error);
      throw error;
    }
  }

  #closed(link: Link, error: IngestError): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    this.#dependencies.metrics.kafkaConnections.with(this.name).set(0);
    this.#dependencies.metrics.kafkaDisconnects.with(this.name).inc();
    if (this.#disposed) return;
    this.#dependencies.log.warn({ broker: this.name, reason: error.message }, "lost connection to broker");
    this.#dependencies.onUnreachable();
    this.#schedulePump();
  }

  #delayRetry(error: IngestError): void {
    const { clock, random, log } = this.#dependencies;
    const backoffMs = Math.min(RECONNECT_MS_MAX, RECONNECT_MS_MIN * 2 ** this.#failuresInRow);
    this.#retryAtMs = clock.monotonic() + backoffMs * (0.75 + random() / 2);
    // The first failure is news; after that, /readyz and the metrics say it without a line for every try.
    if (this.#failuresInRow++ === 0) log.warn({ broker: this.name, reason: error.message }, "no connection to broker");
    this.problem = error.message;
    this.#dependencies.onUnreachable();
  }

  #unavailable(reason: string): IngestError {
    return new IngestError(Code.UNAVAILABLE, `broker ${this.name}: ${reason}`, { retryable: true });
  }

  // --- Produce ----------------------------------------------------------------------------------------------------------

  /** At the end of this turn, so that everything which becomes ready in it goes into one request. */
  #schedulePump(): void {
    if (this.#pumpScheduled || this.#ready.size === 0 || this.#disposed) return;
    this.#pumpScheduled = true;
    queueMicrotask(() => {
      this.#pumpScheduled = false;
      this.#pump();
    });
  }

  #pumpAfter(delayMs: number): void {
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    this.#dependencies.clock.setTimeout(
      () => {
        this.#pumpScheduled = false;
        this.#pump();
      },
      Math.max(1, delayMs),
    );
  }

  #pump(): void {
    if (this.#ready.size === 0 || this.#disposed) return;
    const now = this.#dependencies.clock.monotonic();
    const link = this.#link;
    if (link === undefined) {
      if (this.#retryAtMs > now) return this.#pumpAfter(this.#retryAtMs - now);
      void this.link().then(
        () => this.#schedulePump(),
        () => this.#schedulePump(),
      );
      return;
    }
    if (this.#throttledUntilMs > now) return this.#pumpAfter(this.#throttledUntilMs - now);
    while (this.#requestsInFlight < REQUESTS_IN_FLIGHT_MAX && !link.connection.closed) {
      const entries = this.#takeEntries();
      if (entries.length === 0) return;
      this.#send(link, entries);
    }
  }

  /** One batch of each ready partition, until the request is full. Those that may have more stay ready, at the end. */
  #takeEntries(): Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    for (const partition of Array.from(this.#ready)) {
      this.#ready.delete(partition);
      const entry = partition.next();
      if (entry === undefined) continue;
      this.#ready.add(partition);
      entries.push(entry);
      bytes += entry.bytes.length;
      if (bytes >= REQUEST_BYTES_MAX) break;
    }
    return entries;
  }

  #send(link: Link, entries: Entry[]): void {
    const { clock, metrics } = this.#dependencies;
    const items = entries.map(({ partition, bytes }) => ({ ...address(partition), bytes }));
    if (entries.length > 1) items.sort((a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : 0));
    const sentAtMs = clock.monotonic();
    this.#requestsInFlight++;
    metrics.kafkaInFlight.with(this.name).set(this.#requestsInFlight);
    metrics.kafkaRequests.with(this.name, "Produce").inc();
    link.connection.request(
      (correlationId) => {
        const { clientId, requestTimeoutMs } = this.#options;
        const pieces = encodeProduceRequest(link.versions.produce, correlationId, clientId, requestTimeoutMs, items);
        let bytes = 0;
        for (const piece of pieces) bytes += piece.length;
        metrics.kafkaBytes.with(this.name).inc(bytes);
        return pieces;
      },
      (error, response) => {
        this.#requestsInFlight--;
        metrics.kafkaInFlight.with(this.name).set(this.#requestsInFlight);
        metrics.kafkaRequestTime.with(this.name).observe(clock.monotonic() - sentAtMs);
        if (response === undefined) {
          this.#dependencies.log.debug({ broker: this.name, reason: error?.message }, "produce request lost");
          for (const entry of entries) entry.partition.lost(entry);
        } else {
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
      // Behind the correlation id stands one byte of header tags.
      const response = decodeProduceResponse(bytes.subarray(1));
      results = response.results;
      if (response.throttleMs > 0) {
        metrics.kafkaThrottle.with(this.name).inc(response.throttleMs / 1000);
        this.#throttledUntilMs = clock.monotonic() + response.throttleMs;
      }
      if (response.nodeEndpoints.length > 0) this.#dependencies.onEndpoints(response.nodeEndpoints);
    } catch (thrown) {
      log.error({ broker: this.name, reason: String(thrown) }, "a Produce response cannot be read");
    }
    for (const entry of entries) {
      const { topic, partition } = entry.partition;
      const result = results.find((each) => each.partition === partition && each.topic === topic);
      if (result === undefined) {
        // Not a word about this batch: as open as if the connection had failed.
        entry.partition.lost(entry);
        continue;
      }
      if (result.errorCode !== 0) metrics.kafkaErrors.with(this.name, errorName(result.errorCode)).inc();
      entry.partition.result(entry, result);
    }
  }
}

function address(partition: PartitionProducer): { topic: string; partition: number } {
  return { topic: partition.topic, partition: partition.partition };
}
