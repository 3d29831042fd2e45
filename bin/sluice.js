#!/usr/bin/env node
// Finds a Node.js that can run sluice, and runs it.
//
// The service needs Node.js 24. In the repository, where it is src/main.ts, a machine without that is served by the `node`
// package in node_modules; the published package holds compiled JavaScript in dist/ instead, because types are never
// stripped under node_modules. This file itself runs on Node.js 20, so that it can say what is missing.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

const NODE_MAJOR_MIN = 24;

/** What is run: the sources in the repository, the build in the package. */
function findEntry() {
  const root = join(dirname(fileURLToPath(import.meta.url)), "..");
  const source = join(root, "src", "main.ts");
  const built = join(root, "dist", "main.js");
  const installed = root.split(/[\\/]/).includes("node_modules");
  return (installed ? [built] : [source, built]).find((path) => existsSync(path));
}

/** The binary of the `node` package, if it is installed beside us. */
function findNode() {
  try {
    const folder = join(dirname(createRequire(import.meta.url).resolve("node/package.json")), "bin");
    return [join(folder, "node"), join(folder, "node.exe")].find((path) => existsSync(path));
  } catch {
    return undefined;
  }
}

function fail(message) {
  process.stderr.write(`sluice: ${message}\n`);
  process.exit(1);
}

/** Runs the entry in another Node.js, as if it were this process: its streams, its signals, its end. */
function runWith(node, entry) {
  const child = spawn(node, [entry, ...process.argv.slice(2)], { stdio: "inherit" });
  // A terminal signals all of its processes at Ctrl-C; passing that on would be a second one, which means "at once".
  const terminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => {
      if (signal !== "SIGINT" || !terminal) child.kill(signal);
    });
  child.on("error", (error) => fail(`cannot run ${node}: ${error.message}`));
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

const entry = findEntry();
const major = Number(process.versions.node.split(".")[0]);
if (entry === undefined) fail("the installation is not complete: there is no dist/main.js; install the package again");
if (major >= NODE_MAJOR_MIN) await import(pathToFileURL(entry).href);
else {
  const node = findNode();
  if (node === undefined)
    fail(
      `needs Node.js ${NODE_MAJOR_MIN} or newer, and this is ${process.version}; install it, or run \`npm ci\` in the repository, which brings one along`,
    );
  runWith(node, entry);
}
