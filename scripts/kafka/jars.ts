// Where the JVM's part comes from: Kafka's jars, resolved by Maven once per pom.xml into the repository's .cache.
//
// Rejected: the binary release (125 MB from a mirror that keeps only recent ones). Test files run as processes at the same
// time, so resolving is guarded by a lock on a file, which the operating system drops when its holder dies; a marker with
// the pom's hash says that what lies there is complete.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, open, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";

const { unlock, waitForLock } = createRequire(import.meta.url)("fs-native-extensions") as {
  waitForLock(this: void, fd: number): Promise<void>;
  unlock(this: void, fd: number): void;
};

/** Kafka cannot be run here, and why; the message is one line that says what to install. */
export class KafkaUnavailable extends Error {
  override readonly name = "KafkaUnavailable";
}

const POM = join(import.meta.dirname, "pom.xml");
const CACHE = join(import.meta.dirname, "..", "..", ".cache");
const LIBS = join(CACHE, "kafka-libs");
const MARKER = join(LIBS, "complete");
/** Kafka 4's brokers are compiled for this release. */
const JAVA_RELEASE_MIN = 17;

/** The class path with Kafka's broker and tools. Rejects with KafkaUnavailable. */
export async function kafkaClassPath(): Promise<string> {
  const missing = await missingForKafka();
  if (missing !== undefined) throw new KafkaUnavailable(missing);
  const wanted = await pomHash();
  if ((await marked()) !== wanted) await resolveJars(wanted);
  return join(LIBS, "*");
}

/** One line that says what to install before Kafka can run, or undefined. */
export async function missingForKafka(): Promise<string | undefined> {
  const java = await version("java", ["-version"]);
  if (java === undefined) {
    return `java is not installed: install a Java runtime, ${JAVA_RELEASE_MIN} or newer (Debian: apt-get install default-jre-headless)`;
  }
  const release = Number(/version "(?:1\.)?(\d+)/.exec(java)?.[1] ?? JAVA_RELEASE_MIN);
  if (release < JAVA_RELEASE_MIN) {
    return `java is ${release}, and Kafka needs ${JAVA_RELEASE_MIN} or newer (Debian: apt-get install default-jre-headless)`;
  }
  if ((await marked()) === (await pomHash())) return undefined;
  if ((await version("mvn", ["--version"])) === undefined) {
    return "mvn is not installed: install Maven, which fetches Kafka (Debian: apt-get install maven)";
  }
  return undefined;
}

async function resolveJars(wanted: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const lock = await open(join(CACHE, "kafka-libs.lock"), "a+");
  try {
    await waitForLock(lock.fd);
    // Whoever held the lock before may have done it.
    if ((await marked()) === wanted) return;
    await rm(LIBS, { recursive: true, force: true });
    const options = ["-q", "-B", "-f", POM, "dependency:copy-dependencies", "-DincludeScope=runtime"];
    await promisify(execFile)("mvn", [...options, `-DoutputDirectory=${LIBS}`]).catch((error: unknown) => {
      const { stdout = "", message } = error as { stdout?: string; message: string };
      const line = /\[ERROR\] (.*)/.exec(stdout)?.[1] ?? message.split("\n")[0];
      throw new KafkaUnavailable(`Maven could not fetch Kafka's jars: ${line}`);
    });
    await writeFile(MARKER, wanted);
  } finally {
    unlock(lock.fd);
    await lock.close();
  }
}

async function marked(): Promise<string | undefined> {
  return await readFile(MARKER, "utf8").catch(() => undefined);
}

async function pomHash(): Promise<string> {
  return createHash("sha256")
    .update(await readFile(POM))
    .digest("hex");
}

/** What a tool prints about itself, or undefined if it cannot be run. */
async function version(command: string, args: readonly string[]): Promise<string | undefined> {
  return await promisify(execFile)(command, args).then(
    ({ stdout, stderr }) => stdout + stderr,
    () => undefined,
  );
}
