import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { FakeAdmin } from "./fake-admin.ts";
import { Files, run } from "./support.ts";

const answering = (body: string | Buffer, status = 200) => FakeAdmin.start(() => ({ status, body }));

test("without anything it prints the last minute as text, at once", async () => {
  await using admin = await answering("flat  cum\n");
  const ran = await run(["profile"], { env: admin.env });
  assert.deepEqual(ran, { code: 0, stdout: "flat  cum\n", stderr: "" });
  assert.deepEqual(
    admin.asked.map(({ path }) => path),
    ["/debug/pprof/profile?past=60&debug=1"],
  );
});

test("what is asked for is what the command line says", async () => {
  await using admin = await answering("x");
  const asked = async (...args: string[]) => {
    assert.equal((await run(["profile", ...args], { env: admin.env })).code, 0, args.join(" "));
    return admin.asked.at(-1)?.path;
  };
  assert.equal(await asked("--seconds", "5"), "/debug/pprof/profile?seconds=5&debug=1");
  assert.equal(
    await asked("--past", "300", "--worker", "1", "--label", "topic:clicks", "--label", "method:Publish"),
    "/debug/pprof/profile?past=300&worker=1&label=topic%3Aclicks&label=method%3APublish&debug=1",
  );
  assert.equal(await asked("--heap", "--format", "folded"), "/debug/pprof/heap?format=folded");
});

test("a file's name says its format, and the file is there only when it is whole", async () => {
  using files = new Files();
  const bytes = Buffer.from([0x1f, 0x8b, 0, 255]);
  await using admin = await answering(bytes);
  for (const [name, query] of [
    ["a.pb.gz", "past=60"],
    ["a", "past=60"],
    ["a.json", "past=60&format=speedscope"],
    ["a.folded", "past=60&format=folded"],
    ["a.txt", "past=60&debug=1"],
  ] as const) {
    const file = join(files.directory, name);
    const ran = await run(["profile", "-o", file], { env: admin.env });
    assert.deepEqual([ran.code, ran.stdout], [0, ""], ran.stderr);
    assert.equal(admin.asked.at(-1)?.path, `/debug/pprof/profile?${query}`);
    assert.deepEqual(readFileSync(file), bytes);
  }
  const ran = await run(["profile", "-o", join(files.directory, "no/such/folder.pb.gz")], { env: admin.env });
  assert.equal(ran.code, 1);
  assert.match(ran.stderr, /^sluice profile: .*cannot be written/);
  assert.ok(!readdirSync(files.directory).some((name) => name.endsWith(".part")));
});

test("contradictions are mistakes, one line each, and nothing is asked", async () => {
  await using admin = await answering("x");
  const ran = await run(["profile", "--past", "5", "--seconds", "5", "--heap", "--label", "clicks"], {
    env: admin.env,
  });
  assert.equal(ran.code, 2);
  assert.match(
    ran.stderr,
    /^sluice profile: --past and --seconds: .*\nsluice profile: --past: .*\nsluice profile: --label: "clicks" .*\n$/,
  );
  assert.equal(admin.asked.length, 0);
});

test("what the service says is what the user reads, and the exit code is 1", async () => {
  await using admin = await answering('worker: "9" is none of 0, 1, supervisor\n', 400);
  const ran = await run(["profile", "--worker", "9"], { env: admin.env });
  assert.equal(ran.code, 1);
  assert.equal(
    ran.stderr,
    `sluice profile: the service at ${admin.env["ADMIN_LISTEN"]} says: worker: "9" is none of 0, 1, supervisor\n`,
  );
});

test("where nothing listens it is said what to give", async () => {
  const env = await (async () => {
    await using admin = await answering("x");
    return admin.env;
  })();
  const ran = await run(["profile"], { env });
  assert.equal(ran.code, 1);
  assert.match(
    ran.stderr,
    /no service runs here: nothing listens on 127\.0\.0\.1:\d+; give the service's ADMIN_LISTEN, or --admin\n$/,
  );
  const anyPort = await run(["profile"], { env: { ADMIN_LISTEN: "127.0.0.1:0" } });
  assert.match(anyPort.stderr, /port 0, which is any/);
});
