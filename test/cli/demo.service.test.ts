// `npm run demo` as its users see it, on free ports.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import test from "node:test";
import { Files } from "./support.ts";

const DEMO = join(import.meta.dirname, "../../scripts/demo.ts");
const TIMEOUT_MS = 120_000;
const NO_PROC = process.platform === "linux" ? false : "there is no /proc";

interface Demo {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param interruptAt sends SIGINT when it has printed this. */
async function demo(env: Record<string, string>, args: readonly string[], interruptAt?: string): Promise<Demo> {
  const child = spawn(process.execPath, [DEMO, ...args], {
    env: {
      ...process.env,
      NODE_TEST_CONTEXT: undefined,
      GRPC_LISTEN: "127.0.0.1:0",
      ADMIN_LISTEN: "127.0.0.1:0",
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const timer = setTimeout(() => child.kill("SIGTERM"), TIMEOUT_MS);
  let stdout = "";
  let stderr = "";
  let interrupted = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    if (interrupted || interruptAt === undefined || !stdout.includes(interruptAt)) return;
    interrupted = true;
    child.kill("SIGINT");
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [code] = (await once(child, "close")) as [number | null];
  clearTimeout(timer);
  return { code, stdout, stderr };
}

test("the demo shows its way from send to ledger to tail, and ends by itself", { timeout: TIMEOUT_MS }, async () => {
  using files = new Files();
  const { code, stdout, stderr } = await demo({ DATA_DIR: files.directory, WORKERS: "2" }, ["--exit"]);
  assert.equal(code, 0, stdout + stderr);
  assert.equal(stderr, "");
  assert.match(stdout, /^ {2}sent +20,000 events in 40 batches, /m);
  assert.match(stdout, /^ {2}stored +20,000 \(PERSISTED\)$/m);
  assert.match(stdout, /^ {2}flights +20,000 +20,000 +20,000 +0 +0 +20,000 +0 +0 +20,000$/m);
  assert.match(stdout, /^ {2}agrees: received = stored \+ failed \+ in flight/m);
  const [first] = /^\{"topic":"flights".*$/m.exec(stdout) ?? [];
  assert.deepEqual((JSON.parse(first!) as { key: string }).key.length, 3);
  assert.match(stdout, /^The service has settled everything and ended\.$/m);
  assert.deepEqual(readdirSync(files.directory), [], "the data is gone");
});

test("the demo stays up until it is interrupted, and then drains", { timeout: TIMEOUT_MS }, async () => {
  using files = new Files();
  const env = { DATA_DIR: files.directory, WORKERS: "1" };
  const { code, stdout, stderr } = await demo(env, [], "It stays up until Ctrl-C.");
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /Draining\.\nThe service has settled everything and ended\.\n$/);
  assert.deepEqual(readdirSync(files.directory), []);
});

test("a demo that is interrupted early says so, and leaves nothing", { timeout: TIMEOUT_MS }, async () => {
  using files = new Files();
  const { code, stderr } = await demo({ DATA_DIR: files.directory, WORKERS: "1" }, [], "$ npx sluice send");
  assert.equal(code, 130, stderr);
  assert.equal(stderr, "demo: interrupted\n");
  assert.deepEqual(readdirSync(files.directory), []);
});

test("a port in use is one line", async (t) => {
  using files = new Files();
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const env = { DATA_DIR: files.directory, ADMIN_LISTEN: `127.0.0.1:${port}` };
  assert.deepEqual(await demo(env, ["--exit"]), {
    code: 1,
    stdout: "",
    stderr: `demo: 127.0.0.1:${port} is in use; end what listens there, or choose another port: ADMIN_LISTEN=127.0.0.1:0 takes any free one\n`,
  });
});

test("a directory that cannot be written is one line", async () => {
  using files = new Files();
  const file = files.write("file", "");
  const { code, stdout, stderr } = await demo({ DATA_DIR: join(file, "data") }, ["--exit"]);
  assert.deepEqual([code, stdout], [1, ""]);
  assert.equal(
    stderr,
    `demo: cannot write to ${join(file, "data")} (ENOTDIR); set DATA_DIR to a directory that you may write to\n`,
  );
});

test("a wrong configuration is one line per mistake", async () => {
  const { code, stderr } = await demo({ WORKERS: "x", LINGER: "5" }, ["--exit"]);
  assert.equal(code, 2);
  assert.equal(
    stderr,
    [
      'demo: WORKERS: "x" is not right; give a whole number from 1 to 512',
      'demo: LINGER: "5" is not right; give a duration from 0ms to 60s with its unit (ms, s, m or h)',
      "",
    ].join("\n"),
  );
});

test("a demo without a place for its data says so at once", { timeout: TIMEOUT_MS, skip: NO_PROC }, async () => {
  // A system call that is tried again for ever would not notice a signal.
  const { code, stderr } = await demo({ DATA_DIR: "/proc/sluice" }, []);
  assert.equal(code, 1);
  assert.equal(
    stderr,
    "demo: cannot write to /proc/sluice (ENOENT); set DATA_DIR to a directory that you may write to\n",
  );
});
