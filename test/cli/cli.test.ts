import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Writable } from "node:stream";
import test from "node:test";
import { runCli } from "../../src/cli/cli.ts";
import { optionRows } from "../../src/config.ts";
import { run } from "./support.ts";

const COMMANDS = ["serve", "send", "tail", "dead-letters", "doctor"];

test("help lists the commands, and every command has its own", async () => {
  for (const args of [["--help"], ["-h"], ["help"]]) {
    const { code, stdout } = await run(args);
    assert.equal(code, 0);
    for (const command of COMMANDS) assert.match(stdout, new RegExp(`^  ${command}  +\\S`, "m"));
  }
  for (const command of COMMANDS) {
    const asked = await run([command, "--help"]);
    assert.equal(asked.code, 0);
    assert.match(asked.stdout, new RegExp(`^Usage: sluice ${command} `, "m"));
    assert.deepEqual(await run(["help", command]), asked);
    assert.deepEqual(await run([command, "--no-such-flag", "-h"]), asked);
    for (const line of asked.stdout.split("\n")) assert.ok(line.length <= 100, line);
  }
});

test("the help of serve has every option of the configuration", async () => {
  const { stdout } = await run(["serve", "--help"]);
  for (const { flag, defaultText } of optionRows()) {
    assert.match(stdout, new RegExp(`^  ${flag}\\b`, "m"));
    assert.ok(stdout.replaceAll(/\s+/g, " ").includes(`(default ${defaultText})`), flag);
  }
});

test("the version is the package's", async () => {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  for (const flag of ["--version", "-v"])
    assert.deepEqual(await run([flag]), { code: 0, stdout: `${version}\n`, stderr: "" });
});

test("an unknown command is one line with a hint", async () => {
  assert.deepEqual(await run(["sned"]), {
    code: 2,
    stdout: "",
    stderr: 'sluice: "sned" is not a command; `sluice --help` lists the commands\n',
  });
  assert.deepEqual(await run([]), {
    code: 2,
    stdout: "",
    stderr: "sluice: a command is missing; `sluice --help` lists the commands\n",
  });
});

test("the mistakes of a command line are one line each, and nothing is done", async () => {
  assert.deepEqual(await run(["send", "--batch", "0", "--tpoic", "x", "--durability", "none", "--key"]), {
    code: 2,
    stdout: "",
    stderr: [
      "sluice send: --tpoic: no such option; `sluice send --help` lists them",
      "sluice send: --key: a value is missing; give the name of a field",
      "sluice send: --topic: missing; give the name of a topic",
      'sluice send: --batch: "0" is not right; give a whole number from 1 to 65536',
      'sluice send: --durability: "none" is not right; give replicated or persisted',
      "",
    ].join("\n"),
  });
  assert.deepEqual(await run(["tail", "--topic", "t", "stray", "-x"]), {
    code: 2,
    stdout: "",
    stderr:
      'sluice tail: -x: no such option; `sluice tail --help` lists them\nsluice tail: unexpected argument "stray"; options start with --\n',
  });
});

test("a wrong configuration is one line per mistake, and nothing is started", async () => {
  const env = { WORKERS: "0", KAFKA_BROKERS: "kafka" };
  assert.deepEqual(await run(["serve", "--linger", "5"], { env }), {
    code: 2,
    stdout: "",
    stderr: [
      'sluice serve: WORKERS: "0" is not right; give a whole number from 1 to 512',
      'sluice serve: KAFKA_BROKERS: "kafka" is not right; give host:port, separated by commas, for example kafka-1:9092,kafka-2:9092',
      'sluice serve: --linger: "5" is not right; give a duration from 0ms to 60s with its unit (ms, s, m or h)',
      "",
    ].join("\n"),
  });
  assert.equal((await run(["tail", "--topic", "t"], { env })).code, 2);
  const missing = await run(["serve"], { env: { KAFKA_TLS: "true", KAFKA_TLS_CA_FILE: "no-such.pem" } });
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /^sluice serve: KAFKA_TLS_CA_FILE: ENOENT: .*; give a PEM file that can be read\n$/);
});

/** An output whose reader does something else. */
function broken(code: string): Writable {
  return new Writable({
    write: (_chunk, _encoding, done) => {
      done(Object.assign(new Error(`write ${code}`), { code }));
    },
  });
}

test("a reader that stops early is no failure, a disk that is full is one", async () => {
  const io = (stdout: Writable) => {
    let stderr = "";
    const collect = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        stderr += chunk.toString();
        done();
      },
    });
    const shutdown = new AbortController().signal;
    return { io: { stdin: process.stdin, stdout, stderr: collect, env: {}, shutdown }, said: () => stderr };
  };
  const gone = io(broken("EPIPE"));
  assert.equal(await runCli(["--help"], gone.io), 0);
  assert.equal(gone.said(), "");
  const full = io(broken("ENOSPC"));
  assert.equal(await runCli(["--help"], full.io), 1);
  assert.equal(full.said(), "sluice: the output cannot be written: write ENOSPC\n");
});
