// What a PEM file of certificates says: whose it is, whether it belongs to a key, and when it ends.

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** Every certificate of a PEM text, in its order; empty if there is none. Throws for one that cannot be read. */
export function certificatesOf(pem: string): X509Certificate[] {
  return (pem.match(BLOCK) ?? []).map((block) => new X509Certificate(block));
}

/** The private key of a PEM text. Throws if there is none, or if it is encrypted. */
export function privateKeyOf(pem: string): KeyObject {
  return createPrivateKey(pem);
}

/** When the first of them ends, in milliseconds since the epoch: from then on clients refuse the chain. */
export function expiryMs(pem: string): number {
  return Math.min(...certificatesOf(pem).map(({ validTo }) => Date.parse(validTo)));
}
