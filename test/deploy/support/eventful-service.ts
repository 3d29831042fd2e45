// The real service over TLS on real Kafka, with a small load, and with one of everything that metrics tell of: events that
// are stored, persisted, recovered, refused and dead-lettered; batches and calls that are no good; clients that speak no TLS
// or give up; an incident.

import { spawn } from "node:child_process";
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, Durability, type SluiceClient } from "../../../src/client/index.ts";
import { certificate } from "../../support/certificate.ts";
import { Files } from "../../support/files.ts";
import type { TestKafka } from "../../support/kafka.ts";
import { PUBLISH } from "../../support/raw-client.ts";
import { eventually, type RunningService, startService } from "../../support/service.ts";
import { ROOT } from "./rules.ts";

type Env = Readonly<Record<string, string>>;

/** Between two batches of one sender. */
const PAUSE_MS = 25;
/** Between two times of what is no good. */
const TROUBLE_MS = 500;

interface Topics {
  readonly clicks: string;
  readonly orders: string;
  /** Takes no more than 2,000 bytes. */
  readonly small: string;
  /** DEAD_LETTER_TOPIC, which takes no more than 6,000 bytes: what is larger goes to the log. */
  readonly dead: string;
}

export class EventfulService implements AsyncDisposable {
  readonly service: RunningService;
  readonly topics: Topics;
  readonly #files: Files;
  readonly #client: SluiceClient;
  readonly #certificate: string;
  readonly #ending = new AbortController();
  readonly #loads: Promise<void>[];

  private constructor(service: RunningService, topics: Topics, files: Files, pin: string) {
    this.service = service;
    this.topics = topics;
    this.#files = files;
    this.#certificate = pin;
    this.#client = connect(service.grpcAddress, { tls: { pin } });
    this.#loads = [this.#stream(), this.#unary(), this.#troubles()];
  }

  /** Resolves when everything that happens once has happened; the load goes on. */
  static async start(kafka: TestKafka): Promise<EventfulService> {
    const files = new Files();
    const { cert, key } = certificate();
    const [clicks, orders, small, dead] = await Promise.all([
      kafka.createTopic("clicks", { partitions: 3 }),
      kafka.createTopic("orders", { partitions: 2 }),
      kafka.createTopic("small", { configs: { "max.message.bytes": "2000" } }),
      kafka.createTopic("dead", { configs: { "max.message.bytes": "6000" } }),
    ]);
    const env: Env = {
      DATA_DIR: join(files.directory, "data"),
      WORKERS: "2",
      GRPC_TLS_CERT_FILE: files.write("cert.pem", cert),
      GRPC_TLS_KEY_FILE: files.write("key.pem", key),
      DEAD_LETTER_TOPIC: dead,
    };
    try {
      await persistLarge(env, small, cert);
      const service = await startService({ env: { ...env, KAFKA_BROKERS: kafka.bootstrap } });
      const eventful = new EventfulService(service, { clicks, orders, small, dead }, files, cert);
      try {
        await eventful.#once({ ...env, KAFKA_BROKERS: kafka.bootstrap });
        return eventful;
      } catch (error) {
        await eventful[Symbol.asyncDispose]();
        throw error;
      }
    } catch (error) {
      files[Symbol.dispose]();
      throw error;
    }
  }

  get adminAddress(): string {
    return new URL(this.service.adminUrl).host;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#client[Symbol.asyncDispose]().catch(() => undefined);
    await Promise.all(this.#loads);
    await this.service.stop();
    this.#files[Symbol.dispose]();
  }

  get #ended(): boolean {
    return this.#ending.signal.aborted;
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#ending.signal }).catch(() => undefined);
  }

  async #stream(): Promise<void> {
    const stream = this.#client.openStream({ batchesMax: 8 });
    for (let n = 0; !this.#ended; n++) {
      const events = Array.from({ length: 20 }, (_, i) => ({ key: `k${i}`, value: `${n} ${"x".repeat(200)}` }));
      void stream
        .publish({ topic: this.topics.clicks, events, durability: Durability.REPLICATED })
        .catch(() => undefined);
      await this.#pause(PAUSE_MS);
    }
  }

  async #unary(): Promise<void> {
    for (let n = 0; !this.#ended; n++) {
      const events = [{ key: "k", value: String(n) }];
      await this.#client
        .publish({ topic: this.topics.orders, events, durability: Durability.PERSISTED })
        .catch(() => undefined);
      await this.#pause(PAUSE_MS);
    }
  }

  async #troubles(): Promise<void> {
    while (!this.#ended) {
      const events = [{ value: "x" }];
      await Promise.all([
        this.#client.publish({ topic: `nowhere-${process.pid}`, events }).catch(() => undefined),
        this.#client.publish({ topic: "not a topic", events }).catch(() => undefined),
        speakNoTls(this.service.grpcAddress),
        breakRules(this.service.grpcAddress, this.#certificate),
      ]);
      await this.#pause(TROUBLE_MS);
    }
  }

  /** What an operator does: an incident, and dead letters that are dropped and published again. */
  async #once(env: Env): Promise<void> {
    const recorded = await fetch(`${this.service.adminUrl}/debug/incidents?why=test`, { method: "POST" });
    await recorded.body?.cancel();
    const cli: Env = { ...env, ADMIN_LISTEN: this.adminAddress, GRPC_LISTEN: this.service.grpcAddress };
    const ids = await eventually("dead letters are in the log", async () => {
      const lines = (await deadLetters(cli, "list", "--json")).split("\n").filter((line) => line !== "");
      return lines.length >= 3 && lines.map((line) => (JSON.parse(line) as { readonly id: string }).id);
    });
    await deadLetters(cli, "drop", ids[0]!, "--yes");
    await deadLetters(cli, "retry", ids[1]!, "--to-topic", this.topics.clicks, "--durability", "replicated");
  }
}

/** Without brokers everything is taken: four events that are too large for the topic, and too large or not for dead letters. */
async function persistLarge(env: Env, topic: string, pin: string): Promise<void> {
  await using service = await startService({ env: { ...env, DEAD_LETTER_TOPIC: "" } });
  await using client = connect(service.grpcAddress, { tls: { pin } });
  for (const bytes of [3_000, 8_000, 8_000, 8_000])
    await client.publish({ topic, events: [{ value: "x".repeat(bytes) }], durability: Durability.PERSISTED });
}

/** Runs `sluice dead-letters`. @returns what it printed. */
async function deadLetters(env: Env, ...args: string[]): Promise<string> {
  const child = spawn(process.execPath, [join(ROOT, "src/main.ts"), "dead-letters", ...args], {
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
  });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  if (code !== 0) throw new Error(`dead-letters ${args.join(" ")} ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}

/** Says something to a port that wants TLS. */
async function speakNoTls(address: string): Promise<void> {
  const [host = "", port = ""] = address.split(":");
  const socket = net.connect(Number(port), host);
  socket.on("error", () => {});
  socket.end("GET / HTTP/1.1\r\n\r\n");
  socket.resume();
  await once(socket, "close");
}

/** A request that is no protobuf, a method that is not there, a call that is given up, and a goodbye. */
async function breakRules(address: string, ca: string): Promise<void> {
  const session = http2.connect(`https://${address}`, { ca });
  session.on("error", () => {});
  const head = { ":method": "POST", "content-type": "application/grpc", te: "trailers" };
  const request = async (path: string, message: Buffer): Promise<void> => {
    const stream = session.request({ ...head, ":path": path });
    stream.on("error", () => {});
    stream.resume().end(message);
    await once(stream, "close");
  };
  // A flag, the length, and a field whose length is beyond the end.
  await request(PUBLISH, Buffer.from([0, 0, 0, 0, 2, 0x22, 0x7f]));
  await request("/no.Service/Method", Buffer.alloc(5));
  const given = session.request({ ...head, ":path": PUBLISH });
  given.on("error", () => {});
  given.close(http2.constants.NGHTTP2_CANCEL);
  session.goaway(http2.constants.NGHTTP2_NO_ERROR);
  session.close();
  if (!session.destroyed) await once(session, "close");
}
