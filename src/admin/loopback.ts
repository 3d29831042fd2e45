// Whether an address is this host's own.

import { BlockList, isIPv4 } from "node:net";

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/** @param address as a socket tells it; an IPv4 peer of an IPv6 socket has the form `::ffff:127.0.0.1`. */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false;
  return LOOPBACK.check(address, isIPv4(address) ? "ipv4" : "ipv6");
}
