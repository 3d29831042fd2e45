import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import test, { type TestContext } from "node:test";
import { releaseOf } from "../../src/cli/doctor/brokers.ts";
import type { Finding } from "../../src/cli/doctor/finding.ts";
import { checkDisk, checkNode, checkOpenFiles, openFilesLimit } from "../../src/cli/doctor/host.ts";
import { checkService } from "../../src/cli/doctor/service.ts";
import { judgeTopic } from "../../src/cli/doctor/topics.ts";
import { type Config, loadConfig } from "../../src/config.ts";
import { certificate } from "../support/certificate.ts";
import { FakeAdmin } from "./fake-admin.ts";
import { Files, run } from "./support.ts";

function config(env: Record<string, string>): Config {
  const loaded = loadConfig(env);
  assert.ok(loaded.ok);
  return loaded.config;
}

const levels = (findings: readonly Finding[]) => findings.map(({ level }) => level);

test("whatever is not ok says what to do", () => {
  const findings = [
    checkNode("v20.1.0"),
    checkOpenFiles(1024),
    ...judgeTopic({ name: "t", partitions: [{ leader: -1, replicas: 1, inSync: 0 }], settings: undefined }, 1),
  ];
  for (const { level, remedy } of findings) assert.equal(remedy === undefined, level === "ok");
});

test("an old Node.js is an error", () => {
  assert.equal(checkNode("v24.0.0").level, "ok");
  assert.equal(checkNode("v22.18.0").level, "error");
});

test("a low limit of open files is a warning", () => {
  assert.ok(openFilesLimit() > 0);
  assert.deepEqual(
    [4096, 1024, Infinity].map((limit) => checkOpenFiles(limit).level),
    ["ok", "warning", "ok"],
  );
});

test("a data directory that is not there yet is fine where it can be made", () => {
  using files = new Files();
  const dataDir = `${files.directory}/a/b`;
  assert.equal(checkDisk(config({ DATA_DIR: dataDir }))[0]?.message, `${dataDir} will be made in ${files.directory}`);
  assert.equal(checkDisk(config({ DATA_DIR: files.directory }))[0]?.message, `${files.directory} can be written`);
  const file = files.write("file", "");
  assert.deepEqual(checkDisk(config({ DATA_DIR: file }))[0], {
    level: "error",
    subject: "DATA_DIR",
    message: `${file} is not a directory`,
    remedy: "make the directory and give it to the user that runs the service, or set DATA_DIR",
  });
});

test("a disk with less room than the spool may take is a warning", () => {
  using files = new Files();
  const findings = (spoolBytesMax: string) =>
    checkDisk(config({ DATA_DIR: files.directory, SPOOL_BYTES_MAX: spoolBytesMax })).filter(
      ({ subject }) => subject === "disk",
    );
  assert.deepEqual(levels(findings("64MiB")), ["ok"]);
  assert.deepEqual(levels(findings("64TiB")), ["warning"]);
});

test("which Kafka it is shows in its newest version of Produce", () => {
  assert.deepEqual([13, 12, 11, 10, 9, 8, -1].map(releaseOf), [
    "4.1 or newer",
    "4.0",
    "3.8 or 3.9",
    "3.7",
    "2.8 to 3.6",
    undefined,
    undefined,
  ]);
});

/** Answers these paths as an admin port would. */
async function adminPort(t: TestContext, pages: Record<string, [status: number, body: string]>): Promise<Config> {
  const server: Server = createServer((request, response) => {
    const [status, body] = pages[request.url ?? ""] ?? [404, ""];
    response.writeHead(status).end(body);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return config({ ADMIN_LISTEN: `127.0.0.1:${(server.address() as AddressInfo).port}` });
}

const LEDGER = `
sluice_events_received_total{topic="a",worker="0"} 3
sluice_events_in_flight{topic="a",worker="0"} 3
sluice_events_received_total{topic="a",worker="1"} 1200
sluice_events_stored_total{topic="a",durability="persisted",worker="1"} 1200
sluice_events_spooled{topic="a",worker="1"} 1200
sluice_events_recovered{topic="b",worker="0"} 5
sluice_events_forwarded_total{topic="b",worker="0"} 4
sluice_events_dead_lettered_total{topic="b",worker="0"} 1
sluice_ledger_mismatches{worker="0"} 0
`;

test("a service that is ready and whose ledger agrees is ok, by topic and worker and in sum", async (t) => {
  const { adminListen } = await adminPort(t, {
    "/readyz": [200, '{"ready":true,"problems":[]}'],
    "/metrics": [200, LEDGER],
  });
  const [, ...ledger] = await checkService({ address: adminListen });
  assert.deepEqual(
    ledger.map(({ level, subject, message }) => [level, subject, message]),
    [
      [
        "ok",
        "ledger of a, worker 0",
        "agrees: 3 received = 0 stored + 0 failed + 3 in flight; 0 persisted + 0 recovered = 0 forwarded + 0 dead-lettered + 0 spooled",
      ],
      [
        "ok",
        "ledger of a, worker 1",
        "agrees: 1,200 received = 1,200 stored + 0 failed + 0 in flight; 1,200 persisted + 0 recovered = 0 forwarded + 0 dead-lettered + 1,200 spooled",
      ],
      [
        "ok",
        "ledger of a",
        "agrees: 1,203 received = 1,200 stored + 0 failed + 3 in flight; 1,200 persisted + 0 recovered = 0 forwarded + 0 dead-lettered + 1,200 spooled",
      ],
      [
        "ok",
        "ledger of b",
        "agrees: 0 received = 0 stored + 0 failed + 0 in flight; 0 persisted + 5 recovered = 4 forwarded + 1 dead-lettered + 0 spooled",
      ],
      [
        "ok",
        "ledger",
        "agrees: 1,203 received = 1,200 stored + 0 failed + 3 in flight; 1,200 persisted + 5 recovered = 4 forwarded + 1 dead-lettered + 1,200 spooled",
      ],
    ],
  );
});

test("two workers that are wrong in opposite ways are found, though the sum agrees", async (t) => {
  const metrics = `
sluice_events_received_total{topic="a",worker="0"} 3
sluice_events_received_total{topic="a",worker="1"} 3
sluice_events_stored_total{topic="a",durability="replicated",worker="0"} 2
sluice_events_stored_total{topic="a",durability="replicated",worker="1"} 4
`;
  const { adminListen } = await adminPort(t, { "/readyz": [200, "{}"], "/metrics": [200, metrics] });
  assert.deepEqual(levels(await checkService({ address: adminListen })), ["ok", "error", "error", "ok", "ok"]);
});

test("what a ready service says is wrong, and what it finds in its own books, is told", async (t) => {
  const problems = [{ worker: "0", reason: "the ledger of a does not agree: spooled 4 is not the 3 events" }];
  const metrics = 'sluice_ledger_mismatches{worker="0"} 1\nsluice_ledger_mismatches{worker="supervisor"} 0\n';
  const { adminListen } = await adminPort(t, {
    "/readyz": [200, JSON.stringify({ ready: true, problems })],
    "/metrics": [200, metrics],
  });
  const findings = await checkService({ address: adminListen });
  assert.deepEqual(levels(findings), ["ok", "warning", "ok", "error"]);
  assert.equal(findings[1]?.message, "worker 0: the ledger of a does not agree: spooled 4 is not the 3 events");
  assert.equal(findings[3]?.message, "worker 0 finds 1 mismatch in its books");
});

test("what is wrong with a service that is ready is a warning, and so is a spool that is nearly full", async (t) => {
  const problems = [{ worker: "1", reason: "spooled batches of topic t wait: there is no such topic" }];
  const metrics = [
    'sluice_spool_bytes{worker="0"} 799',
    'sluice_spool_bytes{worker="1"} 800',
    'sluice_spool_bytes_limit{worker="0"} 1000',
    'sluice_spool_bytes_limit{worker="1"} 1000',
  ];
  const { adminListen } = await adminPort(t, {
    "/readyz": [200, JSON.stringify({ ready: true, problems })],
    "/metrics": [200, `${metrics.join("\n")}\n`],
  });
  const findings = await checkService({ address: adminListen });
  assert.deepEqual(
    findings.slice(1).map(({ level, subject, message }) => [level, subject, message]),
    [
      ["warning", "service", "worker 1: spooled batches of topic t wait: there is no such topic"],
      ["warning", "spool", "worker 1: 800 B of 1000 B are taken; a full spool refuses PERSISTED batches"],
      [
        "ok",
        "ledger",
        "agrees: 0 received = 0 stored + 0 failed + 0 in flight; 0 persisted + 0 recovered = 0 forwarded + 0 dead-lettered + 0 spooled",
      ],
    ],
  );
  assert.equal(findings[0]?.level, "ok");
});

test("a service that is not ready says why, and a ledger that does not agree is an error", async (t) => {
  const problems = [{ reason: "draining" }, { worker: "1", reason: "no broker answers" }];
  const { adminListen } = await adminPort(t, {
    "/readyz": [503, JSON.stringify({ ready: false, problems })],
    "/metrics": [200, 'sluice_events_received_total{topic="a"} 3\n'],
  });
  const findings = await checkService({ address: adminListen });
  assert.deepEqual(
    findings.map(({ level, subject, message }) => [level, subject, message]),
    [
      ["error", "service", "not ready: draining; worker 1: no broker answers"],
      ["error", "ledger of a", "received 3 is not stored 0 + failed 0 + in flight 0"],
      ["error", "ledger", "received 3 is not stored 0 + failed 0 + in flight 0"],
    ],
  );
});

test("that no service runs is no mistake", async (t) => {
  const { adminListen } = await adminPort(t, {});
  const { host } = adminListen;
  // The port of a server that is gone.
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  const [finding] = await checkService({ address: { host, port } });
  assert.equal(finding?.level, "ok");
});

/** What the doctor says of the service. */
async function ofService(env: Record<string, string>, ...args: string[]): Promise<Finding[]> {
  using files = new Files();
  const { stdout } = await run(["doctor", "--json", "--watch", "100ms", ...args], {
    env: { DATA_DIR: files.directory, ...env },
  });
  return (JSON.parse(stdout) as Finding[]).filter(({ subject }) => subject === "service");
}

test("a service that speaks TLS is looked at over TLS, with the token, and known by its certificate", async () => {
  using files = new Files();
  const [own, other] = [certificate(), certificate()];
  const [certFile, keyFile] = [files.write("cert.pem", own.cert), files.write("key.pem", own.key)];
  const [otherFile, otherKey] = [files.write("other.pem", other.cert), files.write("other.key", other.key)];
  await using admin = await FakeAdmin.start(() => ({ body: "{}" }), own);
  const { ADMIN_LISTEN = "" } = admin.env;
  const token = "0123456789abcdef-token";
  const env = { ADMIN_LISTEN, ADMIN_TOKEN: token, ADMIN_TLS_CERT_FILE: certFile, ADMIN_TLS_KEY_FILE: keyFile };
  assert.deepEqual(await ofService(env), [
    { check: "service", level: "ok", subject: "service", message: `ready at ${ADMIN_LISTEN}` },
  ]);
  assert.deepEqual(
    admin.asked.map(({ path, headers }) => `${path} ${headers.authorization}`).toSorted(),
    // The metrics once for what is so, twice for what changes.
    ["/debug/live?seconds=0", "/metrics", "/metrics", "/metrics", "/readyz"].map((path) => `${path} Bearer ${token}`),
  );
  const there = ["--admin", ADMIN_LISTEN, "--tls-ca", certFile];
  assert.deepEqual(levels(await ofService({ ADMIN_LISTEN: "127.0.0.1:0" }, ...there)), ["ok"]);

  const [stranger] = await ofService({ ...env, ADMIN_TLS_CERT_FILE: otherFile, ADMIN_TLS_KEY_FILE: otherKey });
  assert.equal(stranger?.level, "warning");
  assert.equal(
    stranger.message,
    `${ADMIN_LISTEN} cannot be asked: its certificate is not the one in ADMIN_TLS_CERT_FILE`,
  );
  assert.match(stranger.remedy ?? "", /^give the service's ADMIN_TLS_CERT_FILE, /);
  const [plain] = await ofService({ ADMIN_LISTEN });
  assert.equal(plain?.level, "warning");
  assert.match(plain.message, /may speak TLS$/);
  assert.match(plain.remedy ?? "", /^give --tls-ca FILE, /);
  const [unread] = await ofService({ ADMIN_LISTEN }, "--tls-ca", `${certFile}x`);
  assert.equal(unread?.level, "error");
  assert.match(unread.message, /^--tls-ca: .*x cannot be read/);
});

test("a service that lets nobody in, and one that --admin names and that is not there, are warnings", async () => {
  await using admin = await FakeAdmin.start(() => ({ status: 403, body: "for its own host only\n" }));
  const { ADMIN_LISTEN = "" } = admin.env;
  assert.deepEqual(await ofService({ ADMIN_LISTEN }), [
    {
      check: "service",
      level: "warning",
      subject: "service",
      message: `${ADMIN_LISTEN} does not let in (403): for its own host only`,
      remedy: "give its token with ADMIN_TOKEN or --token-file, or a client certificate with --tls-cert and --tls-key",
    },
  ]);
  assert.deepEqual(levels(await ofService({ ADMIN_LISTEN }, "--admin", "127.0.0.1:4")), ["warning"]);
});

test("the findings are a table or JSON, and an error makes the exit code 1", async () => {
  using files = new Files();
  const env = { DATA_DIR: files.directory, ADMIN_LISTEN: "127.0.0.1:0" };
  const good = await run(["doctor"], { env });
  assert.equal(good.code, 0, good.stdout);
  assert.match(good.stdout, /^ok +configuration +gRPC on 127\.0\.0\.1:50051, \d+ workers?, no Kafka/m);
  const bad = await run(["doctor", "--json", "--topic", "t"], { env });
  assert.equal(bad.code, 1);
  const findings = JSON.parse(bad.stdout) as Finding[];
  assert.deepEqual(
    findings.find(({ subject }) => subject === "topic t"),
    {
      check: "topic",
      level: "error",
      subject: "topic t",
      message: "cannot be looked at: KAFKA_BROKERS is not set",
      remedy: "set KAFKA_BROKERS",
    },
  );
});

test("warnings leave the exit code 0, unless --strict is given", async () => {
  using files = new Files();
  // A spool that is larger than any disk is a warning everywhere.
  const env = { DATA_DIR: files.directory, ADMIN_LISTEN: "127.0.0.1:0", SPOOL_BYTES_MAX: "64TiB" };
  const lenient = await run(["doctor"], { env });
  assert.match(lenient.stdout, /^warning +disk/m);
  assert.equal(lenient.code, 0);
  assert.equal((await run(["doctor", "--strict"], { env })).code, 1);
});

test("a finding in JSON has the fields that are documented, and no others", async () => {
  using files = new Files();
  const env = { DATA_DIR: files.directory, ADMIN_LISTEN: "127.0.0.1:0", SPOOL_BYTES_MAX: "64TiB", WORKERS: "512" };
  const { stdout } = await run(["doctor", "--json", "--topic", "t"], { env });
  const findings = JSON.parse(stdout) as Record<string, unknown>[];
  for (const finding of findings) {
    for (const [key, value] of Object.entries(finding)) {
      assert.ok(["check", "level", "subject", "message", "why", "remedy"].includes(key), key);
      assert.equal(typeof value, "string");
    }
    for (const key of ["check", "level", "subject", "message"]) assert.ok(key in finding, key);
    assert.equal("remedy" in finding, finding["level"] !== "ok");
  }
  const found = findings.filter(({ level }) => level !== "ok").map(({ check }) => check);
  for (const check of ["disk", "topic", "workers-over-cores"]) assert.ok(found.includes(check), check);
});

test("what several admin ports say is told by port", async () => {
  using files = new Files();
  await using one = await FakeAdmin.start(() => ({ body: "{}" }));
  await using two = await FakeAdmin.start(() => ({ status: 503, body: "{}" }));
  const addresses = [one, two].map(({ env: { ADMIN_LISTEN = "" } }) => ADMIN_LISTEN);
  const { code, stdout } = await run(
    ["doctor", "--json", "--watch", "100ms", ...addresses.flatMap((address) => ["--admin", address])],
    { env: { DATA_DIR: files.directory } },
  );
  assert.equal(code, 1);
  const findings = JSON.parse(stdout) as Finding[];
  assert.deepEqual(
    findings.filter(({ subject }) => subject.endsWith(" service")).map(({ level, subject }) => [level, subject]),
    [
      ["ok", `${addresses[0]} service`],
      ["error", `${addresses[1]} service`],
    ],
  );
});

test("a wrong configuration is found like everything else", async () => {
  const { code, stdout } = await run(["doctor"], { env: { WORKERS: "0" } });
  assert.equal(code, 1);
  assert.match(stdout, /^error +configuration +WORKERS: "0" is not right; give a whole number from 1 to 512$/m);
  assert.match(stdout, /^1 error, \d+ warnings?$/m);
});

test("a broker that does not answer is an error that says what to check", async () => {
  using files = new Files();
  const env = {
    DATA_DIR: files.directory,
    ADMIN_LISTEN: "127.0.0.1:0",
    KAFKA_BROKERS: "127.0.0.1:1",
    KAFKA_CONNECT_TIMEOUT: "1s",
  };
  const { code, stdout } = await run(["doctor", "--topic", "t"], { env });
  assert.equal(code, 1);
  assert.match(stdout, /^error +broker 127\.0\.0\.1:1 +cannot be used: connect ECONNREFUSED 127\.0\.0\.1:1$/m);
  assert.doesNotMatch(stdout, /topic t/);
});
