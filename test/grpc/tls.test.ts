// TLS and mTLS on the gRPC port, on both servers: who gets in, who does not, and what each is told.

import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { test } from "node:test";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { type Clock, systemClock } from "../../src/clock.ts";
import { connect, type SluiceError, type TlsOptions } from "../../src/client/index.ts";
import { grpcJsOptions, nativeOptions } from "../../src/grpc-options.ts";
import { GrpcJsServer } from "../../src/grpc/grpc-js.ts";
import { NativeServer } from "../../src/grpc/native/server.ts";
import type { Environment } from "../../src/service.ts";
import { certificate } from "../support/certificate.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { Files } from "../support/files.ts";
import { type InProcessService, startInProcess } from "../support/in-process.ts";

const CA = certificate({ commonName: "the services' authority", names: [] });
const SERVER = certificate({ commonName: "events", issuer: CA });
const CLIENTS_CA = certificate({ commonName: "the clients' authority", names: [] });
const CLIENT = certificate({ commonName: "billing", names: [], issuer: CLIENTS_CA });

const SERVERS = ["native", "grpc-js"] as const;
const BATCH = { topic: "t", events: [{ value: "v" }] };

interface Running extends AsyncDisposable {
  readonly service: InProcessService;
  readonly files: Files;
  readonly address: string;
  readonly env: Readonly<Record<string, string>>;
}

async function start(
  server: (typeof SERVERS)[number],
  { mutual = false, environment = {} }: { mutual?: boolean; environment?: Partial<Environment> } = {},
): Promise<Running> {
  const files = new Files();
  const env = {
    GRPC_SERVER: server,
    GRPC_TLS_CERT_FILE: files.write("cert.pem", SERVER.cert),
    GRPC_TLS_KEY_FILE: files.write("key.pem", SERVER.key),
    ...(mutual ? { GRPC_TLS_CLIENT_CA_FILE: files.write("ca.pem", CLIENTS_CA.cert) } : {}),
  };
  const service = await startInProcess(env, environment);
  const { host, port } = service.address;
  const stop = async () => {
    await service[Symbol.asyncDispose]();
    files[Symbol.dispose]();
  };
  return { service, files, env, address: `${host}:${port}`, [Symbol.asyncDispose]: stop };
}

/** Undefined: the batch is stored; else why there was no connection. */
async function publishing(address: string, tls: boolean | TlsOptions): Promise<string | undefined> {
  await using client = connect(address, { tls });
  try {
    await client.ready({ failFast: true });
  } catch (thrown) {
    return (thrown as SluiceError).message;
  }
  const { stored } = await client.publish(BATCH);
  return stored === 1 ? undefined : "not stored";
}

/** Resolves when the server has closed, with what it said. */
async function knock(address: string, options: ConnectionOptions): Promise<{ text: string; error: string }> {
  const [host, port] = address.split(":");
  const socket = connectTls({ host, port: Number(port), ca: CA.cert, ...options });
  let text = "";
  let error = "";
  socket.on("data", (bytes: Buffer) => (text += bytes.toString("latin1")));
  socket.on("error", (thrown: NodeJS.ErrnoException) => (error = thrown.code ?? thrown.message));
  await new Promise((resolve) => socket.once("close", resolve));
  return { text, error };
}

function handshakeFailures({ service }: Running): Record<string, number> {
  const { series } = service.service.metrics.grpcHandshakeFailures.snapshot();
  return Object.fromEntries(series.map(([labels, value]) => [labels[0], value as number]));
}

for (const name of SERVERS) {
  test(`${name}: a client that knows the authority publishes, one that does not refuses the service`, async () => {
    await using running = await start(name);
    assert.equal(await publishing(running.address, { ca: CA.cert }), undefined);
    assert.match(
      (await publishing(running.address, true)) ?? "",
      /has a certificate that this client does not trust \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)/,
    );
    assert.match(
      (await publishing(running.address, { ca: CA.cert, serverName: "other.example" })) ?? "",
      /has a certificate for localhost, 127\.0\.0\.1, and not for other\.example/,
    );
  });

  test(`${name}: with mTLS only certificates of the clients' authority get in`, async () => {
    await using running = await start(name, { mutual: true });
    const { address } = running;
    const expired = certificate({ issuer: CLIENTS_CA, validToMs: Date.now() - 60_000 });
    const stranger = certificate({ commonName: "billing" });
    assert.equal(await publishing(address, { ca: CA.cert, cert: CLIENT.cert, key: CLIENT.key }), undefined);
    assert.match((await publishing(address, { ca: CA.cert })) ?? "", /asks for a client certificate/);
    for (const { cert, key } of [expired, stranger, SERVER])
      assert.match(
        (await publishing(address, { ca: CA.cert, cert, key })) ?? "",
        /does not take this client's certificate/,
      );
    assert.equal(await publishing(address, { ca: CA.cert, cert: CLIENT.cert, key: CLIENT.key }), undefined);
    if (name === "grpc-js") return;
    const failures = handshakeFailures(running);
    for (const reason of [
      "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE",
      "CERT_HAS_EXPIRED",
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "SELF_SIGNED_CERT_IN_CHAIN",
    ])
      assert.ok((failures[reason] ?? 0) > 0, `${reason} in ${JSON.stringify(failures)}`);
  });

  test(`${name}: who offers no h2 is told, and so is who speaks old TLS or none`, async () => {
    await using running = await start(name);
    const { address } = running;
    assert.equal(
      (await knock(address, { ALPNProtocols: ["http/1.1"] })).error,
      "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
    );
    assert.match((await knock(address, {})).text, /^HTTP\/1\.[01] 40[03] /);
    const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    assert.equal((await knock(address, old)).error, "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
    for (const bytes of ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"]) {
      const socket = connectTcp(Number(address.split(":")[1]), "127.0.0.1");
      socket.on("error", () => {}).end(bytes);
      await once(socket.resume(), "close", { signal: AbortSignal.timeout(10_000) });
    }
    assert.match((await publishing(address, false)) ?? "", /speaks TLS, and this client plaintext/);
    assert.equal(await publishing(address, { ca: CA.cert }), undefined, "the others are served");
    if (name === "grpc-js") return;
    const failures = handshakeFailures(running);
    assert.equal(failures["no_alpn"], 1);
    for (const reason of [
      "ERR_SSL_NO_APPLICATION_PROTOCOL",
      "ERR_SSL_UNSUPPORTED_PROTOCOL",
      "ERR_SSL_WRONG_VERSION_NUMBER",
      "ERR_SSL_HTTP_REQUEST",
    ])
      assert.ok((failures[reason] ?? 0) > 0, `${reason} in ${JSON.stringify(failures)}`);
  });

  test(`${name}: a client that speaks TLS to a plaintext port is told`, async () => {
    await using service = await startInProcess({ GRPC_SERVER: name });
    const address = `${service.address.host}:${service.address.port}`;
    assert.match((await publishing(address, true)) ?? "", /speaks plaintext, and this client TLS/);
  });

  test(`${name}: new files serve new connections a minute later, and old connections go on`, async () => {
    const time = new FakeClock();
    const clock: Clock = {
      ...systemClock,
      setTimeout: (callback, delayMs) => time.setTimeout(callback, delayMs),
      clearTimeout: (timer) => time.clearTimeout(timer),
    };
    await using running = await start(name, {
      environment: {
        createServer: (methods, log, metrics, config) =>
          name === "native"
            ? new NativeServer({ log, metrics, clock }, methods, nativeOptions(config))
            : new GrpcJsServer(log, metrics, methods, grpcJsOptions(config), clock),
      },
    });
    const { address, files, service } = running;
    await using before = connect(address, { tls: { pin: SERVER.cert } });
    assert.equal((await before.publish(BATCH)).stored, 1);

    const renewed = certificate({ issuer: CA, validToMs: 2_000_000_000_000 });
    writeFileSync(`${files.directory}/key.pem`, renewed.key);
    time.advance(60_000);
    assert.equal(await publishing(address, { pin: SERVER.cert }), undefined, "half of them is not used");
    writeFileSync(`${files.directory}/cert.pem`, renewed.cert);
    assert.equal(await publishing(address, { pin: SERVER.cert }), undefined, "it is not looked yet");
    time.advance(60_000);
    assert.equal(await publishing(address, { pin: renewed.cert }), undefined);
    assert.match((await publishing(address, { pin: SERVER.cert })) ?? "", /does not trust/);
    assert.equal((await before.publish(BATCH)).stored, 1);
    assert.deepEqual(service.service.metrics.grpcCertificateExpiry.snapshot().series, [[[], 2_000_000_000]]);

    writeFileSync(`${files.directory}/cert.pem`, "half of a");
    time.advance(60_000);
    assert.equal(await publishing(address, { pin: renewed.cert }), undefined);
  });

  test(`${name}: a start with wrong files fails with the option's name, and leaves nothing running`, async () => {
    using files = new Files();
    const env = {
      GRPC_SERVER: name,
      GRPC_TLS_CERT_FILE: files.write("cert.pem", SERVER.cert),
      GRPC_TLS_KEY_FILE: files.write("key.pem", CLIENT.key),
    };
    await assert.rejects(startInProcess(env), /^IngestError: GRPC_TLS_KEY_FILE: .* is not the key of/);
  });
}
