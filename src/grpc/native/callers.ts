// Connections by who has them: what one looks at when sockets or streams pile up.

import type { CallersState, CallerState } from "../server.ts";

/** What is asked of a connection. */
export interface CallerConnection {
  /** With its port, for example `127.0.0.1:53124`. */
  readonly peer: string;
  /** The common name of its certificate. */
  readonly peerIdentity: string | undefined;
  readonly streamCount: number;
  readonly unsentBytes: number;
  readonly ageMs: number;
}

export const CALLERS_TOLD_MAX = 50;

/** Sums by address and identity; the largest of them. */
export function callersOf(connections: Iterable<CallerConnection>): Pick<CallersState, "callers" | "callersLeftOut"> {
  const sums = new Map<string, { -readonly [K in keyof CallerState]: CallerState[K] }>();
  for (const { peer, peerIdentity: identity, streamCount, unsentBytes, ageMs } of connections) {
    const address = peer.slice(0, peer.lastIndexOf(":"));
    const key = `${address}\0${identity ?? ""}`;
    let sum = sums.get(key);
    if (sum === undefined) {
      sum = { address, identity, connections: 0, streams: 0, streamsMax: 0, unsentBytes: 0, oldestSeconds: 0 };
      sums.set(key, sum);
    }
    sum.connections += 1;
    sum.streams += streamCount;
    sum.streamsMax = Math.max(sum.streamsMax, streamCount);
    sum.unsentBytes += unsentBytes;
    sum.oldestSeconds = Math.max(sum.oldestSeconds, Math.round(ageMs / 1000));
  }
  const callers = [...sums.values()]
    .sort((a, b) => b.streams - a.streams || b.connections - a.connections)
    .slice(0, CALLERS_TOLD_MAX);
  return { callers, callersLeftOut: sums.size - callers.length };
}
