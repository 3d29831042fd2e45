// Free ports on the loopback interface, for processes that have to be told theirs before they start.

import { createServer } from "node:net";

/** Below the ports that systems give to outgoing connections, so that none of those takes one away before it is used. */
const RANGE = { from: 20_000, to: 30_000 } as const;

/** So many ports that are free now, and none of `taken`. */
export async function freePorts(count: number, taken: readonly number[] = []): Promise<readonly number[]> {
  const free = new Set<number>();
  while (free.size < count) {
    const port = RANGE.from + Math.floor(Math.random() * (RANGE.to - RANGE.from));
    if (!taken.includes(port) && (await isFreePort(port))) free.add(port);
  }
  return [...free];
}

export async function isFreePort(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => {
      resolve(false);
    });
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
