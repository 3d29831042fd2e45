// One PublishStream call: what was sent on it and has no answer yet, by sequence.
//
// grpc-js tells a call's end in several events, and its error may overtake answers that are still in the read buffer. Here
// the end is told once, after the last answer.

import { fromBinary } from "@bufbuild/protobuf";
import { type Client, type ClientDuplexStream, type Metadata, status as Code, type StatusObject } from "@grpc/grpc-js";
import {
  EventIngest,
  type PublishResponse,
  type PublishStreamResponse,
  PublishStreamResponseSchema,
} from "../gen/sluice/v1/ingest_pb.js";
import { withSequence } from "./batch.ts";
import { refusedError, type SluiceError } from "./errors.ts";

/** Who owns a call hears everything about it; never from within one of the call's methods. */
export interface CallListener<T> {
  stored(item: T, response: PublishResponse): void;
  refused(item: T, error: SluiceError): void;
  /** The call is draining and everything that was sent on it is answered. */
  drained(call: StreamCall<T>): void;
  /** The call is over; `unanswered` gets no answer any more. */
  ended(call: StreamCall<T>, status: StatusObject, unanswered: readonly T[]): void;
}

const PATH = `/${EventIngest.typeName}/${EventIngest.method.publishStream.name}`;
const CLOSE_TIMEOUT_MS = 5_000;

export class StreamCall<T> {
  readonly client: Client;
  readonly #listener: CallListener<T>;
  readonly #duplex: ClientDuplexStream<Buffer, PublishStreamResponse>;
  readonly #unanswered = new Map<number, T>();
  readonly #over = Promise.withResolvers<void>();
  #draining = false;

  constructor(client: Client, metadata: Metadata, listener: CallListener<T>) {
    this.client = client;
    this.#listener = listener;
    this.#duplex = client.makeBidiStreamRequest(
      PATH,
      (message: Buffer) => message,
      (bytes) => fromBinary(PublishStreamResponseSchema, bytes),
      metadata.clone(),
    );
    this.#duplex.on("data", (response: PublishStreamResponse) => {
      this.#heard(response);
    });
    // The status tells the same, for every way in which a call can end.
    this.#duplex.on("error", () => {});
    let status: StatusObject | undefined;
    const last = () => {
      if (status !== undefined && this.#duplex.readableEnded) this.#ended(status);
    };
    this.#duplex.on("end", last);
    this.#duplex.on("status", (received) => {
      status = received;
      last();
    });
  }

  /** True once the server said Drain: nothing more may be sent. */
  get draining(): boolean {
    return this.#draining;
  }

  send(sequence: number, body: Uint8Array, item: T): void {
    this.#unanswered.set(sequence, item);
    this.#duplex.write(withSequence(sequence, body));
  }

  /** Half-closes the call and resolves when it is over; a server that does not end it is not waited for. */
  async close(): Promise<void> {
    this.#duplex.end();
    const timer = setTimeout(() => {
      this.#duplex.cancel();
    }, CLOSE_TIMEOUT_MS);
    await this.#over.promise;
    clearTimeout(timer);
  }

  /** Ends the call now. */
  cancel(): void {
    this.#duplex.cancel();
  }

  #heard({ event }: PublishStreamResponse): void {
    if (event.case === "drain") {
      this.#draining = true;
      this.#duplex.end();
    } else if (event.case !== undefined) {
      const sequence = Number(event.value.sequence);
      const item = this.#unanswered.get(sequence);
      if (item === undefined) return;
      this.#unanswered.delete(sequence);
      if (event.case === "published") this.#listener.stored(item, event.value);
      else this.#listener.refused(item, refusedError(event.value.status ?? NO_STATUS));
    }
    if (this.#draining && this.#unanswered.size === 0) this.#listener.drained(this);
  }

  #ended(status: StatusObject): void {
    const unanswered = [...this.#unanswered.values()];
    this.#unanswered.clear();
    this.#over.resolve();
    this.#listener.ended(this, status, unanswered);
  }
}

const NO_STATUS = { code: Code.UNKNOWN, message: "the service refused the batch and did not say why", details: [] };
