// The npm package as its users get it: packed, installed into a directory that knows nothing of the repository, and run.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import test, { after, before } from "node:test";
import { startService } from "./support/service.ts";

const ROOT = join(import.meta.dirname, "..");
/** What `npm pack` and the build read. */
const SOURCES = [
  "package.json",
  "README.md",
  "LICENSE",
  "CHANGELOG.md",
  "bin",
  "proto",
  "src",
  "scripts/build.ts",
  "tsconfig.json",
  "tsconfig.build.json",
];
const INSTALL_TIMEOUT_MS = 120_000;
/** A registry that is not there is noticed in seconds. */
const NPM_FLAGS = [
  "--prefer-offline",
  "--no-audit",
  "--no-fund",
  "--no-save",
  "--loglevel=error",
  "--fetch-retries=1",
  "--fetch-retry-mintimeout=500",
  "--fetch-retry-maxtimeout=1000",
  "--fetch-timeout=20000",
];

const dir = mkdtempSync(join(tmpdir(), "sluice-package-"));
const app = join(dir, "app");
const installed = join(app, "node_modules", "sluice");
const bin = join(installed, "bin", "sluice.js");
let packed: readonly string[] = [];
/** Why the package's dependencies are the repository's, and not those that npm installs. */
let notInstalled: string | undefined;

/** Without what npm tells its scripts about the repository, and with this Node.js first. */
const env = Object.fromEntries(
  Object.entries({
    ...process.env,
    PATH: [dirname(process.execPath), process.env["PATH"]].join(delimiter),
    NODE_TEST_CONTEXT: undefined,
    KAFKA_BROKERS: undefined,
  }).filter(([name, value]) => value !== undefined && !/^npm_(package|lifecycle|config_local_prefix)/.test(name)),
);

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  readonly cwd?: string;
  readonly timeoutMs?: number;
  /** Standard input. */
  readonly input?: string;
  /** More environment variables. */
  readonly more?: Readonly<Record<string, string>>;
}

function run(
  file: string,
  args: readonly string[],
  { cwd = app, timeoutMs = 60_000, input = "", more = {} }: RunOptions = {},
): Promise<Result> {
  return new Promise((resolve) => {
    const options = { cwd, env: { ...env, ...more }, timeout: timeoutMs, maxBuffer: 1 << 26 };
    const child = execFile(file, args, options, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : -1, stdout, stderr });
    });
    child.stdin?.on("error", () => {}).end(input);
  });
}

async function sluice(args: readonly string[], more: Readonly<Record<string, string>> = {}, input = "") {
  const { code, stdout, stderr } = await run(process.execPath, [bin, ...args], { more, input });
  assert.equal(code, 0, stderr);
  return stdout;
}

/** From a copy of the sources, so that the repository's own dist/ stays as it is. */
async function pack(): Promise<string> {
  const copy = join(dir, "sluice");
  for (const source of SOURCES)
    if (existsSync(join(ROOT, source))) cpSync(join(ROOT, source), join(copy, source), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  const { code, stdout, stderr } = await run("npm", ["pack", "--json", "--pack-destination", dir], { cwd: copy });
  assert.equal(code, 0, stdout + stderr);
  // The build's own words come first.
  const parsed: unknown = JSON.parse(stdout.slice(stdout.search(/^[[{]$/m)));
  const [tarball] = Object.values(parsed as Record<string, { filename: string; files: { path: string }[] }>);
  packed = tarball!.files.map(({ path }) => path);
  return join(dir, tarball!.filename);
}

/** The dependencies that the lock file does not mark as the repository's own, as links; the package itself unpacked. */
async function linkProduction(tarball: string): Promise<void> {
  rmSync(join(app, "node_modules"), { recursive: true, force: true });
  mkdirSync(installed, { recursive: true });
  const { code, stderr } = await run("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed]);
  assert.equal(code, 0, stderr);
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
  };
  for (const [path, { dev }] of Object.entries(lock.packages)) {
    if (dev === true || !/^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) || !existsSync(join(ROOT, path))) continue;
    mkdirSync(dirname(join(app, path)), { recursive: true });
    symlinkSync(join(ROOT, path), join(app, path));
  }
  mkdirSync(join(app, "node_modules", ".bin"));
  symlinkSync(bin, join(app, "node_modules", ".bin", "sluice"));
}

before(async () => {
  mkdirSync(app);
  writeFileSync(join(app, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }));
  const tarball = await pack();
  const { code, stderr } = await run("npm", ["install", ...NPM_FLAGS, tarball], { timeoutMs: INSTALL_TIMEOUT_MS });
  if (code === 0) return;
  notInstalled = `npm could not install the package's dependencies: ${stderr.trim().split("\n")[0] ?? "it took too long"}`;
  process.stderr.write(`!!! ${notInstalled}; the repository's are linked instead\n`);
  await linkProduction(tarball);
});

after(() => {
  rmSync(dir, { recursive: true, force: true });
});

test("npm installs the package with its dependencies", (t) => {
  if (notInstalled !== undefined) t.skip(notInstalled);
});

test("it holds the compiled service, the SDK with its types and the contract, and no sources", () => {
  for (const path of [
    "LICENSE",
    "README.md",
    "bin/sluice.js",
    "dist/main.js",
    "dist/client/index.js",
    "dist/client/index.d.ts",
    "dist/gen/sluice/v1/ingest_pb.js",
    "dist/gen/sluice/v1/ingest_pb.d.ts",
    "proto/sluice/v1/ingest.proto",
    "proto/google/rpc/status.proto",
  ])
    assert.ok(packed.includes(path), `${path} is missing`);
  const foreign = packed.filter((path) => /(?<!\.d)\.ts$/.test(path) || /^(src|test|bench|scripts|docs)\//.test(path));
  assert.deepEqual(foreign, []);
});

test("npx finds the command", async () => {
  const version = await run("npx", ["--no-install", "sluice", "--version"]);
  const { version: expected } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
  assert.equal(version.stdout.trim(), expected, version.stderr);
  assert.match(await sluice(["--help"]), /serve .*\n.*send/s);
});

test("it serves with workers of its own, and takes events from its own command line and its SDK", async () => {
  await using service = await startService({ entry: bin, args: ["serve"], env: { WORKERS: "2" } });
  const { grpcAddress, dataDir } = service;

  const sent = await sluice(
    ["send", "--topic", "clicks", "--key", "user", "--address", grpcAddress, "--json"],
    {},
    '{"user":"ada"}\n{"user":"bob"}\n',
  );
  assert.equal((JSON.parse(sent) as { stored: number }).stored, 2);

  writeFileSync(
    join(app, "app.js"),
    `import { connect, Durability } from "sluice";
    await using client = connect(process.argv[2]);
    const { stored, durability } = await client.publish({ topic: "clicks", events: [{ key: "eve", value: "{}" }] });
    const stream = client.openStream();
    const answers = await Promise.all([1, 2, 3].map((i) => stream.publish({ topic: "clicks", events: [{ value: String(i) }] })));
    console.log(JSON.stringify({ stored, durability: Durability[durability], answers: answers.map((answer) => answer.stored) }));`,
  );
  const { stdout, stderr } = await run(process.execPath, ["app.js", grpcAddress]);
  assert.deepEqual(JSON.parse(stdout || "null"), { stored: 1, durability: "PERSISTED", answers: [1, 1, 1] }, stderr);

  const lines = (await sluice(["tail", "--topic", "clicks"], { DATA_DIR: dataDir })).trim().split("\n");
  assert.equal(lines.length, 6);
  assert.equal((await service.stop()).code, 0);
});

test("its page has its scripts, as JavaScript, and the charts' library", async () => {
  await using service = await startService({ entry: bin, args: ["serve"] });
  const page = await (await fetch(service.adminUrl)).text();
  const paths = Array.from(page.matchAll(/(?:src|href)="(\/debug\/assets\/[^"]+)"/g), ([, path]) => path!);
  assert.ok(paths.includes("/debug/assets/live/client/main.js"), paths.join(" "));
  for (const path of paths) {
    const response = await fetch(service.adminUrl + path);
    assert.equal(response.status, 200, path);
    const code = await response.text();
    for (const [, imported] of code.matchAll(/^import [^;]*from "([^"]+)";$/gm))
      assert.ok(paths.includes(new URL(imported!, service.adminUrl + path).pathname), `${path} imports ${imported}`);
  }
  assert.doesNotMatch(service.stderr(), /Warning/);
});

test("its types are those of the SDK, for both ways in which TypeScript finds modules", async () => {
  writeFileSync(
    join(app, "types.ts"),
    `import { connect, type EventInit, type PublishResponse } from "sluice";
    const event: EventInit = { key: "a", value: new Uint8Array(1), timestamp: new Date(0) };
    const response: PublishResponse = await connect("127.0.0.1:1").publish({ topic: "t", events: [event] });
    export const stored: number = response.stored;
    // @ts-expect-error -- a number is no string
    export const wrong: string = response.stored;`,
  );
  // The types of Node.js are for the user of a package to bring.
  for (const name of ["@types/node", "undici-types"]) {
    const path = join(app, "node_modules", name);
    mkdirSync(dirname(path), { recursive: true });
    if (!existsSync(path)) symlinkSync(join(ROOT, "node_modules", name), path);
  }
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const flags = ["--noEmit", "--strict", "--target", "esnext", "--types", "node"];
  for (const kind of [
    ["--module", "nodenext"],
    ["--module", "esnext", "--moduleResolution", "bundler"],
  ]) {
    const { code, stdout } = await run(process.execPath, [tsc, ...flags, ...kind, "types.ts"]);
    assert.equal(code, 0, stdout);
  }
});

test("the contract can be found from code", async () => {
  const script = 'console.log(import.meta.resolve("sluice/proto/sluice/v1/ingest.proto"))';
  const { stdout, stderr } = await run(process.execPath, ["--input-type=module", "-e", script]);
  assert.match(
    readFileSync(new URL(stdout.trim() || "file:///missing", import.meta.url), "utf8"),
    /service EventIngest/,
    stderr,
  );
});
