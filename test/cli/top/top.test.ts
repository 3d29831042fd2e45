import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import test, { type TestContext } from "node:test";
import type { LiveSnapshot } from "../../../src/admin/live/model.ts";
import { runCli } from "../../../src/cli/cli.ts";
import type { Input, Output } from "../../../src/cli/io.ts";
import { eventually } from "../../support/service.ts";
import { FakeAdmin } from "../fake-admin.ts";
import { run } from "../support.ts";
import { AT_MS, history, LiveAdmin, snapshot } from "./live-scene.ts";

const ENTER = "\u001B[?1049h";
const LEAVE = "\u001B[?1049l";

test("--once prints one frame as text, and --json what the service told", async () => {
  await using admin = await LiveAdmin.start();
  const once = await run(["top", "--once", "--admin", admin.address]);
  assert.equal(once.code, 0, once.stderr);
  assert.match(once.stdout, /^sluice 1\.2\.3 on host-1 .* ready/);
  assert.ok(!once.stdout.includes("\u001B"));
  const json = await run(["top", "--json", "--admin", admin.address]);
  assert.deepEqual(JSON.parse(json.stdout) as LiveSnapshot, snapshot());
  assert.deepEqual(admin.asked, ["/debug/live?seconds=300", "/debug/live?seconds=300"]);
});

test("a service that is not there is one line on standard error", async () => {
  for (const flags of [["--once"], []]) {
    const { code, stdout, stderr } = await run(["top", ...flags, "--admin", "127.0.0.1:4"]);
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^sluice top: .*127\.0\.0\.1:4.*\n$/);
  }
});

test("what a service answers instead cannot move the cursor", async () => {
  await using admin = await FakeAdmin.start(() => ({ status: 500, body: "\u001B[2Jbroken\u009B" }));
  const { code, stderr } = await run(["top", "--once"], { env: admin.env });
  assert.equal(code, 1);
  assert.match(stderr, /says: {2}\[2Jbroken \n$/);
});

test("where the output is no terminal, it is a line a time, until the command is told to end", async () => {
  await using admin = await LiveAdmin.start();
  const quit = new AbortController();
  const ran = run(["top", "--admin", admin.address], { signal: quit.signal });
  await eventually("somebody watches", () => admin.watchers === 1);
  quit.abort();
  const { code, stdout } = await ran;
  assert.equal(code, 0);
  assert.match(stdout, /^(2026-03-01T10:11:12Z {2}ready 2\/2 .*\n)*$/);
});

interface Terminal {
  readonly out: PassThrough & Output;
  readonly input: PassThrough & Input;
  readonly rawModes: boolean[];
  /** Everything that was written. */
  readonly text: () => string;
  readonly ran: Promise<number>;
}

function terminal(t: TestContext, admin: LiveAdmin, env: Readonly<Record<string, string>> = {}): Terminal {
  const out = Object.assign(new PassThrough(), { isTTY: true, columns: 100, rows: 50 });
  const rawModes: boolean[] = [];
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (raw: boolean) => rawModes.push(raw) });
  let text = "";
  out.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const end = new AbortController();
  t.after(() => {
    end.abort();
  });
  const stderr = new PassThrough();
  stderr.resume();
  const ran = runCli(["top", "--admin", admin.address], {
    stdin: input,
    stdout: out,
    stderr,
    env,
    shutdown: end.signal,
  });
  return { out, input, rawModes, text: () => text, ran };
}

/** The frames that were drawn, without what moves the cursor. */
const frames = (text: string) =>
  text
    .split("\u001B[?2026h\u001B[H")
    .slice(1)
    .map((frame) => frame.split("\u001B[J")[0]!.replaceAll("\u001B[K", ""));

for (const [name, key] of [
  ["q", "q"],
  ["Ctrl-C", "\u0003"],
] as const)
  test(`${name} ends it and gives the terminal back`, async (t) => {
    await using admin = await LiveAdmin.start();
    const { input, text, rawModes, ran } = terminal(t, admin);
    await eventually("a frame is drawn", () => frames(text()).length > 0);
    // A cursor key begins with Escape, and ends nothing.
    input.write("\u001B[A");
    input.write(key);
    assert.equal(await ran, 0);
    assert.deepEqual(rawModes, [true, false]);
    assert.ok(text().startsWith(ENTER) && text().endsWith(LEAVE));
    await eventually("nobody watches any more", () => admin.watchers === 0);
  });

test("a frame is one write, colours are there unless NO_COLOR is, and a new size is drawn at once", async (t) => {
  await using admin = await LiveAdmin.start();
  const coloured = terminal(t, admin);
  const plain = terminal(t, admin, { NO_COLOR: "1" });
  await eventually("both have a frame", () => [coloured, plain].every(({ text }) => frames(text()).length > 0));
  const isColoured = (text: string) => frames(text)[0]!.includes("\u001B[");
  assert.deepEqual([isColoured(coloured.text()), isColoured(plain.text())], [true, false]);
  const before = frames(plain.text()).length;
  Object.assign(plain.out, { columns: 30, rows: 4 });
  plain.out.emit("resize");
  await eventually("it is drawn anew", () => frames(plain.text()).length > before);
  const lines = frames(plain.text()).at(-1)!.split("\r\n");
  assert.equal(lines.length, 4);
  for (const line of lines) assert.ok(line.length <= 30);
  for (const { input } of [coloured, plain]) input.write("q");
  assert.deepEqual(await Promise.all([coloured.ran, plain.ran]), [0, 0]);
});

test("a connection that is lost is opened again, from where it ended, and the frame says so meanwhile", async (t) => {
  await using admin = await LiveAdmin.start();
  const { input, text, ran } = terminal(t, admin, { NO_COLOR: "1" });
  await eventually("a frame is drawn", () => frames(text()).length > 0);
  admin.hangUp();
  await eventually("the frame says so", () => frames(text()).at(-1)!.includes("trying again"));
  await eventually("it is back", () => admin.watchers === 1);
  assert.equal(admin.asked.at(-1), `/debug/live/events?since=${AT_MS}`);
  const next = history(AT_MS + 1000, [77], ["127.0.0.1:9092"], ["0"]);
  await eventually("it draws what is new", () => {
    // A frame is drawn once a second, so what comes sooner is not.
    admin.tell(snapshot({ atMs: AT_MS + 1000, history: next }));
    const last = frames(text()).at(-1)!;
    return !last.includes("trying again") && /events received +77\/s/.test(last);
  });
  input.write("q");
  assert.equal(await ran, 0);
});
