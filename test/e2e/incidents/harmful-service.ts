// The real service, whose workers come to harm by events of certain topics, as a bug in a handler would do it.
//
// The harm is done behind the real handler, in the same turn of the event loop, so that what the service knows of the message
// (its labels) holds for it. Everything else, from the socket to the spool, is the product's; nothing of this is in it.
//
// Each harm is one function that holds its whole work itself: a compiler that inlines credits a callee's time to its caller, and
// a profile has to name the guilty one.

import type { CallHandler, Method, ServerCall } from "../../../src/grpc/server.ts";
import { createService, type Environment, realEnvironment } from "../../../src/service.ts";
import type { CreateService } from "../../../src/supervisor/worker.ts";
import { runServiceProcess } from "../../support/service-process.ts";

/** Longer than a topic's name and what stands before it in a message. */
const TOPIC_WITHIN_BYTES = 64;
/** A turn that long is too long on a machine that is busy and on one that is not. */
const SPIN_MS = 400;
const LEAKED_OBJECTS = 20_000;
const LEAKED_BUFFERS = 256;
const LEAKED_BUFFER_BYTES = 4_096;

/** What keeps it alive is what makes it a leak. */
const leaked: unknown[] = [];
/** Keeps the work from being optimized away. */
export let result = 0;

function hotHandler(): void {
  const endMs = performance.now() + SPIN_MS;
  let x = result;
  while (performance.now() < endMs) for (let i = 0; i < 500_000; i++) x = (x * 31 + i) % 1_000_003;
  result = x;
}

function endlessLoop(): void {
  for (let i = 0; ; i++) result = (result * 31 + i) % 1_000_003;
}

function leakObjects(): void {
  const kept: unknown[] = [];
  for (let i = 0; i < LEAKED_OBJECTS; i++) kept.push({ i, of: leaked.length });
  leaked.push(kept);
}

function leakBuffers(): void {
  for (let i = 0; i < LEAKED_BUFFERS; i++) leaked.push(Buffer.alloc(LEAKED_BUFFER_BYTES, 1));
}

const HARMS: ReadonlyMap<string, () => void> = new Map([
  ["harm-hot", hotHandler],
  ["harm-loop", endlessLoop],
  ["harm-objects", leakObjects],
  ["harm-buffers", leakBuffers],
]);

class HarmfulCall implements CallHandler {
  readonly #handler: CallHandler;

  constructor(handler: CallHandler) {
    this.#handler = handler;
  }

  message(buffer: Buffer, start: number, end: number): void {
    const head = buffer.toString("latin1", start, Math.min(end, start + TOPIC_WITHIN_BYTES));
    this.#handler.message(buffer, start, end);
    if (!head.includes("harm-")) return;
    for (const [topic, harm] of HARMS) if (head.includes(topic)) harm();
  }

  drained(): void {
    this.#handler.drained();
  }

  halfClose(): void {
    this.#handler.halfClose();
  }

  cancelled(): void {
    this.#handler.cancelled();
  }

  goingAway(deadlineMs: number): void {
    this.#handler.goingAway?.(deadlineMs);
  }
}

const harmful = (method: Method): Method => ({
  ...method,
  open: (call: ServerCall) => new HarmfulCall(method.open(call)),
});

const environment: Environment = {
  ...realEnvironment,
  createServer: (methods, log, metrics, config, attribution) =>
    realEnvironment.createServer(methods.map(harmful), log, metrics, config, attribution),
};

const create: CreateService = (options) => createService({ ...options, environment });

process.exit(await runServiceProcess(create, import.meta.filename));
