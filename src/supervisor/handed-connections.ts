// Connections that were handed to a worker which has not said yet that it has them.
//
// The supervisor accepts connections and hands each to a worker; node:cluster keeps its own copy of the socket until the worker
// confirms. Of a worker that dies in between it waits for that for ever: the connection stays open, nobody reads it, and its
// client waits, too. Clients that lost their connection and come back at once hit exactly this moment. So what is not
// confirmed is noted here and closed when the worker is gone, and the client connects again.
//
// Rejected: handing such a connection to another worker; the dead one may have read from it. Rejected: workers that accept by
// themselves (SCHED_NONE); the kernel gives most of few, long connections to one of them.
//
// It sees node:cluster's own messages by looking at what is sent. Should Node.js word them otherwise one day, nothing is noted,
// and everything is as without this.

import type { ChildProcess } from "node:child_process";

interface Handle {
  close(): void;
}

function isHandle(value: unknown): value is Handle {
  return typeof value === "object" && value !== null && "close" in value && typeof value.close === "function";
}

/** The number under which node:cluster hands a connection over. */
function handOver(message: unknown): number | undefined {
  if (typeof message !== "object" || message === null || !("act" in message) || !("seq" in message)) return undefined;
  return message.act === "newconn" && typeof message.seq === "number" ? message.seq : undefined;
}

export class HandedConnections {
  readonly #unconfirmed = new Map<number, Handle>();

  constructor(worker: ChildProcess) {
    const send = worker.send.bind(worker) as (...args: unknown[]) => boolean;
    worker.send = (message: unknown, handle?: unknown, ...rest: unknown[]): boolean => {
      const number = handOver(message);
      if (number !== undefined && isHandle(handle)) this.#unconfirmed.set(number, handle);
      return send(message, handle, ...rest);
    };
    worker.on("internalMessage", (message: { readonly ack?: unknown }) => {
      if (typeof message.ack === "number") this.#unconfirmed.delete(message.ack);
    });
  }

  /** The worker is gone. */
  close(): void {
    for (const handle of this.#unconfirmed.values()) handle.close();
    this.#unconfirmed.clear();
  }
}
