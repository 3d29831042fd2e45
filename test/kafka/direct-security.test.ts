// The direct producer at the door: TLS, PLAIN and SCRAM, and what is said when it is not let in.

import assert from "node:assert/strict";
import test from "node:test";

import type { SaslOptions, TlsOptions } from "../../src/kafka/options.ts";
import { certificate } from "../support/certificate.ts";
import { direct, until } from "./support/harness.ts";
import { saslServer, type SaslServerOptions } from "./support/sasl-server.ts";

const MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const;
const SERVER: SaslServerOptions = { mechanisms: MECHANISMS, username: "alice", password: "secret" };

/** What health says once the door has answered. */
async function knock(
  sasl: SaslOptions,
  options: SaslServerOptions = SERVER,
  tls?: TlsOptions,
  host = "127.0.0.1",
): Promise<{ admitted: number; problem: string }> {
  await using server = await saslServer(options);
  const bootstrap = server.bootstrap.replace("127.0.0.1", host);
  const { producer } = direct(bootstrap, { sasl, connectTimeoutMs: 1_000, tls });
  await producer.start();
  const isSaid = (): boolean => /127\.0\.0\.1|localhost/.test(producer.health().problems.join());
  await until(() => server.admitted > 0 || isSaid(), "the door answers");
  const { admitted } = server;
  const problem = producer.health().problems.join();
  await producer.dispose();
  return { admitted, problem };
}

for (const mechanism of MECHANISMS) {
  test(`${mechanism} lets in who has the password`, async () => {
    const { admitted } = await knock({ mechanism, username: "alice", password: "secret" });
    assert.ok(admitted > 0);
  });

  test(`${mechanism} with a wrong password is a problem that names the settings`, async () => {
    const { admitted, problem } = await knock({ mechanism, username: "alice", password: "guess" });
    assert.equal(admitted, 0);
    assert.match(problem, new RegExp(`refuses SASL ${mechanism}: Authentication failed.*KAFKA_SASL_PASSWORD`));
    assert.doesNotMatch(problem, /guess/);
  });
}

test("a mechanism that is not offered is a problem that says which are", async () => {
  const sasl = { mechanism: "SCRAM-SHA-512", username: "alice", password: "secret" } as const;
  const { problem } = await knock(sasl, { ...SERVER, mechanisms: ["PLAIN", "SCRAM-SHA-256"] });
  assert.match(problem, /refuses SASL SCRAM-SHA-512: it offers PLAIN, SCRAM-SHA-256/);
});

for (const garble of ["", "nonsense", "r=other,s=AAAA,i=4096", "r=,s=,i="]) {
  test(`a server whose SCRAM is "${garble}" is a problem, and nothing worse`, async () => {
    const sasl = { mechanism: "SCRAM-SHA-256", username: "alice", password: "secret" } as const;
    const { admitted, problem } = await knock(sasl, { ...SERVER, garble });
    assert.equal(admitted, 0);
    assert.match(problem, /SASL|cannot be understood|not ready for use/);
  });
}

const PLAIN = { mechanism: "PLAIN", username: "alice", password: "secret" } as const;

for (const host of ["127.0.0.1", "localhost"]) {
  test(`TLS to ${host} with the authority that signed its certificate`, async () => {
    const tls = certificate();
    const { admitted } = await knock(PLAIN, { ...SERVER, tls }, { ca: tls.cert }, host);
    assert.ok(admitted > 0);
  });
}

test("a certificate that another authority signed is a problem that says so, and no password is sent", async () => {
  const { admitted, problem } = await knock(PLAIN, { ...SERVER, tls: certificate() }, { ca: certificate().cert });
  assert.equal(admitted, 0);
  assert.match(problem, /connection to 127\.0\.0\.1:\d+ failed: .*(certificate|signature)/);
});

test("TLS to a port that is plain, and plain to one that is TLS, are problems", async () => {
  assert.notEqual((await knock(PLAIN, SERVER, { ca: undefined })).problem, "");
  const { problem } = await knock(PLAIN, { ...SERVER, tls: certificate() });
  assert.match(problem, /does not speak Kafka's protocol|closed the connection|ECONNRESET/);
});
