// `sluice doctor`: looks at everything a service needs, and says of each finding what to do.

import { text } from "../config/kinds.ts";
import { type Config, formatAddress, loadConfig } from "../config.ts";
import { ADMIN_NOTE, adminFlags, adminMistakes, adminTarget, type AdminValues } from "./admin-target.ts";
import { command, printMistakes } from "./command.ts";
import { checkAdminCertificate, checkCertificate, checkShownCertificate } from "./doctor/certificate.ts";
import { checkDeadLetters } from "./doctor/dead-letters.ts";
import { error, type Finding, mistakeFinding, ok } from "./doctor/finding.ts";
import { checkDisk, checkNode, checkOpenFiles, openFilesLimit } from "./doctor/host.ts";
import { checkService } from "./doctor/service.ts";
import { many, toggle } from "./flag.ts";
import { CliError, Exit, printLines } from "./io.ts";
import { plural, table } from "./table.ts";

export const doctor = command({
  name: "doctor",
  positionals: "",
  flags: {
    topic: many(text("TOPIC", "the name of a topic"), "Look at this topic, too; may be given many times."),
    json: toggle("Print the findings as JSON."),
    ...adminFlags,
  },
  notes: [
    "Checks configuration, certificates, brokers, topics, disk, file descriptors, Node.js, and the service on ADMIN_LISTEN if one runs.",
    ADMIN_NOTE,
    "The exit code is 1 if there is an error.",
  ],
  examples: ["sluice doctor", "KAFKA_BROKERS=127.0.0.1:9092 sluice doctor --topic clicks --topic orders"],
  run: async (values, _positionals, io) => {
    const { topic: topics, json } = values;
    const mistakes = adminMistakes(values);
    if (mistakes.length > 0) {
      printMistakes(io, "doctor", mistakes);
      return Exit.USAGE;
    }
    const loaded = loadConfig(io.env);
    const findings: Finding[] = [checkNode(process.version), checkOpenFiles(openFilesLimit())];
    if (loaded.ok) {
      const { config } = loaded;
      findings.push(
        configFinding(config),
        ...checkCertificate(config, Date.now()),
        ...checkAdminCertificate(config, Date.now()),
        ...checkDisk(config),
        ...(await checkKafka(config, topics)),
      );
      findings.push(
        ...(await checkAdminPort(values, config)),
        ...(await checkShownCertificate(config)),
        ...(await checkDeadLetters(config.dataDir)),
      );
    } else
      findings.push(
        ...loaded.errors.map((each) => error("configuration", each, "`sluice serve --help` lists every option")),
      );
    printLines(io.stdout, json ? [JSON.stringify(findings)] : report(findings));
    return findings.some(({ level }) => level === "error") ? Exit.FAILED : Exit.OK;
  },
});

function configFinding({ grpcListen, workers, kafkaBrokers, kafkaClient }: Config): Finding {
  const kafka = kafkaBrokers.length === 0 ? "no Kafka: events stay in the spool" : `Kafka over ${kafkaClient}`;
  return ok("configuration", `gRPC on ${formatAddress(grpcListen)}, ${plural(workers, "worker")}, ${kafka}`);
}

async function checkAdminPort(values: AdminValues, config: Config): Promise<Finding[]> {
  try {
    return await checkService(adminTarget(values, config));
  } catch (thrown) {
    if (thrown instanceof CliError) return [mistakeFinding("service", thrown.message)];
    throw thrown;
  }
}

async function checkKafka(config: Config, topics: readonly string[]): Promise<Finding[]> {
  const { deadLetterTopic } = config;
  const ofLetters = deadLetterTopic === undefined ? [] : [deadLetterTopic];
  if (config.kafkaBrokers.length === 0)
    return topics.map((topic) =>
      error(`topic ${topic}`, "cannot be looked at: KAFKA_BROKERS is not set", "set KAFKA_BROKERS"),
    );
  const [{ Admin }, { checkBrokers, checkTopics }, { kafkaOptions }] = await Promise.all([
    import("@platformatic/kafka"),
    import("./doctor/brokers.ts"),
    import("./kafka.ts"),
  ]);
  const brokers = await checkBrokers(config);
  // Without a broker every topic would tell the same once more.
  if (topics.length + ofLetters.length === 0 || brokers.every(({ level }) => level === "error")) return brokers;
  const admin = new Admin(kafkaOptions(config));
  try {
    const autoCreate = config.kafkaAutoCreateTopics;
    return [
      ...brokers,
      ...(await checkTopics(admin, topics, autoCreate)),
      ...(await checkTopics(admin, ofLetters, autoCreate, "dead letters go to the log instead (DEAD_LETTER_TOPIC)")),
    ];
  } finally {
    await admin.close().catch(() => {});
  }
}

function report(findings: readonly Finding[]): string[] {
  const count = (level: Finding["level"]) => findings.filter((finding) => finding.level === level).length;
  const rows = findings.flatMap(({ level, subject, message, remedy }) => [
    [level, subject, message],
    ...(remedy === undefined ? [] : [["", "", `-> ${remedy}`]]),
  ]);
  return [...table(rows), "", `${plural(count("error"), "error")}, ${plural(count("warning"), "warning")}`];
}
