// `sluice top` as people start it: its own process, on a pseudo-terminal that script(1) of util-linux makes.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import test from "node:test";
import { eventually } from "../../support/service.ts";
import { LiveAdmin } from "./live-scene.ts";

const MAIN = join(import.meta.dirname, "../../../src/main.ts");
const ENTER = "\u001B[?1049h";
const LEAVE = "\u001B[?1049l";
const missing = spawnSync("script", ["--version"]).stdout?.toString().includes("util-linux")
  ? undefined
  : "there is no script(1)";

for (const [name, key] of [
  ["q", "q"],
  ["Ctrl-C", "\u0003"],
] as const)
  void test(`on a terminal ${name} ends it, and the terminal is as it was`, { skip: missing ?? false }, async (t) => {
    await using admin = await LiveAdmin.start();
    const top = `"${process.execPath}" "${MAIN}" top --admin ${admin.address}`;
    const command = `stty cols 60 rows 12; stty -g; ${top}; echo "code $?"; stty -g`;
    const child = spawn("script", ["-qec", command, "/dev/null"], {
      env: { ...process.env, SHELL: "/bin/sh", NODE_TEST_CONTEXT: undefined },
      stdio: ["pipe", "pipe", "inherit"],
    });
    t.after(() => child.kill("SIGKILL"));
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    const closed = once(child, "close");
    await eventually("a frame is drawn", () => text.includes("events received"), 60_000);
    child.stdin.write(key);
    await closed;
    const [before, rest] = text.split(ENTER) as [string, string];
    const [drawn, after] = rest.split(LEAVE) as [string, string];
    const settings = before.trim().split(/\s+/).at(-1);
    assert.deepEqual(after.trim().split(/\r?\n/), ["code 0", settings]);
    const [frame = ""] = drawn.split("\u001B[J");
    assert.equal(frame.split("\r\n").length, 12);
  });
