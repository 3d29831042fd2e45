// `sluice doctor`: looks at everything a service needs, and says of each finding what to do.
//
// Services and Kafka are looked at twice, some seconds apart, and both at the same time: what grows, and what goes where, shows
// in the difference alone. Nothing is changed anywhere.

import { duration, remoteAddress, text } from "../config/kinds.ts";
import { type Config, formatAddress, loadConfig } from "../config.ts";
import { ADMIN_NOTE, adminFlags, adminMistakes, type AdminTarget } from "./admin-target.ts";
import { command, printMistakes } from "./command.ts";
import { checkAdminCertificate, checkCertificate, checkShownCertificate } from "./doctor/certificate.ts";
import { checkDeadLetters } from "./doctor/dead-letters.ts";
import { error, type Finding, type Level, type NamedFinding, named, ok } from "./doctor/finding.ts";
import { checkDisk, checkNode, checkOpenFiles, openFilesLimit } from "./doctor/host.ts";
import { report } from "./doctor/report.ts";
import { topicsOfService } from "./doctor/service-facts.ts";
import { adminTargets, checkServices, targetsOrFinding } from "./doctor/services.ts";
import { many, toggle, withDefault } from "./flag.ts";
import { Exit, printLines } from "./io.ts";
import { plural } from "./table.ts";

const flags = {
  topic: many(
    text("TOPIC", "the name of a topic"),
    "Look at this topic; may be given many times. Without it: the topics that the service has stored events of, or else all of the cluster's.",
  ),
  watch: withDefault(
    duration(100, 60_000),
    "3s",
    "For how long lag and load are watched; below 3s, the shares of workers are rough.",
  ),
  json: toggle("Print the findings as JSON."),
  strict: toggle("Make the exit code 1 for warnings, too, and for what could not be looked at."),
  ...adminFlags,
  admin: many(
    remoteAddress,
    "The admin port of the service; without it, ADMIN_LISTEN. May be given many times, to compare pods.",
  ),
};

export const doctor = command({
  name: "doctor",
  positionals: "",
  flags,
  notes: [
    "Checks configuration, certificates, brokers, topics, consumer groups, clocks, disk, file descriptors, CPU, memory, Node.js, and the service on ADMIN_LISTEN if one runs. It changes nothing.",
    ADMIN_NOTE,
    "The exit code is 1 if there is an error. Warnings, and what could not be looked at, leave it 0 without --strict.",
  ],
  examples: [
    "sluice doctor",
    "KAFKA_BROKERS=127.0.0.1:9092 sluice doctor --topic clicks --topic orders",
    "sluice doctor --admin pod-0:9464 --admin pod-1:9464 --token-file token --json --strict",
  ],
  run: async (values, _positionals, io) => {
    const { topic: topics, watch: lookMs, json, strict } = values;
    const mistakes = adminMistakes({ ...values, admin: undefined });
    if (mistakes.length > 0) {
      printMistakes(io, "doctor", mistakes);
      return Exit.USAGE;
    }
    const loaded = loadConfig(io.env);
    const findings = named("host", [checkNode(process.version), checkOpenFiles(openFilesLimit())]);
    if (loaded.ok) {
      const { config } = loaded;
      const targets = targetsOrFinding(() => adminTargets(values, config));
      const services = Array.isArray(targets) ? targets : [];
      findings.push(...checkFiles(config));
      const [kafka, service] = await Promise.all([
        checkKafka(config, topics, services, lookMs, io.shutdown),
        Array.isArray(targets) ? checkServices(targets, config, lookMs, io.shutdown) : [targets],
      ]);
      findings.push(
        ...kafka,
        ...service,
        ...named("certificate", await checkShownCertificate(config)),
        ...named("dead-letters", await checkDeadLetters(config.dataDir)),
      );
    } else
      findings.push(
        ...named(
          "configuration",
          loaded.errors.map((each) => error("configuration", each, "`sluice serve --help` lists every option")),
        ),
      );
    printLines(io.stdout, json ? [JSON.stringify(findings)] : report(findings));
    const failing: ReadonlySet<Level> = new Set(strict ? ["error", "warning", "unknown"] : ["error"]);
    return findings.some(({ level }) => failing.has(level)) ? Exit.FAILED : Exit.OK;
  },
});

/** What can be said without asking anybody. */
function checkFiles(config: Config): NamedFinding[] {
  const nowMs = Date.now();
  return [
    ...named("configuration", [configFinding(config)]),
    ...named("certificate", [...checkCertificate(config, nowMs), ...checkAdminCertificate(config, nowMs)]),
    ...named("disk", checkDisk(config)),
  ];
}

function configFinding({ grpcListen, workers, kafkaBrokers, kafkaClient }: Config): Finding {
  const kafka = kafkaBrokers.length === 0 ? "no Kafka: events stay in the spool" : `Kafka over ${kafkaClient}`;
  return ok("configuration", `gRPC on ${formatAddress(grpcListen)}, ${plural(workers, "worker")}, ${kafka}`);
}

async function checkKafka(
  config: Config,
  topics: readonly string[],
  services: readonly AdminTarget[],
  lookMs: number,
  signal: AbortSignal,
): Promise<NamedFinding[]> {
  if (config.kafkaBrokers.length === 0)
    return named(
      "topic",
      topics.map((topic) =>
        error(`topic ${topic}`, "cannot be looked at: KAFKA_BROKERS is not set", "set KAFKA_BROKERS"),
      ),
    );
  const [{ checkKafka: check }, ...known] = await Promise.all([
    import("./doctor/kafka.ts"),
    ...(topics.length > 0 ? [] : services.map((target) => topicsOfService(target, signal))),
  ]);
  const names = topics.length > 0 ? topics : [...new Set(known.flat())];
  return await check(config, { topics: names, lookMs, signal });
}
