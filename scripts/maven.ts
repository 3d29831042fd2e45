// Jars from Maven's registry: what a pom.xml lists, with all that it depends on, resolved once into a cached folder.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { CachedFolder } from "./cached.ts";
import { version } from "./program.ts";

export interface JarsOptions {
  /** What they are, for messages: "Kafka". */
  readonly what: string;
  readonly pom: string;
  /** The name of the folder in .cache. */
  readonly folder: string;
  /** The Java release that they are compiled for. */
  readonly javaReleaseMin: number;
}

export class Jars {
  readonly #options: JarsOptions;
  readonly #folder: CachedFolder;

  constructor(options: JarsOptions) {
    this.#options = options;
    this.#folder = new CachedFolder(options.folder, [options.pom]);
  }

  /** One line that says what to install before they can be run, or undefined. */
  async missing(): Promise<string | undefined> {
    const { what, javaReleaseMin } = this.#options;
    const remedy = "(Debian: apt-get install default-jre-headless)";
    const java = await version("java", ["-version"]);
    if (java === undefined)
      return `java is not installed: install a Java runtime, ${javaReleaseMin} or newer ${remedy}`;
    const release = Number(/version "(?:1\.)?(\d+)/.exec(java)?.[1] ?? javaReleaseMin);
    if (release < javaReleaseMin) return `java is ${release}, and ${what} needs ${javaReleaseMin} or newer ${remedy}`;
    if (await this.#folder.isComplete()) return undefined;
    if ((await version("mvn", ["--version"])) === undefined)
      return `mvn is not installed: install Maven, which fetches ${what} (Debian: apt-get install maven)`;
    return undefined;
  }

  /** The class path with all of them. @throws Error with one line, if Maven cannot fetch them. */
  async classPath(): Promise<string> {
    const { what, pom } = this.#options;
    const folder = await this.#folder.complete(async (path) => {
      const options = ["-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DincludeScope=runtime"];
      await promisify(execFile)("mvn", [...options, `-DoutputDirectory=${path}`]).catch((error: unknown) => {
        const { stdout = "", message } = error as { stdout?: string; message: string };
        const line = /\[ERROR\] (.*)/.exec(stdout)?.[1] ?? message.split("\n")[0];
        throw new Error(`Maven could not fetch ${what}'s jars: ${line}`, { cause: error });
      });
    });
    return join(folder, "*");
  }
}
