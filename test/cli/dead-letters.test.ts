import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import test from "node:test";
import { type AdminServerOptions, AdminServer } from "../../src/admin/server.ts";
import { checkDeadLetters } from "../../src/cli/doctor/dead-letters.ts";
import { Code, IngestError, Reason } from "../../src/errors.ts";
import { systemClock } from "../../src/clock.ts";
import { DeadLetters } from "../../src/spool/dead-letters.ts";
import { nodeFileSystem } from "../../src/spool/file-system.ts";
import type { DeadLetter } from "../../src/spool/letter.ts";
import { readSpool } from "../../src/spool/reader.ts";
import { dropFromSlots } from "../../src/supervisor/dead-letters.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { encodeRecordBatch } from "../../src/wire/encode-records.ts";
import { decodeRecords, type Record as KafkaRecord } from "../../src/wire/record-batch.ts";
import { noLive } from "../admin/no-live.ts";
import { noIncidents } from "../incidents/support.ts";
import { certificate } from "../support/certificate.ts";
import { startInProcess } from "../support/in-process.ts";
import { FakeAdmin } from "./fake-admin.ts";
import { Files, run } from "./support.ts";

const AT = Date.UTC(2026, 0, 2, 3, 4, 5);

const recordOf = (n: number): KafkaRecord => ({
  timestamp: AT + n,
  key: n === 2 ? null : Buffer.from(`key ${n}`),
  value: n === 3 ? null : Buffer.from(`{"n": ${n}}`),
  headers: [{ key: "h", value: Buffer.from([n]) }],
});

const BATCH = encodeRecordBatch(Array.from({ length: 5 }, (_, n) => recordOf(n)));

function letterOf(options: Partial<DeadLetter> = {}): DeadLetter {
  return {
    atMs: AT,
    persistedAtMs: AT - 60_000,
    spoolId: Buffer.alloc(16, 0xab),
    batch: 5,
    topic: "clicks",
    partition: 2,
    ranges: [{ first: 1, count: 3 }],
    events: 3,
    count: 5,
    reason: Reason.TOO_LARGE,
    message: "too\n\x1b[2Jlarge",
    bytes: BATCH,
    ...options,
  };
}

/** Writes letters as the worker does. */
async function write(dataDir: string, worker: number, ...letters: DeadLetter[]): Promise<void> {
  const dir = join(dataDir, "dead-letters", `worker-${worker}`);
  const dependencies = { log: silentLogger(), metrics: createMetrics(), clock: systemClock, fs: nodeFileSystem };
  const log = new DeadLetters(dependencies, { dir, segmentBytes: 1e6 });
  await log.start();
  for (const letter of letters) await log.append(letter);
  await log.drain();
  await log.dispose();
}

const THREE = [letterOf(), letterOf({ topic: "orders", partition: -1, atMs: AT + 2 })];

async function withLetters(): Promise<{ files: Files; env: Record<string, string>; [Symbol.dispose](): void }> {
  const files = new Files();
  await write(files.directory, 0, ...THREE);
  await write(files.directory, 3, letterOf({ reason: Reason.REJECTED, atMs: AT + 1, message: "no" }));
  const env = {
    DATA_DIR: files.directory,
    LOG_LEVEL: "silent",
    ADMIN_LISTEN: "127.0.0.1:0",
    GRPC_LISTEN: "127.0.0.1:0",
  };
  return { files, env, [Symbol.dispose]: () => files[Symbol.dispose]() };
}

async function ids(env: Record<string, string>): Promise<string[]> {
  const { stdout } = await run(["dead-letters", "list", "--json"], { env });
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => (JSON.parse(line) as { id: string }).id);
}

test("letters are listed over all workers, oldest first, with totals, and text that is safe to print", async () => {
  using letters = await withLetters();
  const { env } = letters;
  assert.deepEqual(await run(["dead-letters", "list"], { env }), {
    code: 0,
    stderr: "",
    stdout: `${[
      "ID   REFUSED AT (UTC)     TOPIC/PARTITION  EVENTS  REASON     MESSAGE",
      "0-1  2026-01-02 03:04:05  clicks/2         3       too_large  too [2Jlarge",
      "3-1  2026-01-02 03:04:05  clicks/2         3       rejected   no",
      "0-2  2026-01-02 03:04:05  orders           3       too_large  too [2Jlarge",
      "",
      `3 letters, 9 events, ${BATCH.length * 3} B`,
      "  clicks  6 events",
      "  orders  3 events",
    ].join("\n")}\n`,
  });
  const limited = await run(["dead-letters", "list", "--topic", "clicks", "--limit", "1"], { env });
  assert.match(limited.stdout, /\n\.\.\. and 1 more letter; --limit shows more\n\n2 letters, 6 events/);
  const rejected = await run(["dead-letters", "list", "--reason", "rejected", "--json"], { env });
  assert.deepEqual(JSON.parse(rejected.stdout), {
    id: "3-1",
    refusedAt: "2026-01-02T03:04:05.001Z",
    persistedAt: "2026-01-02T03:03:05.000Z",
    topic: "clicks",
    partition: 2,
    events: 3,
    reason: "rejected",
    message: "no",
    spool: "ab".repeat(16),
    batch: 5,
    ranges: [{ first: 1, count: 3 }],
    batchEvents: 5,
    batchBytes: BATCH.length,
  });
});

test("where nothing lies, nothing is listed; where there is no directory, that is said", async () => {
  using files = new Files();
  const env = { DATA_DIR: files.directory };
  assert.deepEqual(await run(["dead-letters", "list"], { env }), { code: 0, stdout: "no dead letters\n", stderr: "" });
  assert.deepEqual(await run(["dead-letters", "drop", "--all", "--yes"], { env }), {
    code: 0,
    stdout: "no dead letters\n",
    stderr: "",
  });
  const gone = await run(["dead-letters", "list"], { env: { DATA_DIR: `${files.directory}/none` } });
  assert.deepEqual([gone.code, gone.stdout], [1, ""]);
  assert.match(gone.stderr, /^sluice dead-letters: DATA_DIR: there is no directory .*\n$/);
});

test("a letter is shown with everything about it and its refused events, and its record batch as it was", async () => {
  using letters = await withLetters();
  const { env, files } = letters;
  const shown = await run(["dead-letters", "show", "0-1", "--json-values"], { env });
  assert.equal(shown.code, 0);
  assert.match(shown.stdout, /^record batch +\d+ B, events 1-3 \(from 0\) of its 5$/m);
  assert.match(shown.stdout, /^origin +batch 5 of spool (ab){16}$/m);
  const events = shown.stdout
    .split("\n\n")[1]!
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
  assert.deepEqual(events, [
    {
      topic: "clicks",
      partition: 2,
      timestamp: "2026-01-02T03:04:05.001Z",
      key: "key 1",
      value: { n: 1 },
      headers: [{ key: "h", value: "\u0001" }],
    },
    {
      topic: "clicks",
      partition: 2,
      timestamp: "2026-01-02T03:04:05.002Z",
      key: null,
      value: { n: 2 },
      headers: [{ key: "h", value: "\u0002" }],
    },
    {
      topic: "clicks",
      partition: 2,
      timestamp: "2026-01-02T03:04:05.003Z",
      key: "key 3",
      value: null,
      headers: [{ key: "h", value: "\u0003" }],
    },
  ]);
  const json = await run(["dead-letters", "show", "0-1", "--json"], { env });
  assert.equal(
    json.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown).length,
    4,
  );
  const file = `${files.directory}/batch.bin`;
  assert.equal((await run(["dead-letters", "show", "0-1", "--raw", file], { env })).code, 0);
  assert.deepEqual(readFileSync(file), BATCH);
});

test("a letter whose bytes are damaged says so, and gives what there is", async () => {
  using files = new Files();
  await write(files.directory, 0, letterOf({ bytes: BATCH.subarray(0, 80) }), letterOf({ bytes: Buffer.alloc(0) }));
  const env = { DATA_DIR: files.directory };
  const damaged = await run(["dead-letters", "show", "0-1"], { env });
  assert.equal(damaged.code, 1);
  assert.match(
    damaged.stderr,
    /^sluice dead-letters: the record batch cannot be read: .*; --raw FILE writes what there is/,
  );
  const empty = await run(["dead-letters", "show", "0-2"], { env });
  assert.match(empty.stderr, /nothing of the events was readable/);
  const file = `${files.directory}/batch.bin`;
  await run(["dead-letters", "show", "0-1", "--raw", file], { env });
  assert.equal(readFileSync(file).length, 80);
});

test("a mistake in what is meant is one line, and nothing is done", async () => {
  using letters = await withLetters();
  const { env } = letters;
  const mistakes = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(["dead-letters", ...args], { env });
    assert.deepEqual([code, stdout], [2, ""], args.join(" "));
    return stderr.trimEnd().split("\n");
  };
  assert.deepEqual(await mistakes(), ["sluice dead-letters: a command is missing; give list, show, retry, drop"]);
  assert.deepEqual(await mistakes("lsit"), [
    'sluice dead-letters: "lsit" is not a command; give list, show, retry, drop',
  ]);
  assert.deepEqual(await mistakes("show"), ["sluice dead-letters show: give the id of one letter"]);
  assert.deepEqual(await mistakes("drop", "17", "--yes"), [
    'sluice dead-letters drop: "17" is not the id of a dead letter; give one as `sluice dead-letters list` shows it',
  ]);
  assert.deepEqual(await mistakes("retry"), ["sluice dead-letters retry: which letters? Give their ids, or --all"]);
  assert.deepEqual(await mistakes("drop", "0-1", "--all", "--yes"), [
    "sluice dead-letters drop: --all: ids are given as well; give one or the other",
  ]);
  assert.deepEqual(await mistakes("retry", "0-1", "--topic", "clicks"), [
    "sluice dead-letters retry: --topic and --reason narrow --all down; give them without ids",
  ]);
  assert.deepEqual(await mistakes("retry", "0-1", "--to-topic", "a b"), [
    'sluice dead-letters retry: --to-topic: "a b" is not right; give the name of a topic: 1 to 249 of a-z, A-Z, 0-9, ".", "_" and "-"',
  ]);
  const unknown = await run(["dead-letters", "drop", "0-1", "0-9", "7-1", "--yes"], { env });
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /^sluice dead-letters: there is no dead letter 0-9, 7-1; .*\n$/);
  assert.deepEqual(await ids(env), ["0-1", "3-1", "0-2"]);
});

test("help tells of each of the commands", async () => {
  const { stdout } = await run(["dead-letters", "--help"]);
  for (const name of ["list", "show", "retry", "drop"]) {
    assert.match(stdout, new RegExp(`^  ${name} +\\S`, "m"));
    const own = await run(["dead-letters", name, "--help"]);
    assert.match(own.stdout, new RegExp(`^Usage: sluice dead-letters ${name} `, "m"));
    assert.deepEqual(await run(["help", "dead-letters", name]), own);
    for (const line of own.stdout.split("\n")) assert.ok(line.length <= 100, line);
  }
});

test("without a terminal letters are dropped with --yes only", async () => {
  using letters = await withLetters();
  const { env } = letters;
  assert.deepEqual(await run(["dead-letters", "drop", "--all"], { env, stdin: "9\n" }), {
    code: 2,
    stdout: "",
    stderr: "sluice dead-letters drop: --yes: missing; there is no terminal to ask on, and dropped events are lost\n",
  });
  assert.deepEqual(await run(["dead-letters", "drop", "--all", "--topic", "clicks", "--yes"], { env }), {
    code: 0,
    stdout: "dropped 2 letters, 6 events\n",
    stderr: "",
  });
  assert.deepEqual(await ids(env), ["0-2"]);
});

/** A terminal at which somebody types these lines, or goes away. */
function terminal(typed: string | undefined) {
  const input = Object.assign(new PassThrough(), { isTTY: true });
  if (typed === undefined) input.end();
  else input.write(`${typed}\n`);
  return input;
}

test("on a terminal the number of events has to be typed; anything else drops nothing", async () => {
  using letters = await withLetters();
  const { env } = letters;
  for (const typed of ["y", "", "3", undefined]) {
    const { code, stdout, stderr } = await run(["dead-letters", "drop", "0-1", "3-1"], { env, stdin: terminal(typed) });
    assert.deepEqual([code, stdout], [1, ""], typed);
    assert.match(
      stderr,
      /This drops 2 letters with 6 events for good:\n  clicks  6 events\nType 6, .*nothing was dropped\n$/,
    );
  }
  const signal = AbortSignal.timeout(50);
  const waiting = Object.assign(new PassThrough(), { isTTY: true });
  assert.equal((await run(["dead-letters", "drop", "0-1"], { env, stdin: waiting, signal })).code, 1);
  assert.equal((await ids(env)).length, 3);
  const agreed = await run(["dead-letters", "drop", "0-1", "3-1"], { env, stdin: terminal("6") });
  assert.deepEqual([agreed.code, agreed.stdout], [0, "dropped 2 letters, 6 events\n"]);
  assert.deepEqual(await ids(env), ["0-2"]);
});

/** A service without brokers that holds the logs, with an admin port that can drop. */
async function startHolder(dataDir: string, access: Pick<AdminServerOptions, "tls" | "token"> = {}) {
  const inProcess = await startInProcess({ DATA_DIR: dataDir });
  const { service, address } = inProcess;
  const asked: string[] = [];
  let problem: Error | undefined;
  const slot: Parameters<typeof dropFromSlots>[0][number] = {
    name: "0",
    dropLetters: async (request) => {
      asked.push(...request.letters);
      if (problem !== undefined && request.letters.length > 0) throw problem;
      return service.dropDeadLetters(request);
    },
  };
  const admin = new AdminServer(
    {
      renderMetrics: async () => ({ contentType: "text/plain", body: "" }),
      readiness: () => ({ ready: true, problems: [] }),
      ledger: () => new Map(),
      profiled: [],
      commandLine: [],
      profile: () => Promise.reject(new Error("nothing is profiled")),
      inspect: async () => [],
      dropLetters: (drop) => dropFromSlots([slot], drop),
      ...noIncidents,
      ...noLive,
    },
    { host: "127.0.0.1", port: 0, ...access },
  );
  const { port } = await admin.start();
  return {
    service,
    asked,
    env: {
      DATA_DIR: dataDir,
      WORKERS: "1",
      LOG_LEVEL: "silent",
      ADMIN_LISTEN: `127.0.0.1:${port}`,
      GRPC_LISTEN: `127.0.0.1:${address.port}`,
    },
    failDrops: (error: Error | undefined) => (problem = error),
    [Symbol.asyncDispose]: async () => {
      await admin.dispose();
      await inProcess[Symbol.asyncDispose]();
    },
  };
}

async function spooled(dataDir: string, topic: string) {
  const found = [];
  for await (const { bytes, partition } of readSpool({ dataDir, topic }))
    found.push(...Array.from(decodeRecords(bytes), (record) => ({ ...record, partition })));
  return found;
}

test("beside a service it is the service that drops, also from logs of workers that are gone", async () => {
  using letters = await withLetters();
  await using holder = await startHolder(letters.files.directory);
  const { env, service } = holder;
  assert.match(service.health().problems.join(), /9 events lie in the dead-letter log/);
  const { code, stdout } = await run(["dead-letters", "drop", "0-2", "3-1", "--yes"], { env });
  assert.deepEqual([code, stdout], [0, "dropped 2 letters, 6 events\n"]);
  assert.deepEqual(holder.asked.sort(), ["0-2", "3-1"]);
  assert.deepEqual(await ids(env), ["0-1"]);
  assert.equal(service.metrics.deadLetters.with("clicks").value, 3);
});

test("a service that cannot be asked, or is another one, drops nothing and is one line", async () => {
  using letters = await withLetters();
  using other = await withLetters();
  await using holder = await startHolder(letters.files.directory);
  await using stranger = await startHolder(other.files.directory);
  const drop = (env: Record<string, string>) => run(["dead-letters", "drop", "0-1", "--yes"], { env });
  const any = await drop({ ...holder.env, ADMIN_LISTEN: "127.0.0.1:0" });
  assert.match(
    any.stderr,
    /^sluice dead-letters: a service holds the dead-letter log, and ADMIN_LISTEN says port 0.*--admin\n$/,
  );
  const strange = await drop({ ...holder.env, ADMIN_LISTEN: stranger.env.ADMIN_LISTEN });
  assert.equal(strange.code, 1);
  assert.match(strange.stderr, /the dead-letter log of worker 0 is another one here/);
  const { port } = new URL(`http://${holder.env.ADMIN_LISTEN}`);
  const nobody = await run(["dead-letters", "retry", "0-1", "--admin", "127.0.0.1:4"], { env: holder.env });
  assert.match(nobody.stderr, /its admin port at 127.0.0.1:4 cannot be asked/);
  assert.notEqual(port, "4");
  assert.equal((await ids(holder.env)).length, 3);
  assert.equal((await ids(stranger.env)).length, 3);
  assert.deepEqual(await spooled(letters.files.directory, "clicks"), [], "nothing is published that cannot be dropped");
});

test("a service whose admin port speaks TLS is asked with it, and known by its certificate or by who signed it", async () => {
  using letters = await withLetters();
  const { files } = letters;
  const [own, other] = [certificate(), certificate()];
  const [certFile, keyFile] = [files.write("cert.pem", own.cert), files.write("key.pem", own.key)];
  const otherFile = files.write("other.pem", other.cert);
  await using holder = await startHolder(files.directory, { tls: { ...own, clientCa: undefined } });
  const env = { ...holder.env, ADMIN_TLS_CERT_FILE: certFile, ADMIN_TLS_KEY_FILE: keyFile };
  const failed = async (args: readonly string[], given: Record<string, string>) => {
    const { code, stdout, stderr } = await run(["dead-letters", ...args], { env: given });
    assert.deepEqual([code, stdout, stderr.trimEnd().split("\n").length], [1, "", 1]);
    return stderr;
  };
  assert.match(
    await failed(["drop", "0-1", "--yes"], { ...env, ADMIN_TLS_CERT_FILE: otherFile }),
    /^sluice dead-letters: a service holds the dead-letter log, and its admin port at .* cannot be asked \(its certificate is not the one in ADMIN_TLS_CERT_FILE\); give the service's ADMIN_TLS_CERT_FILE, or who signed it with --tls-ca; /,
  );
  assert.match(await failed(["drop", "0-1", "--yes"], holder.env), /so it may speak TLS\); give --tls-ca FILE, /);
  assert.match(await failed(["retry", "0-1"], holder.env), /so it may speak TLS\); give --admin-tls-ca FILE, /);
  assert.deepEqual(holder.asked, []);

  assert.equal((await run(["dead-letters", "drop", "0-1", "--yes"], { env })).code, 0);
  assert.equal(
    (await run(["dead-letters", "drop", "3-1", "--yes", "--tls-ca", certFile], { env: holder.env })).code,
    0,
  );
  // --tls-ca of a retry is the gRPC port's, which speaks plaintext here.
  const retried = await run(["dead-letters", "retry", "0-2", "--admin-tls-ca", certFile], { env: holder.env });
  assert.deepEqual([retried.code, retried.stderr], [0, ""]);
  assert.deepEqual(await ids(env), []);
});

test("an admin port that wants credentials gets the token, and says what to give without it", async () => {
  using letters = await withLetters();
  const { files } = letters;
  const token = "0123456789abcdef-token";
  await using holder = await startHolder(files.directory);
  await using guard = await FakeAdmin.start(() => ({ status: 403, body: "give the token of ADMIN_TOKEN\n" }));
  const env = { ...holder.env, ...guard.env };
  const refused = await run(["dead-letters", "drop", "0-1", "--yes"], { env });
  assert.equal(refused.code, 1);
  assert.equal(
    refused.stderr,
    `sluice dead-letters: the service at ${guard.env["ADMIN_LISTEN"]} does not drop dead letters (403): give the token of ADMIN_TOKEN; give its token with ADMIN_TOKEN or --token-file, or a client certificate with --tls-cert and --tls-key\n`,
  );
  const retried = await run(["dead-letters", "retry", "0-1", "--token-file", files.write("token", token)], { env });
  assert.match(retried.stderr, /--token-file, or a client certificate with --admin-tls-cert and --admin-tls-key\n$/);
  assert.deepEqual(
    guard.asked.map(({ method, path, headers }) => [method, path, headers["content-type"], headers.authorization]),
    [undefined, `Bearer ${token}`].map((given) => ["POST", "/dead-letters/drop", "application/json", given]),
  );
});

test("what the admin port would want is not looked at where no service runs", async () => {
  using letters = await withLetters();
  const env = { ...letters.env, ADMIN_TLS_CERT_FILE: "/no.pem", ADMIN_TLS_KEY_FILE: "/no.key" };
  assert.equal((await run(["dead-letters", "drop", "0-1", "--yes"], { env })).code, 0);
});

test("a retry publishes the refused events as they were, and drops the letters that are stored", async () => {
  using letters = await withLetters();
  const { directory } = letters.files;
  await write(directory, 3, letterOf({ bytes: BATCH.subarray(0, 70), atMs: AT + 5 }));
  await using holder = await startHolder(directory);
  const { env } = holder;
  const { code, stdout, stderr } = await run(["dead-letters", "retry", "0-1", "0-2", "3-2"], { env });
  assert.equal(stderr, "");
  assert.match(stdout, /^0-1 +clicks\/2 +3 +stored, and dropped here$/m);
  assert.match(stdout, /^0-2 +orders +3 +stored, and dropped here$/m);
  assert.match(stdout, /^3-2 +clicks\/2 +3 +failed: the record batch cannot be read/m);
  assert.match(stdout, /\n2 letters stored \(6 events\), 1 left\n$/);
  assert.equal(code, 1);
  assert.deepEqual(await ids(env), ["3-1", "3-2"]);
  assert.deepEqual(
    await spooled(directory, "clicks"),
    [1, 2, 3].map((n) => ({ ...recordOf(n), partition: 2 })),
  );
  assert.deepEqual(
    await spooled(directory, "orders"),
    [1, 2, 3].map((n) => ({ ...recordOf(n), partition: -1 })),
  );
  assert.equal(holder.service.metrics.deadLettersRetried.with("clicks").value, 3);
  const moved = await run(["dead-letters", "retry", "--all", "--reason", "rejected", "--to-topic", "other"], { env });
  assert.equal(moved.code, 0);
  assert.deepEqual(
    await spooled(directory, "other"),
    [1, 2, 3].map((n) => ({ ...recordOf(n), partition: -1 })),
  );
});

test("letters of a service that cannot store stay, and the rest is not tried when all would fail alike", async () => {
  using letters = await withLetters();
  await using holder = await startHolder(letters.files.directory);
  const { env } = holder;
  const { code, stdout } = await run(["dead-letters", "retry", "--all", "--durability", "replicated"], { env });
  assert.equal(code, 1);
  assert.match(stdout, /^0-1 .* failed: FAILED_PRECONDITION: /m);
  assert.equal(stdout.match(/not tried: every letter would fail/g)?.length, 2);
  assert.equal((await ids(env)).length, 3);
  const nobody = await run(["dead-letters", "retry", "--all", "--address", "127.0.0.1:1"], { env });
  assert.match(nobody.stderr, /^sluice dead-letters: nothing answers at 127.0.0.1:1; .*\n$/);
});

test("a letter that was stored and cannot be dropped is told of: a retry would store it twice", async () => {
  using letters = await withLetters();
  await using holder = await startHolder(letters.files.directory);
  const { env } = holder;
  holder.failDrops(new IngestError(Code.UNAVAILABLE, "the disk is gone"));
  const { code, stdout } = await run(["dead-letters", "retry", "0-1"], { env });
  assert.equal(code, 1);
  assert.match(
    stdout,
    /^0-1 .* stored, but still here: worker 0: the disk is gone; drop it, a retry stores it twice$/m,
  );
  holder.failDrops(undefined);
  assert.equal((await run(["dead-letters", "retry", "0-1"], { env })).code, 0);
  assert.equal((await spooled(letters.files.directory, "clicks")).length, 6);
});

test("the doctor tells of letters that lie there", async () => {
  using letters = await withLetters();
  const [finding] = await checkDeadLetters(letters.files.directory);
  assert.equal(finding?.level, "warning");
  assert.equal(finding.message, "9 events lie in the dead-letter log, because Kafka refused them for good");
  assert.match(finding.remedy!, /`sluice dead-letters list`/);
  using files = new Files();
  assert.deepEqual(
    (await checkDeadLetters(files.directory)).map(({ level }) => level),
    ["ok"],
  );
  assert.deepEqual(await checkDeadLetters(`${files.directory}/none`), []);
});
