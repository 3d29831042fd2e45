// A load that is neither too little nor too much: streams that send a batch each few milliseconds, and go on over another
// connection when one ends. It leaves room on a small machine for what is tested, and counts what is acknowledged.
//
// Keys and values are canaries: texts that must turn up nowhere but in the topic.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import {
  type Durability,
  PublishRequestSchema,
  PublishStreamResponseSchema,
} from "../../src/gen/sluice/v1/ingest_pb.js";
import { CANARY_KEY, CANARY_VALUE } from "./canaries.ts";
import { PUBLISH_STREAM, RawClient } from "./raw-client.ts";

export interface SteadyLoadOptions {
  /** For example `127.0.0.1:50123`. */
  readonly address: string;
  readonly topic: string;
  readonly durability: Durability;
  readonly streams: number;
  /** Of each stream. */
  readonly batchesPerSecond: number;
}

const EVENTS_PER_BATCH = 20;
const UNANSWERED_MAX = 8;
const RECONNECT_MS = 100;

/** The bytes of a batch whose every event has the canaries. */
export function encodeBatch(
  topic: string,
  durability: Durability,
  sequence: number,
  events = EVENTS_PER_BATCH,
): Buffer {
  const request = create(PublishRequestSchema, {
    sequence: BigInt(sequence),
    topic,
    durability,
    events: Array.from({ length: events }, (_, i) => ({
      key: Buffer.from(`${CANARY_KEY}-${i}`),
      value: Buffer.from(`${CANARY_VALUE} ${sequence}/${i} ${"x".repeat(150)}`),
    })),
  });
  return Buffer.from(toBinary(PublishRequestSchema, request));
}

class SteadyStream implements Disposable {
  readonly #options: SteadyLoadOptions;
  readonly #acknowledged: (events: number) => void;
  readonly #timer: NodeJS.Timeout;
  #reconnectTimer: NodeJS.Timeout | undefined;
  #client: RawClient | undefined;
  #duplex: ClientDuplexStream<Buffer, Buffer> | undefined;
  #sequence = 0;
  #unanswered = 0;
  #disposed = false;

  constructor(options: SteadyLoadOptions, acknowledged: (events: number) => void) {
    this.#options = options;
    this.#acknowledged = acknowledged;
    this.#connect();
    this.#timer = setInterval(() => {
      this.#send();
    }, 1000 / options.batchesPerSecond);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#reconnectTimer);
    this.#disconnect();
  }

  #connect(): void {
    const [host = "", port = ""] = this.#options.address.split(":");
    this.#client = new RawClient({ host, port: Number(port) });
    const duplex = this.#client.duplex(PUBLISH_STREAM);
    this.#duplex = duplex;
    this.#unanswered = 0;
    duplex.on("data", (bytes: Buffer) => {
      const { event } = fromBinary(PublishStreamResponseSchema, bytes);
      // Told to drain: the next call goes elsewhere.
      if (event.case === "drain") this.#reconnect(duplex);
      if (event.case !== "published" && event.case !== "refused") return;
      this.#unanswered--;
      if (event.case === "published") this.#acknowledged(event.value.stored);
    });
    duplex.on("error", () => {
      this.#reconnect(duplex);
    });
    duplex.on("end", () => {
      this.#reconnect(duplex);
    });
  }

  #send(): void {
    if (this.#duplex === undefined || this.#unanswered >= UNANSWERED_MAX) return;
    const { topic, durability } = this.#options;
    this.#unanswered++;
    this.#duplex.write(encodeBatch(topic, durability, ++this.#sequence));
  }

  #reconnect(ended: ClientDuplexStream<Buffer, Buffer>): void {
    if (this.#disposed || ended !== this.#duplex) return;
    this.#disconnect();
    this.#reconnectTimer = setTimeout(() => {
      this.#connect();
    }, RECONNECT_MS);
  }

  #disconnect(): void {
    this.#duplex?.cancel();
    this.#duplex = undefined;
    this.#client?.[Symbol.dispose]();
  }
}

export class SteadyLoad implements Disposable {
  readonly #streams: readonly SteadyStream[];
  /** Events, of all streams. */
  acknowledged = 0;

  constructor(options: SteadyLoadOptions) {
    this.#streams = Array.from(
      { length: options.streams },
      () =>
        new SteadyStream(options, (events) => {
          this.acknowledged += events;
        }),
    );
  }

  /** Ends every call as it is. */
  [Symbol.dispose](): void {
    for (const stream of this.#streams) stream[Symbol.dispose]();
  }
}
