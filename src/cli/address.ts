// Where a service of this host can be reached, from where it listens.

import { type Address, formatAddress } from "../config.ts";

/** An address to connect to, of one to listen on. */
export function reachable({ host, port }: Address): string {
  const anywhere = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return formatAddress({ host: anywhere, port });
}
