// The admin port of the real service, from this host and from another address.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import type { TLSSocket } from "node:tls";
import { FIXTURE, startFixture } from "../supervisor/fixture/client.ts";
import { certificate } from "../support/certificate.ts";
import { runServiceToEnd } from "../support/service.ts";

const TOKEN = "a-token-of-sixteen-and-more";
const GUARDED = ["/", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap", "/debug/speedscope/"];
const OPEN = ["/metrics", "/healthz"];

/** An address of this machine that is not loopback; connections to it come from it. */
const elsewhere = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
const skip = elsewhere === undefined ? "this machine has no address but loopback" : false;

let directory = "";
before(() => {
  directory = mkdtempSync(join(tmpdir(), "sluice-access-"));
});
after(() => {
  rmSync(directory, { recursive: true, force: true });
});

function file(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

test(
  "another host gets metrics and health, and of the rest only what would help, unless it has the token",
  { skip },
  async () => {
    await using service = await startFixture({ ADMIN_LISTEN: "0.0.0.0:0", ADMIN_TOKEN: TOKEN });
    const { port } = new URL(service.adminUrl);
    const base = `http://${elsewhere}:${port}`;
    for (const path of OPEN) assert.equal((await fetch(base + path)).status, 200, path);
    for (const path of GUARDED) {
      const refused = await fetch(base + path);
      assert.equal(refused.status, 403, path);
      assert.equal(refused.headers.get("x-go-pprof"), "1");
      assert.match(await refused.text(), /ADMIN_TOKEN/);
      const authorization = `Bearer ${TOKEN}`;
      assert.equal((await fetch(base + path, { headers: { authorization } })).status, 200, path);
      assert.equal((await fetch(`http://127.0.0.1:${port}${path}`)).status, 200, path);
    }
    const asked = await fetch(base, { headers: { accept: "text/html" } });
    assert.deepEqual([asked.status, asked.headers.get("www-authenticate")?.split(" ")[0]], [401, "Basic"]);
    const dropped = await fetch(`${base}/dead-letters/drop`, { method: "POST", body: "{}" });
    assert.equal(dropped.status, 403);
    assert.ok(!service.stderr().includes(TOKEN) && !service.stdout().includes(TOKEN));
  },
);

test("without a token another host is refused", { skip }, async () => {
  await using service = await startFixture({ ADMIN_LISTEN: "0.0.0.0:0" });
  const { port } = new URL(service.adminUrl);
  const refused = await fetch(`http://${elsewhere}:${port}/debug/pprof/`, { headers: { accept: "text/html" } });
  assert.equal(refused.status, 403);
  assert.match(await refused.text(), /^this is served to its own host only: .*kubectl port-forward.*ADMIN_TOKEN/);
});

test("with certificates the port speaks TLS, and a client's certificate opens it", { skip }, async () => {
  const server = certificate();
  const client = certificate();
  const stranger = certificate();
  await using service = await startFixture({
    ADMIN_LISTEN: "0.0.0.0:0",
    ADMIN_TLS_CERT_FILE: file("cert.pem", server.cert),
    ADMIN_TLS_KEY_FILE: file("key.pem", server.key),
    ADMIN_TLS_CLIENT_CA_FILE: file("ca.pem", client.cert),
  });
  const { port } = new URL(service.adminUrl);
  const { fingerprint256 } = new X509Certificate(server.cert);
  const get = (path: string, identity: Partial<typeof client> = {}) =>
    new Promise<Answer>((resolve, reject) => {
      // The certificate is for localhost, and this is another address: it is known by its fingerprint.
      const request = https.get(
        {
          host: elsewhere,
          port,
          path,
          ca: server.cert,
          agent: false,
          checkServerIdentity: () => undefined,
          ...identity,
        },
        (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
          response.on("end", () => {
            resolve({ status: response.statusCode ?? 0, text });
          });
        },
      );
      request.on("error", reject);
      request.on("socket", (socket) => {
        socket.on("secureConnect", () => {
          const peer = "getPeerX509Certificate" in socket ? (socket as TLSSocket) : undefined;
          assert.equal(peer?.getPeerX509Certificate()?.fingerprint256, fingerprint256);
        });
      });
    });
  assert.equal((await get("/debug/pprof/cmdline", client)).status, 200);
  assert.equal((await get("/metrics")).status, 200);
  for (const identity of [{}, stranger]) {
    const { status, text } = await get("/debug/pprof/cmdline", identity);
    assert.equal(status, 403);
    assert.match(text, /ADMIN_TLS_CLIENT_CA_FILE/);
  }
  await assert.rejects(fetch(`http://${elsewhere}:${port}/metrics`));
});

test("a certificate that is not there ends the start with one line that names it", async () => {
  const missing = join(directory, "missing.pem");
  const { code, stderr } = await runServiceToEnd({
    entry: FIXTURE,
    env: { ADMIN_TLS_CERT_FILE: missing, ADMIN_TLS_KEY_FILE: missing },
  });
  assert.equal(code, 3);
  assert.match(stderr, /^sluice serve: ADMIN_TLS_CERT_FILE: cannot read .*missing\.pem: .*; give a PEM file/m);
});
