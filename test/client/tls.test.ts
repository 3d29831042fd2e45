// The SDK over TLS; who gets in is the server's tests, test/grpc/tls.test.ts.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { credentials } from "@grpc/grpc-js";
import { connect, type SluiceError } from "../../src/client/index.ts";
import { certificate } from "../support/certificate.ts";
import { Files } from "../support/files.ts";
import { startInProcess } from "../support/in-process.ts";

const CA = certificate({ commonName: "authority", names: [] });
const BATCH = { topic: "t", events: [{ value: "v" }] };

async function start(t: TestContext, server = certificate({ issuer: CA })): Promise<number> {
  const files = new Files();
  const service = await startInProcess({
    GRPC_TLS_CERT_FILE: files.write("cert.pem", server.cert),
    GRPC_TLS_KEY_FILE: files.write("key.pem", server.key),
  });
  t.after(async () => {
    await service[Symbol.asyncDispose]();
    files[Symbol.dispose]();
  });
  return service.address.port;
}

test("unary calls and streams go over TLS, by name and by number", async (t) => {
  const port = await start(t);
  for (const host of ["localhost", "127.0.0.1"]) {
    await using client = connect(`${host}:${port}`, { tls: { ca: CA.cert } });
    assert.equal((await client.publish(BATCH)).stored, 1);
    assert.equal((await client.openStream().publish(BATCH)).stored, 1);
  }
});

test("another name that the certificate is for can be given", async (t) => {
  const port = await start(t, certificate({ issuer: CA, names: ["events.example"] }));
  const tls = { ca: CA.cert };
  await using right = connect(`127.0.0.1:${port}`, { tls: { ...tls, serverName: "events.example" } });
  assert.equal((await right.publish(BATCH)).stored, 1);
  await using none = connect(`127.0.0.1:${port}`, { tls });
  await assert.rejects(none.ready({ failFast: true }), {
    message: `127.0.0.1:${port} has a certificate for events.example, and not for 127.0.0.1`,
  });
});

test("a certificate that is pinned is trusted without its authority, and no other one is", async (t) => {
  const server = certificate({ issuer: CA, names: ["events.example"] });
  const port = await start(t, server);
  await using right = connect(`127.0.0.1:${port}`, { tls: { pin: server.cert + CA.cert } });
  assert.equal((await right.publish(BATCH)).stored, 1);
  // Its authority, too, is another certificate.
  for (const pin of [CA.cert, certificate({ issuer: CA }).cert, certificate({ names: ["events.example"] }).cert]) {
    await using wrong = connect(`127.0.0.1:${port}`, { tls: { pin } });
    await assert.rejects(wrong.ready({ failFast: true }), /has a certificate that this client does not trust/);
  }
});

test("an expired certificate is told as such", async (t) => {
  const port = await start(t, certificate({ issuer: CA, validToMs: Date.now() - 60_000 }));
  await using client = connect(`localhost:${port}`, { tls: { ca: CA.cert } });
  await assert.rejects(
    client.ready({ failFast: true }),
    /has a certificate that is not valid now \(CERT_HAS_EXPIRED\)/,
  );
});

test("a stream's batches are told, too, why there is no connection", async (t) => {
  const port = await start(t);
  await using client = connect(`127.0.0.1:${port}`);
  const stream = client.openStream({ connectTimeoutMs: 200 });
  await assert.rejects(stream.publish(BATCH), (error: SluiceError) => {
    assert.deepEqual([error.codeName, error.outcome], ["UNAVAILABLE", "not_stored"]);
    assert.equal(error.message, `127.0.0.1:${port} speaks TLS, and this client plaintext`);
    return true;
  });
});

test("a port that says nothing is not taken for one of these", async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket.on("error", () => {}).resume())).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as { port: number };
  for (const tls of [false, true]) {
    await using client = connect(`127.0.0.1:${port}`, { tls });
    await assert.rejects(client.ready({ timeoutMs: 100 }), { message: `nothing answers at 127.0.0.1:${port}` });
  }
  silent.close();
  // grpc-js lets go of a connection that it never got only when the other side does.
  for (const socket of sockets) socket.destroy();
});

test("options that cannot be meant are refused at once", () => {
  const { cert, key } = certificate();
  assert.throws(() => connect("localhost:1", { tls: { cert } }), /tls: cert and key belong together/);
  assert.throws(() => connect("localhost:1", { tls: { key } }), /tls: cert and key belong together/);
  assert.throws(() => connect("localhost:1", { tls: { cert: key, key: cert } }), /tls: .* cannot be used/);
  assert.throws(
    () => connect("localhost:1", { tls: true, credentials: credentials.createInsecure() }),
    /give one of them/,
  );
});
