// The real Prometheus, with the configuration and the rules of deploy/prometheus, on a free port and at a test's pace.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Judge } from "../../../scripts/judges.ts";
import { eventually } from "../../support/service.ts";
import { PROMETHEUS, read, ruleFiles } from "./rules.ts";

const START_TIMEOUT_MS = 30_000;
const QUERY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;
const FIRES_WITHIN_MS = 80_000;

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Rule {
  readonly name: string;
  readonly type: "alerting" | "recording";
  readonly query: string;
  readonly health: "ok" | "unknown" | "err";
  readonly lastError?: string;
}

export interface Alert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: "pending" | "firing";
}

/** Rules at a test's pace: five minutes are fifteen seconds, and nothing has to last. */
export function hastened(rules: string): string {
  return rules.replaceAll(/\[5m\]/g, "[15s]").replaceAll(/for: \d+m/g, "for: 1s");
}

export interface PrometheusOptions {
  /** host:port of the service's admin port. */
  readonly target: string;
  /** What is done to the text of the rules; default: nothing. */
  readonly rules?: (text: string) => string;
}

/** The answer of a query: instant vectors and scalars. */
interface Answer {
  readonly resultType: "vector" | "scalar" | "matrix" | "string";
  readonly result: readonly { readonly metric: Sample["labels"]; readonly value: readonly [number, string] }[];
}

export class PrometheusServer implements AsyncDisposable {
  readonly #url: string;
  readonly #stop: () => Promise<void>;

  private constructor(url: string, stop: () => Promise<void>) {
    this.#url = url;
    this.#stop = stop;
  }

  /** Starts it, and resolves when it answers. */
  static async start(judge: Judge, { target, rules = (text) => text }: PrometheusOptions): Promise<PrometheusServer> {
    const folder = await mkdtemp(join(tmpdir(), "sluice-prometheus-"));
    const files: string[] = [];
    for (const [i, file] of ruleFiles("rules").entries()) {
      files.push(join(folder, `rules-${i}.yml`));
      await writeFile(files[i]!, rules(read(file)));
    }
    const config = join(folder, "prometheus.yml");
    await writeFile(config, await configuration(target, files));
    const args = [
      ...judge.args,
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      "--web.listen-address=127.0.0.1:0",
      "--enable-feature=exemplar-storage",
    ];
    const child = spawn(judge.command, args, { stdio: ["ignore", "ignore", "pipe"] });
    const kill = (): void => void child.kill("SIGKILL");
    process.once("exit", kill);
    let log = "";
    let ended = false;
    child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
    const closed = once(child, "close").then(
      () => (ended = true),
      () => (ended = true),
    );
    const stop = async (): Promise<void> => {
      child.kill("SIGTERM");
      const timer = setTimeout(kill, STOP_TIMEOUT_MS);
      await closed;
      clearTimeout(timer);
      process.removeListener("exit", kill);
      await rm(folder, { recursive: true, force: true });
    };
    try {
      const address = await eventually(
        "Prometheus listens",
        () => {
          if (ended) throw new Error("Prometheus ended");
          return /msg="Listening on" address=(\S+)/.exec(log)?.[1];
        },
        START_TIMEOUT_MS,
      );
      const server = new PrometheusServer(`http://${address}`, stop);
      await eventually("Prometheus is ready", () => server.#isReady(), START_TIMEOUT_MS);
      return server;
    } catch (error) {
      await stop();
      throw new Error(`${error instanceof Error ? error.message : String(error)}; it said:\n${log}`, { cause: error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }

  /** What an expression is now. @throws Error with Prometheus' words, if it cannot be computed. */
  async query(expression: string): Promise<Sample[]> {
    const { resultType, result } = (await this.#get("query", { query: expression })) as Answer;
    if (resultType === "scalar") return [{ labels: {}, value: Number((result as unknown as [number, string])[1]) }];
    if (resultType !== "vector") throw new Error(`${expression} is a ${resultType}`);
    return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  async rules(): Promise<Rule[]> {
    const { groups } = (await this.#get("rules")) as {
      readonly groups: readonly { readonly rules: readonly Rule[] }[];
    };
    return groups.flatMap(({ rules }) => rules);
  }

  /** Resolves with the first alert that fires and has these labels. */
  async fires(name: string, labels: Readonly<Record<string, string>> = {}): Promise<Alert> {
    let seen: readonly Alert[] = [];
    const found = eventually(
      `${name} fires`,
      async () => {
        seen = await this.alerts();
        return seen.find(
          (alert) =>
            alert.state === "firing" &&
            alert.labels["alertname"] === name &&
            Object.entries(labels).every(([label, value]) => alert.labels[label] === value),
        );
      },
      FIRES_WITHIN_MS,
    );
    return await found.catch((error: unknown) => {
      throw new Error(`${String(error)} with ${JSON.stringify(labels)}; there are ${JSON.stringify(seen)}`);
    });
  }

  async alerts(): Promise<readonly Alert[]> {
    return ((await this.#get("alerts")) as { readonly alerts: readonly Alert[] }).alerts;
  }

  /** Why scrapes fail, if they do. */
  async scrapeErrors(): Promise<string[]> {
    const { activeTargets } = (await this.#get("targets", { state: "active" })) as {
      readonly activeTargets: readonly { readonly lastError: string }[];
    };
    return activeTargets.map(({ lastError }) => lastError).filter((error) => error !== "");
  }

  async #isReady(): Promise<boolean> {
    const response = await fetch(`${this.#url}/-/ready`).catch(() => undefined);
    await response?.body?.cancel();
    return response?.ok === true;
  }

  async #get(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<unknown> {
    const url = `${this.#url}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`;
    const response = await fetch(url, { signal: AbortSignal.timeout(QUERY_TIMEOUT_MS) });
    const answer = (await response.json()) as {
      readonly status: string;
      readonly error?: string;
      readonly data?: unknown;
    };
    if (answer.status !== "success") throw new Error(`${answer.error}: ${Object.values(parameters).join(" ")}`);
    return answer.data;
  }
}

/** The configuration that is shipped, at one scrape a second, of one target, with these rules. */
async function configuration(target: string, rules: readonly string[]): Promise<string> {
  const shipped = read(join("deploy/prometheus", "prometheus.yml"));
  const changed = shipped
    .replaceAll(/_interval: \d+s/g, "_interval: 1s")
    .replace("- rules/*.yml", rules.map((path) => `- ${path}`).join("\n  "))
    .replace('["sluice:9464"]', `[${JSON.stringify(target)}]`);
  for (const text of ["_interval: 1s", target, ...rules])
    if (!changed.includes(text)) throw new Error(`${PROMETHEUS}/prometheus.yml is not what this knows to change`);
  return changed;
}
