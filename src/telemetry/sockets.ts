// The service's TCP sockets by state, as the kernel sees them.
//
// Rejected: looking up each process's file descriptors and what they are (a system call for each, 50 ms for 10,000 of a worker
// that has work to do), and counting by state in the HTTP/2 and Kafka layers. Both miss the sockets in time_wait, which belong to
// no process any more, and which are what an address runs out of. So the supervisor reads the kernel's own table, off its event
// loop, every ten seconds, and counts the sockets whose local port is one of the service's or whose remote port is a broker's.
// The price: no process is told apart. How many each has open, `process_open_fds` says.
//
//   /proc/net/tcp   "  12: 0100007F:C383 00000000:0000 0A …"    address:port of both sides, state; all hexadecimal
//   /proc/net/tcp6  the same with addresses of 32 digits

import { createReadStream } from "node:fs";

/** In the order of the kernel's numbers, from 1 on (include/net/tcp_states.h). */
export const SOCKET_STATES = [
  "established",
  "syn_sent",
  "syn_recv",
  "fin_wait1",
  "fin_wait2",
  "time_wait",
  "close",
  "close_wait",
  "last_ack",
  "listen",
  "closing",
] as const;
export type SocketState = (typeof SOCKET_STATES)[number];

/** Sockets looked at in one table at most: 15 ms of work. */
const SOCKETS_MAX = 65_536;
/** Of a table; its lines have 150 to 200 bytes. A host may have millions of sockets that are none of ours. */
const TABLE_BYTES_MAX = SOCKETS_MAX * 200;
const READ_BYTES = 256 << 10;
const NEW_RECV = 12;
const [NEWLINE, COLON] = [10, 58];

export interface Ports {
  /** Ports of the service's own. */
  readonly local: ReadonlySet<number>;
  /** Ports that it connects to. */
  readonly remote: ReadonlySet<number>;
}

/** @returns the number that the hexadecimal digits at [start, start + digits) say. */
function hexAt(table: Uint8Array, start: number, digits: number): number {
  let value = 0;
  for (let at = start; at < start + digits; at++) {
    const digit = table[at]!;
    value = value * 16 + (digit < COLON ? digit - 48 : (digit | 32) - 87);
  }
  return value;
}

/** Adds a table to `counts`, by state; a line that is cut off does not count. @param addressDigits 8 or 32. */
export function countSockets(
  table: Uint8Array,
  addressDigits: number,
  { local, remote }: Ports,
  counts: number[],
): void {
  let at = table.indexOf(NEWLINE) + 1;
  for (let sockets = 0; at > 0 && sockets < SOCKETS_MAX; sockets++) {
    const end = table.indexOf(NEWLINE, at);
    if (end < 0) return;
    const localPort = table.indexOf(COLON, at) + 2 + addressDigits + 1;
    const remotePort = localPort + 5 + addressDigits + 1;
    if (local.has(hexAt(table, localPort, 4)) || remote.has(hexAt(table, remotePort, 4))) {
      const state = hexAt(table, remotePort + 5, 2);
      // A newer name for one in syn_recv.
      const index = (state === NEW_RECV ? 3 : state) - 1;
      if (index < SOCKET_STATES.length) counts[index]! += 1;
    }
    at = end + 1;
  }
}

/** Rejects if there is no such table. */
async function readTable(path: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const file = createReadStream(path, { end: TABLE_BYTES_MAX - 1, highWaterMark: READ_BYTES });
  for await (const piece of file) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/** By state, in the order of SOCKET_STATES; undefined where the system does not say. */
export async function readSockets(ports: Ports): Promise<readonly number[] | undefined> {
  const counts = SOCKET_STATES.map(() => 0);
  try {
    countSockets(await readTable("/proc/self/net/tcp"), 8, ports, counts);
    // A host without IPv6 has no such table.
    countSockets(await readTable("/proc/self/net/tcp6").catch(() => Buffer.alloc(0)), 32, ports, counts);
  } catch {
    return undefined;
  }
  return counts;
}
