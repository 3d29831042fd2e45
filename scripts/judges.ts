// Those who judge what this repository offers to programs of others: some know HTTP/2 or gRPC and judge the server, Prometheus
// judges the metrics, rules and dashboards. `node scripts/judges.ts` fetches and builds what they need and says where they are;
// tests import `judge`. docs/conformance.md says how to run each by hand.

import { join } from "node:path";
import { goTool, missingForGo } from "./judges/go-tools.ts";
import { Jars } from "./maven.ts";
import { version } from "./program.ts";

export type JudgeName =
  | "go-interop"
  | "java-interop"
  | "h2spec"
  | "grpcurl"
  | "h2load"
  | "nghttp"
  | "curl"
  | "prometheus"
  | "promtool";

/** How to run one: `command`, then `args` before one's own. */
export interface Judge {
  readonly command: string;
  readonly args: readonly string[];
}

interface Source {
  /** One line that says what to install, or undefined. */
  missing(): Promise<string | undefined>;
  /** Fetches or builds it, the first time. @throws Error with one line. */
  get(): Promise<Judge>;
}

const INTEROP_JARS = new Jars({
  what: "gRPC's interop client",
  pom: join(import.meta.dirname, "judges", "pom.xml"),
  folder: "interop-libs",
  javaReleaseMin: 11,
});

const SOURCES: Readonly<Record<JudgeName, Source>> = {
  "go-interop": { missing: missingForGo, get: async () => ({ command: await goTool("client"), args: [] }) },
  "java-interop": { missing: () => INTEROP_JARS.missing(), get: javaInterop },
  h2spec: { missing: missingForGo, get: async () => ({ command: await goTool("h2spec"), args: [] }) },
  grpcurl: { missing: missingForGo, get: async () => ({ command: await goTool("grpcurl"), args: [] }) },
  h2load: program("h2load", "nghttp2-client"),
  nghttp: program("nghttp", "nghttp2-client"),
  curl: program("curl", "curl"),
  prometheus: program("prometheus", "prometheus"),
  promtool: program("promtool", "prometheus"),
};

export const JUDGES = Object.keys(SOURCES) as readonly JudgeName[];

/** The judge, ready to run, or one line that says what to install. @throws Error with one line, if it cannot be fetched. */
export async function judge(name: JudgeName): Promise<Judge | string> {
  return (await SOURCES[name].missing()) ?? (await SOURCES[name].get());
}

/** One line for each judge that is not there: which, and what to install. */
export async function missingJudges(): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const name of JUDGES) {
    const missing = await SOURCES[name].missing();
    if (missing !== undefined) lines.push(`${name}: ${missing}`);
  }
  return lines;
}

function program(command: string, debianPackage: string): Source {
  return {
    missing: async () =>
      (await version(command, ["--version"])) === undefined
        ? `${command} is not installed (Debian: apt-get install ${debianPackage})`
        : undefined,
    get: () => Promise.resolve({ command, args: [] }),
  };
}

async function javaInterop(): Promise<Judge> {
  // Each case is a process of its own: what makes a JVM start fast matters, what makes it run fast does not.
  const options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx512m"];
  const main = "io.grpc.testing.integration.TestServiceClient";
  return { command: "java", args: [...options, "-cp", await INTEROP_JARS.classPath(), main] };
}

if (import.meta.main) {
  for (const name of JUDGES) {
    const found = await judge(name);
    if (typeof found === "string") process.exitCode = 1;
    process.stdout.write(`${name}: ${typeof found === "string" ? found : [found.command, ...found.args].join(" ")}\n`);
  }
}
