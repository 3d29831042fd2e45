// Who a client is by its certificate.

import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import { StreamTransport } from "../../src/http2/stream-transport.ts";
import { type Certificate, certificate } from "../support/certificate.ts";

const AUTHORITY = certificate({ commonName: "authority", names: [] });
const SERVER = certificate();

/** @param rejects as with mTLS; without it, whoever comes is let in, and is not believed. */
async function identityOf(client: Certificate | undefined, rejects = true): Promise<string | undefined> {
  const { cert, key } = SERVER;
  const server = createServer({ cert, key, ca: AUTHORITY.cert, requestCert: true, rejectUnauthorized: rejects });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const own = client === undefined ? {} : { cert: client.cert, key: client.key };
  const socket = connect({ host: "127.0.0.1", port, ca: SERVER.cert, ...own });
  try {
    const [accepted] = (await once(server, "secureConnection")) as [TLSSocket];
    const { peerIdentity } = new StreamTransport(accepted);
    accepted.destroy();
    return peerIdentity;
  } finally {
    socket.on("error", () => {}).destroy();
    server.close();
  }
}

test("a client is its certificate's common name", async () => {
  const billing = certificate({ commonName: "billing", names: ["billing.example"], issuer: AUTHORITY });
  assert.equal(await identityOf(billing), "billing");
});

test("without a common name it is the first of its other names, as workload identities have it", async () => {
  const named = (names: readonly string[]) => identityOf(certificate({ commonName: "", names, issuer: AUTHORITY }));
  assert.equal(await named(["spiffe://example/billing", "billing.example"]), "spiffe://example/billing");
  assert.equal(await named(["billing.example"]), "billing.example");
  assert.equal(await named(["spiffe://example/a,b", "c"]), "spiffe://example/a,b");
  assert.equal(await named(["192.0.2.7"]), "192.0.2.7");
});

test("a client that shows no certificate, or one that nobody vouches for, is nobody", async () => {
  assert.equal(await identityOf(undefined, false), undefined);
  assert.equal(await identityOf(certificate({ commonName: "billing" }), false), undefined);
});
