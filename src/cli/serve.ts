// `sluice serve`: reads the configuration and hands the process to the supervisor.

import { accessSync, constants } from "node:fs";
import { type Config, loadConfig } from "../config.ts";
import { LogRing } from "../telemetry/log-ring.ts";
import { createLogger } from "../telemetry/log.ts";
import { type Command, printMistakes } from "./command.ts";
import { type About, commandHelp, configRows } from "./help.ts";
import { Exit, messageOf } from "./io.ts";

const about: About = {
  name: "serve",
  positionals: "",
  notes: [
    "Every option is an environment variable, too: --grpc-listen is GRPC_LISTEN. Flags win.",
    "SIGTERM or SIGINT drains: streams are told to go elsewhere, what was taken is settled, the exit code is 0.",
  ],
  examples: ["sluice serve", "KAFKA_BROKERS=127.0.0.1:9092 sluice serve --workers 2"],
};

/**
 * Mistakes in files that the configuration names and that have to be right before anything starts: every worker would tell of
 * them, or none in a way that is clear.
 */
async function fileMistakes(config: Config): Promise<readonly string[]> {
  return [...kafkaFileMistakes(config), ...(await grpcFileMistakes(config))];
}

async function grpcFileMistakes(config: Config): Promise<readonly string[]> {
  if (config.grpcTlsCertFile === undefined) return [];
  return (await import("../grpc-options.ts")).tlsMistakes(config);
}

function kafkaFileMistakes(config: Config): string[] {
  if (config.kafkaTlsCaFile === undefined) return [];
  try {
    accessSync(config.kafkaTlsCaFile, constants.R_OK);
    return [];
  } catch (error) {
    return [`KAFKA_TLS_CA_FILE: ${messageOf(error)}; give a PEM file that can be read`];
  }
}

export const serve: Command = {
  help: () => commandHelp(about, configRows()),
  run: async (args, io) => {
    const loaded = loadConfig(io.env, args);
    const errors = loaded.ok ? await fileMistakes(loaded.config) : loaded.errors;
    if (!loaded.ok || errors.length > 0) {
      printMistakes(io, "serve", errors);
      return Exit.USAGE;
    }
    const { config } = loaded;
    const { runSupervisor } = await import("../supervisor/supervisor.ts");
    const logRing = new LogRing();
    const log = createLogger({ level: config.logLevel, name: "supervisor", ring: logRing });
    const tail = config.adminTail ? (await import("./tail/topic-tail.ts")).topicTail(config) : undefined;
    return runSupervisor(config, log, io.shutdown, { logRing, tail });
  },
};
