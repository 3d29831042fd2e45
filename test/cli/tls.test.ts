// Commands over TLS, what they say when it does not fit, and what `serve` and `doctor` say of the files.

import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { checkAdminCertificate, checkCertificate, checkShownCertificate } from "../../src/cli/doctor/certificate.ts";
import { type Config, loadConfig } from "../../src/config.ts";
import { certificate } from "../support/certificate.ts";
import { startInProcess } from "../support/in-process.ts";
import { Files, run } from "./support.ts";

const DAY_MS = 86_400_000;
const CA = certificate({ commonName: "authority", names: [] });
/** As the service's is: for the name that others call it by. */
const SERVER = certificate({ commonName: "events", names: ["events.example"], issuer: CA });
const CLIENT = certificate({ commonName: "billing", names: [], issuer: CA });

interface Started {
  readonly address: string;
  readonly files: Files;
  /** As the service has it, with the real port. */
  readonly env: Readonly<Record<string, string>>;
}

async function start(t: TestContext, { tls = true, mutual = false } = {}): Promise<Started> {
  const files = new Files();
  const env = {
    ...(tls
      ? {
          GRPC_TLS_CERT_FILE: files.write("cert.pem", SERVER.cert),
          GRPC_TLS_KEY_FILE: files.write("key.pem", SERVER.key),
        }
      : {}),
    ...(mutual ? { GRPC_TLS_CLIENT_CA_FILE: files.write("ca.pem", CA.cert) } : {}),
  };
  const service = await startInProcess(env);
  t.after(async () => {
    await service[Symbol.asyncDispose]();
    files[Symbol.dispose]();
  });
  const address = `127.0.0.1:${service.address.port}`;
  return { address, files, env: { ...env, GRPC_LISTEN: address, ADMIN_LISTEN: "127.0.0.1:0" } };
}

const send = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  run(["send", "--topic", "t", ...args], { stdin: "1\n", env });

test("send in the service's environment finds it, speaks TLS and trusts its certificate", async (t) => {
  const { env } = await start(t);
  const { code, stdout, stderr } = await send([], env);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /stored +1 \(PERSISTED\)/);
});

test("send in an environment without certificate finds the service of GRPC_LISTEN", async (t) => {
  const { env } = await start(t, { tls: false });
  assert.equal((await send([], env)).code, 0);
});

test("send from elsewhere needs the authority, and the name where the address has another one", async (t) => {
  const { address, files } = await start(t);
  const ca = files.write("authority.pem", CA.cert);
  const there = ["--address", address];
  const cases: [readonly string[], RegExp][] = [
    [[], /speaks TLS, and this client plaintext; give --tls, /],
    [
      ["--tls"],
      /does not trust \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\); give the authority that signed it with --tls-ca$/m,
    ],
    [
      ["--tls-ca", ca],
      /for events\.example, and not for 127\.0\.0\.1; give a name that it is for with --tls-server-name/,
    ],
    [["--tls-ca", `${ca}x`], /--tls-ca: cannot read .*; give a PEM file$/m],
  ];
  for (const [flags, line] of cases) {
    const { code, stdout, stderr } = await send([...there, ...flags]);
    assert.deepEqual([code, stdout, stderr.trimEnd().split("\n").length], [1, "", 1]);
    assert.match(stderr, line);
  }
  assert.equal((await send([...there, "--tls-ca", ca, "--tls-server-name", "events.example"])).code, 0);
});

test("send over TLS to a plaintext port is told to leave it out", async (t) => {
  const { address } = await start(t, { tls: false });
  const { code, stderr } = await send(["--address", address, "--tls"]);
  assert.equal(code, 1);
  assert.match(stderr, /speaks plaintext, and this client TLS; leave the --tls flags out, /);
});

test("with mTLS a certificate has to be given, in the service's environment, too", async (t) => {
  const { files, env } = await start(t, { mutual: true });
  const own = (name: string, { cert, key }: { cert: string; key: string }) =>
    ["--tls-cert", files.write(`${name}.pem`, cert), "--tls-key", files.write(`${name}.key`, key)] as const;
  assert.match((await send([], env)).stderr, /asks for a client certificate, .*; give --tls-cert and --tls-key$/m);
  assert.match(
    (await send(own("stranger", certificate()), env)).stderr,
    /does not take this client's certificate; give one that GRPC_TLS_CLIENT_CA_FILE/,
  );
  assert.equal((await send(own("client", CLIENT), env)).code, 0);
});

test("a certificate without its key is a mistake on the command line", async () => {
  for (const [flag, missing] of [
    ["--tls-cert", "--tls-key"],
    ["--tls-key", "--tls-cert"],
  ] as const) {
    for (const command of [
      ["send", "--topic", "t"],
      ["dead-letters", "retry", "--all"],
    ]) {
      const { code, stderr } = await run([...command, flag, "file.pem"]);
      assert.equal(code, 2);
      assert.match(stderr, new RegExp(`^sluice .*: ${missing}: missing, but ${flag} is given; `));
    }
  }
});

test("serve ends with one line per mistake in the files, before anything starts", async () => {
  using files = new Files();
  const env = {
    GRPC_TLS_CERT_FILE: `${files.directory}/no.pem`,
    GRPC_TLS_KEY_FILE: files.write("key.pem", SERVER.cert),
  };
  const { code, stdout, stderr } = await run(["serve"], { env });
  assert.deepEqual([code, stdout], [2, ""]);
  const lines = stderr.trimEnd().split("\n");
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? "", /^sluice serve: GRPC_TLS_CERT_FILE: cannot read .*no\.pem: ENOENT/);
  assert.match(lines[1] ?? "", /^sluice serve: GRPC_TLS_KEY_FILE: there is no key in /);
  const alone = await run(["serve"], { env: { GRPC_TLS_CERT_FILE: files.write("cert.pem", SERVER.cert) } });
  assert.deepEqual(
    [alone.code, alone.stderr.split(";")[0]],
    [2, "sluice serve: GRPC_TLS_KEY_FILE: missing, but GRPC_TLS_CERT_FILE is given"],
  );
});

function configOf(env: Readonly<Record<string, string>>): Config {
  const loaded = loadConfig(env);
  assert.ok(loaded.ok);
  return loaded.config;
}

test("the doctor warns of a certificate that ends soon, and finds one that has ended an error", () => {
  using files = new Files();
  const nowMs = 1_700_000_000_000;
  const levels = (daysLeft: number, names: readonly string[] = ["a.example"]) => {
    const { cert, key } = certificate({ names, validFromMs: nowMs - DAY_MS, validToMs: nowMs + daysLeft * DAY_MS });
    const env = {
      GRPC_TLS_CERT_FILE: files.write("cert.pem", cert),
      GRPC_TLS_KEY_FILE: files.write("key.pem", key),
      GRPC_TLS_CLIENT_CA_FILE: files.write("ca.pem", cert),
    };
    return checkCertificate(configOf(env), nowMs).map(({ level }) => level);
  };
  assert.deepEqual(levels(22), ["ok", "ok", "ok"]);
  assert.deepEqual(levels(20), ["warning", "ok", "warning"]);
  assert.deepEqual(levels(0), ["error", "ok", "error"]);
  assert.deepEqual(levels(22, []), ["ok", "warning", "ok"]);
  assert.deepEqual(checkCertificate(configOf({}), nowMs), []);
});

test("the doctor looks whether the certificate is for the address, where that is one of this host alone", () => {
  using files = new Files();
  const { cert, key } = certificate({ names: ["events.example", "192.0.2.7"], validToMs: Date.now() + 99 * DAY_MS });
  const env = { GRPC_TLS_CERT_FILE: files.write("c.pem", cert), GRPC_TLS_KEY_FILE: files.write("k.pem", key) };
  const second = (host: string) =>
    checkCertificate(configOf({ ...env, GRPC_LISTEN: `${host}:50051` }), Date.now())[1]?.level;
  assert.deepEqual(["0.0.0.0", "127.0.0.1", "192.0.2.7", "events.example", "192.0.2.8", "other.example"].map(second), [
    "ok",
    "ok",
    "ok",
    "ok",
    "warning",
    "warning",
  ]);
});

test("the doctor finds files that cannot be used an error each, with what to do", async () => {
  using files = new Files();
  const env = {
    GRPC_TLS_CERT_FILE: files.write("cert.pem", SERVER.cert),
    GRPC_TLS_KEY_FILE: files.write("key.pem", CLIENT.key),
    DATA_DIR: files.directory,
    ADMIN_LISTEN: "127.0.0.1:0",
    GRPC_LISTEN: "127.0.0.1:0",
  };
  const { code, stdout } = await run(["doctor", "--json"], { env });
  assert.equal(code, 1);
  const found = (JSON.parse(stdout) as { subject: string; message: string; remedy: string }[]).filter(
    ({ subject }) => subject === "certificate",
  );
  assert.equal(found.length, 1);
  assert.match(found[0]?.message ?? "", /^GRPC_TLS_KEY_FILE: .* is not the key of the first certificate in /);
  assert.match(found[0]?.remedy ?? "", /^give files that belong together/);
});

test("the doctor looks at the admin port's certificate as it does at the gRPC port's", () => {
  using files = new Files();
  const nowMs = Date.now();
  const findings = (daysLeft: number, key?: string) => {
    const made = certificate({ names: ["192.0.2.7"], validToMs: nowMs + daysLeft * DAY_MS });
    const certFile = files.write("admin.pem", made.cert);
    const config = configOf({
      ADMIN_LISTEN: "192.0.2.8:9464",
      ADMIN_TLS_CERT_FILE: certFile,
      ADMIN_TLS_KEY_FILE: files.write("admin.key", key ?? made.key),
      ADMIN_TLS_CLIENT_CA_FILE: certFile,
    });
    assert.deepEqual(checkCertificate(config, nowMs), []);
    return checkAdminCertificate(config, nowMs);
  };
  const found = findings(30);
  assert.deepEqual(
    found.map(({ level, subject }) => [level, subject]),
    ["ok", "warning", "ok"].map((level) => [level, "admin certificate"]),
  );
  assert.match(found[0]?.message ?? "", /^ADMIN_TLS_CERT_FILE .* is valid until /);
  assert.match(found[1]?.message ?? "", / and not for 192\.0\.2\.8 \(ADMIN_LISTEN\)$/);
  assert.match(found[2]?.message ?? "", /^ADMIN_TLS_CLIENT_CA_FILE /);
  assert.equal(findings(20)[0]?.level, "warning");
  assert.equal(findings(-0.5)[0]?.level, "error");
  const [mistake, ...more] = findings(30, CLIENT.key);
  assert.deepEqual([mistake?.level, more], ["error", []]);
  assert.match(mistake?.message ?? "", /^ADMIN_TLS_KEY_FILE: .* is not the key of the first certificate/);
  assert.deepEqual(checkAdminCertificate(configOf({}), nowMs), []);
});

test("the doctor tells whether the running service shows the certificate of the file", async (t) => {
  const { env, files } = await start(t, { mutual: true });
  assert.deepEqual(
    (await checkShownCertificate(configOf(env))).map(({ level }) => level),
    ["ok"],
  );
  files.write("cert.pem", CLIENT.cert);
  assert.deepEqual(
    (await checkShownCertificate(configOf(env))).map(({ level }) => level),
    ["warning"],
  );
  const nobody = { ...env, GRPC_LISTEN: "127.0.0.1:1" };
  assert.deepEqual(await checkShownCertificate(configOf(nobody)), []);
});
