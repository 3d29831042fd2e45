// The files of the gRPC port's certificate: what is wrong with them, and what happens when they change.

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { rmSync, symlinkSync } from "node:fs";
import { test } from "node:test";
import { checkTls, type TlsMaterial, type TlsPaths } from "../../src/tls/files.ts";
import { TlsWatch } from "../../src/tls/watch.ts";
import type { Logger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { certificate } from "../support/certificate.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { Files } from "../support/files.ts";

const CA = certificate({ commonName: "authority", names: [] });
const ONE = certificate({ issuer: CA });
const OTHER = certificate({ issuer: CA });

function write(files: Files, cert: string, key: string, clientCa?: string): TlsPaths {
  return {
    options: "GRPC_TLS",
    certFile: files.write("cert.pem", cert),
    keyFile: files.write("key.pem", key),
    clientCaFile: clientCa === undefined ? undefined : files.write("ca.pem", clientCa),
  };
}

/** The mistakes, with the directory left out. */
function mistakes(files: Files, paths: TlsPaths): readonly string[] {
  const checked = checkTls(paths);
  return checked.ok ? [] : checked.errors.map((error) => error.replaceAll(`${files.directory}/`, ""));
}

test("a certificate, with its chain, and its key are taken", () => {
  using files = new Files();
  const paths = write(files, ONE.cert + CA.cert, ONE.key, CA.cert);
  assert.deepEqual(checkTls(paths), {
    ok: true,
    material: { cert: ONE.cert + CA.cert, key: ONE.key, clientCa: CA.cert },
  });
});

test("every mistake is one line that begins with the option and says what to give", () => {
  using files = new Files();
  const certificateAsked = "give a PEM file with -----BEGIN CERTIFICATE-----";
  const keyAsked = "give a PEM file with -----BEGIN PRIVATE KEY-----";
  assert.deepEqual(mistakes(files, write(files, ONE.key, ONE.cert, "nothing")), [
    `GRPC_TLS_CERT_FILE: there is no certificate in cert.pem; ${certificateAsked}`,
    `GRPC_TLS_KEY_FILE: there is no key in key.pem; ${keyAsked}`,
    `GRPC_TLS_CLIENT_CA_FILE: there is no certificate in ca.pem; ${certificateAsked}`,
  ]);
  assert.deepEqual(mistakes(files, write(files, CA.cert + ONE.cert, ONE.key)), [
    "GRPC_TLS_KEY_FILE: key.pem is not the key of the first certificate in cert.pem; give files that belong together, the service's certificate before those of its authorities",
  ]);
  const broken = (pem: string) => `${pem.slice(0, 80)}\n${pem.slice(pem.indexOf("-----END"))}`;
  const [badCert, badKey] = mistakes(files, write(files, broken(ONE.cert), broken(ONE.key)));
  assert.match(badCert ?? "", /^GRPC_TLS_CERT_FILE: a certificate in cert\.pem cannot be read: .*; give a PEM file/);
  assert.match(badKey ?? "", /^GRPC_TLS_KEY_FILE: the key in key\.pem cannot be read: .*; give a PEM file/);
  const { privateKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" },
  });
  assert.deepEqual(mistakes(files, write(files, ONE.cert, privateKey)), [
    "GRPC_TLS_KEY_FILE: the key in key.pem is encrypted; give one without a passphrase",
  ]);
  const missing: TlsPaths = {
    options: "GRPC_TLS",
    certFile: `${files.directory}/no.pem`,
    keyFile: files.directory,
    clientCaFile: undefined,
  };
  const [noCert, noKey] = mistakes(files, missing);
  assert.match(
    noCert ?? "",
    /^GRPC_TLS_CERT_FILE: cannot read no\.pem: ENOENT.*; give a PEM file that this user may read$/,
  );
  assert.match(noKey ?? "", /^GRPC_TLS_KEY_FILE: cannot read .*: EISDIR.*; give a PEM file that this user may read$/);
});

type Line = readonly [level: string, fields: Readonly<Record<string, unknown>>, message: string];

function watch(paths: TlsPaths, material: TlsMaterial, clock = new FakeClock(Date.now())) {
  const lines: Line[] = [];
  const write = (level: string) => (fields: Line[1], message: string) => lines.push([level, fields, message]);
  const log = { info: write("info"), warn: write("warn") } as unknown as Logger;
  const metrics = createMetrics();
  const used: TlsMaterial[] = [];
  const watched = new TlsWatch(
    { log, clock, expiry: metrics.grpcCertificateExpiry.with() },
    paths,
    material,
    (changed) => used.push(changed),
  );
  return { clock, lines, used, watched, expiry: metrics.grpcCertificateExpiry.with() };
}

test("a symbolic link that is swapped is noticed, as Kubernetes swaps its secrets", () => {
  using files = new Files();
  const keyFile = files.write("key.pem", ONE.key);
  const certFile = `${files.directory}/link.pem`;
  symlinkSync(files.write("one.pem", ONE.cert), certFile);
  const { clock, used, watched } = watch(
    { options: "GRPC_TLS", certFile, keyFile, clientCaFile: undefined },
    { ...ONE, clientCa: undefined },
  );
  clock.advance(120_000);
  assert.equal(used.length, 0);
  rmSync(certFile);
  symlinkSync(files.write("chain.pem", ONE.cert + CA.cert), certFile);
  clock.advance(60_000);
  assert.deepEqual(used, [{ cert: ONE.cert + CA.cert, key: ONE.key, clientCa: undefined }]);
  clock.advance(60_000);
  assert.equal(used.length, 1);
  watched.stop();
  assert.equal(clock.timers, 0);
});

test("files that cannot be used are logged, once a minute, and those that were read before stay in use", () => {
  using files = new Files();
  const paths = write(files, ONE.cert, OTHER.key, CA.cert);
  const { clock, lines, used, watched } = watch(paths, { cert: ONE.cert, key: ONE.key, clientCa: CA.cert });
  clock.advance(120_000);
  assert.equal(used.length, 0);
  assert.deepEqual(
    lines.map(([level, { reason }, message]) => [level, String(reason).split(":")[0], message]),
    [1, 2].map(() => [
      "warn",
      "GRPC_TLS_KEY_FILE",
      "the certificate files cannot be used; what was read before stays in use",
    ]),
  );
  files.write("cert.pem", OTHER.cert);
  clock.advance(60_000);
  assert.deepEqual(used, [{ cert: OTHER.cert, key: OTHER.key, clientCa: CA.cert }]);
  assert.equal(lines.at(-1)?.[0], "info");
  files.write("ca.pem", ONE.cert);
  clock.advance(60_000);
  assert.equal(used.at(-1)?.clientCa, ONE.cert);
  watched.stop();
});

test("the metric is the first end in the chain, and a certificate that has ended is a warning", () => {
  using files = new Files();
  const nowMs = 1_700_000_000_000;
  const short = certificate({ commonName: "a", names: [], validFromMs: nowMs - 1e9, validToMs: nowMs + 5_000 });
  const long = certificate({ issuer: short, validFromMs: nowMs - 1e9, validToMs: nowMs + 9_000_000 });
  const paths = write(files, long.cert + short.cert, long.key);
  const material = { cert: long.cert + short.cert, key: long.key, clientCa: undefined };
  const inTime = watch(paths, material, new FakeClock(nowMs));
  assert.equal(inTime.expiry.value, nowMs / 1000 + 5);
  assert.equal(inTime.lines.length, 0);
  const late = watch(paths, material, new FakeClock(nowMs + 5_000));
  assert.equal(late.lines[0]?.[2], "the certificate has expired");
  inTime.watched.stop();
  late.watched.stop();
});
