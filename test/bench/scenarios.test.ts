import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import test from "node:test";
import { parseBenchOptions } from "../../bench/options.ts";
import { describe, SCENARIOS, selectScenarios } from "../../bench/scenarios.ts";
import { ROOT } from "../../bench/targets.ts";

test("every scenario has a name of its own", () => {
  const names = SCENARIOS.map((scenario) => scenario.name);
  assert.deepEqual([...new Set(names)], names);
});

test("the scenarios are described by their load", () => {
  const described = Object.fromEntries(SCENARIOS.map((scenario) => [scenario.name, describe(scenario)]));
  assert.deepEqual(described, {
    "streams-100": "16 streams × window 8 × 100 events × 200 B",
    "unary-100": "64 unary callers × 100 events × 200 B",
    "unary-1": "200 unary callers × 1 event × 200 B",
    "unary-100-1k": "64 unary callers × 100 events × 1024 B",
    "streams-1": "16 streams × window 64 × 1 event × 200 B",
    "mixed-10": "64 unary callers × 10 events × 200 B over 8 topics",
    "open-2000": "2,000 requests/s of 200 unary callers × 1 event × 200 B",
    persisted: "16 streams × window 8 × 100 events × 200 B, on the spool without brokers",
    durability: "16 streams × window 8 × 100 events × 200 B, PERSISTED and REPLICATED in turns",
    idle: "no load, two workers",
    ready: "from spawn to ready, two workers",
    curve: "1 event × 200 B a request, at one rate over more and more connections and streams",
  });
});

test("named scenarios are chosen, and an unknown name says which there are", () => {
  assert.equal(selectScenarios([]).length, SCENARIOS.length);
  assert.deepEqual(
    selectScenarios(["ready", "unary-1"]).map((scenario) => scenario.name),
    ["unary-1", "ready"],
  );
  assert.throws(() => selectScenarios(["fast"]), /there is no scenario "fast"; there are streams-100, /);
});

test("the command line is read, one target and one broker or both", () => {
  const options = parseBenchOptions(
    "--broker both --target naive --only unary-1 --rounds 2 --starts 5 --service-env LINGER=0 --service-env A=b=c".split(
      " ",
    ),
  );
  assert.ok(options !== "help");
  assert.deepEqual(options.brokers, ["kafka", "standin"]);
  assert.deepEqual(options.targets, ["naive"]);
  assert.deepEqual([options.rounds, options.starts], [2, 5]);
  assert.deepEqual(options.serviceEnv, { LINGER: "0", A: "b=c" });
  const usual = parseBenchOptions([]);
  assert.ok(usual !== "help");
  assert.deepEqual([usual.brokers, usual.targets, usual.starts], [undefined, ["service", "naive"], 1]);
  assert.equal(usual.turnMs, 0);
  assert.equal(parseBenchOptions(["--help"]), "help");
});

test("a baseline is another checkout, this one with another environment, or both", () => {
  const read = (...args: string[]) => {
    const options = parseBenchOptions(["--target", "service", ...args]);
    assert.ok(options !== "help");
    const { targets, baselineDir, baselineEnv, serviceEnv } = options;
    return { targets, baselineDir, baselineEnv, serviceEnv };
  };
  const serviceEnv = {};
  const targets = ["service", "baseline"];
  assert.deepEqual(read("--baseline-env", "PROFILING=false", "--baseline-env", "INCIDENT_TRIGGERS=none"), {
    targets,
    baselineDir: resolve(ROOT),
    baselineEnv: { PROFILING: "false", INCIDENT_TRIGGERS: "none" },
    serviceEnv,
  });
  assert.deepEqual(read("--baseline-dir", ROOT), { targets, baselineDir: resolve(ROOT), baselineEnv: {}, serviceEnv });
  assert.deepEqual(read().targets, ["service"]);
});

test("several targets are chosen with commas, in the report's order whatever the order given", () => {
  const targetsOf = (text: string) => {
    const options = parseBenchOptions(["--target", text]);
    assert.ok(options !== "help");
    return options.targets;
  };
  assert.deepEqual(targetsOf("sink-http2,naive,grpc-js,service"), ["service", "grpc-js", "naive", "sink-http2"]);
  assert.deepEqual(targetsOf("both,sink-native"), ["service", "naive", "sink-native"]);
  assert.deepEqual(targetsOf("naive,naive"), ["naive"]);
  // A baseline is another checkout: its name alone does not say which.
  for (const wrong of ["service,", "baseline", "all", "service naive"]) {
    assert.throws(() => targetsOf(wrong), /^Error: --target: give both or some of service,grpc-js,naive,sink-native,/);
  }
});

test("every mistake on the command line is told, one line each", () => {
  const args =
    "--seconds soon --broker redis --only fast --service-env X --baseline-env =1 --baseline-dir nowhere".split(" ");
  assert.throws(
    () => parseBenchOptions(args),
    (error: Error) => {
      const lines = error.message.split("\n").toSorted();
      assert.equal(lines.length, 6);
      for (const [i, name] of ["baseline-dir", "baseline-env", "broker", "only", "seconds", "service-env"].entries()) {
        assert.match(lines[i]!, new RegExp(`^--${name}: `));
      }
      return true;
    },
  );
});

test("the documentation names every scenario", async () => {
  const page = await readFile(new URL("../../docs/benchmarks.md", import.meta.url), "utf8");
  for (const { name } of SCENARIOS)
    assert.ok(page.includes(`\n| \`${name}\` `), `docs/benchmarks.md has no row of ${name}`);
});

test("turns are for closed loops", () => {
  const read = (...args: string[]) => parseBenchOptions(["--turns", "250", ...args]);
  const options = read("--only", "unary-1");
  assert.ok(options !== "help");
  assert.equal(options.turnMs, 250);
  assert.throws(() => read("--only", "open-2000"), /--turns: the scenario open-2000 is an open loop/);
  assert.throws(() => read("--only", "unary-1", "--rate", "10"), /--turns: --rate is an open loop/);
});
