// The command line: finds the command, prints help, turns what is thrown into one line.
//
// Commands are loaded when they are called, because `sluice send` has no use for the Kafka client's 30 MB and
// `sluice --help` has none for anything. Only main.ts exits the process; this returns the code.

import { readFileSync } from "node:fs";
import type { Writable } from "node:stream";
import type { CommandEntry } from "./command.ts";
import { generalHelp } from "./help.ts";
import { CliError, type CliIo, Exit, messageOf, printLines } from "./io.ts";
import { printable } from "./table.ts";

export type { CliIo } from "./io.ts";

const COMMANDS: readonly CommandEntry[] = [
  {
    name: "serve",
    summary: "Run the service: take events over gRPC and bring them to Kafka, or keep them in the spool.",
    load: async () => (await import("./serve.ts")).serve,
  },
  {
    name: "send",
    summary: "Send the records of files or of standard input to a service.",
    load: async () => (await import("./send.ts")).send,
  },
  {
    name: "tail",
    summary: "Print the events of a topic, from Kafka or from the spool.",
    load: async () => (await import("./tail.ts")).tail,
  },
  {
    name: "dead-letters",
    summary: "Look at what Kafka refused for good: list it, show it, send it again, drop it.",
    load: async () => (await import("./dead-letters.ts")).deadLetters,
  },
  {
    name: "top",
    summary: "Watch a service in a terminal: throughput, latency by stage, queues, brokers, workers, clients.",
    load: async () => (await import("./top.ts")).top,
  },
  {
    name: "profile",
    summary: "Print or write where a service's CPU went and what its heap holds, also of minutes that have passed.",
    load: async () => (await import("./profile.ts")).profile,
  },
  {
    name: "incidents",
    summary: "Look at what went wrong in a service: list it, show it, fetch it; record it now.",
    load: async () => (await import("./incidents.ts")).incidents,
  },
  {
    name: "doctor",
    summary: "Check configuration, brokers, topics, consumer groups, hosts and services, and say what to do.",
    load: async () => (await import("./doctor.ts")).doctor,
  },
];

const HINT = "`sluice --help` lists the commands";

/**
 * Runs one command.
 * @param argv the arguments after the program's name.
 * @returns the exit code: 0 done; 1 something failed, and it was said what; 2 the command line or configuration is wrong.
 */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  let broken: NodeJS.ErrnoException | undefined;
  const onError = (error: NodeJS.ErrnoException) => {
    broken ??= error;
  };
  // For good: an error may come at any time, and nobody else listens.
  io.stdout.on("error", onError);
  const code = await dispatch(argv, io);
  await flushed(io.stdout);
  // Whoever reads our output may stop before we do, as `head` does; that is no failure.
  if (broken === undefined || broken.code === "EPIPE") return code;
  printLines(io.stderr, [`sluice: the output cannot be written: ${broken.message}`]);
  return Exit.FAILED;
}

/** Resolves when everything is written, or never will be. */
function flushed(out: Writable): Promise<void> {
  return new Promise((resolve) => {
    out.write("", () => {
      setImmediate(resolve);
    });
  });
}

async function dispatch(argv: readonly string[], io: CliIo): Promise<number> {
  const [name, ...args] = argv;
  if (name === "--version" || name === "-v") {
    printLines(io.stdout, [version()]);
    return Exit.OK;
  }
  if (name === "help" && args.length > 0) return dispatch([...args, "--help"], io);
  if (name === "--help" || name === "-h" || name === "help") {
    printLines(io.stdout, generalHelp(COMMANDS));
    return Exit.OK;
  }
  const entry = COMMANDS.find((each) => each.name === name);
  if (entry === undefined) {
    const what = name === undefined ? "a command is missing" : `${JSON.stringify(name)} is not a command`;
    printLines(io.stderr, [`sluice: ${what}; ${HINT}`]);
    return Exit.USAGE;
  }
  const command = await entry.load();
  if (asksForHelp(args)) {
    printLines(io.stdout, [entry.summary, "", ...command.help(args)]);
    return Exit.OK;
  }
  try {
    return await command.run(args, io);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    // It may quote what a service or Kafka has answered.
    printLines(io.stderr, [`sluice ${entry.name}: ${printable(messageOf(error))}`]);
    return Exit.FAILED;
  }
}

/** What follows `--` is not for us. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const ours = end === -1 ? args : args.slice(0, end);
  return ours.includes("--help") || ours.includes("-h");
}

/** The package's version; package.json is two folders up, in the repository and in the package. */
function version(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return version;
}
