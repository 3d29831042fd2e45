// Where the time goes, as everybody is told who looks from outside: the service between the bench's load client and brokers that
// do what they are told, with the real Prometheus and its rules, the page in a browser, `sluice top` and `sluice doctor`.
//
// One scene for all of them, so that they are asked about the same seconds: what each says alone is nothing worth if they
// contradict each other.

import assert from "node:assert/strict";
import { join } from "node:path";
import type { Page } from "puppeteer-core";
import type { LiveSnapshot, Stage } from "../../../src/admin/live/model.ts";
import type { NamedFinding } from "../../../src/cli/doctor/finding.ts";
import { Child } from "../../../scripts/child.ts";
import { judge } from "../../../scripts/judges.ts";
import { run } from "../../cli/support.ts";
import { hastened, PrometheusServer } from "../../deploy/support/prometheus.ts";
import { browserTest, type HeadlessBrowser, type OpenPage, screenshot } from "../../support/browser.ts";
import { FakeCluster, type ProduceHook } from "../../support/fake-broker.ts";
import { eventually, type RunningService, startService } from "../../support/service.ts";

const ROOT = join(import.meta.dirname, "../../..");
const START_TIMEOUT_MS = 60_000;
const SAID_WITHIN_MS = 80_000;
/** Longer than any test takes: the load ends with the scene. */
const LOAD_SECONDS = 600;

export const TOPIC = "clicks";

export interface SceneOptions {
  readonly brokers: number;
  readonly partitions: number;
  /** What brokers do with Produce requests. */
  readonly onProduce?: ProduceHook;
  readonly env?: Readonly<Record<string, string>>;
  /** What is done before the load begins, and ended with the scene. */
  readonly prepare?: (cluster: FakeCluster, service: RunningService) => Promise<Disposable>;
  /** What is done to the text of the rules; default: they are hastened. */
  readonly rules?: (text: string) => string;
  /** Flags of bench/load.ts. */
  readonly load: Readonly<Record<string, string | number>>;
}

/** A test of what is told while a load goes on; skipped where Chromium or Prometheus is missing. */
export function sceneTest(title: string, options: SceneOptions, body: (scene: Scene) => Promise<void>): void {
  browserTest(title, async (browser, context) => {
    const program = await judge("prometheus");
    if (typeof program === "string") {
      context.skip(program);
      return;
    }
    const { brokers, partitions, onProduce, env, prepare, rules = hastened, load } = options;
    await using cluster = await FakeCluster.start({ brokers, topics: { [TOPIC]: partitions }, store: false });
    cluster.onProduce = onProduce;
    await using service = await startService({
      env: { KAFKA_BROKERS: cluster.bootstrap, DRAIN_TIMEOUT: "2s", ...env },
      timeoutMs: START_TIMEOUT_MS,
    });
    using _prepared = await prepare?.(cluster, service);
    const target = new URL(service.adminUrl).host;
    await using prometheus = await PrometheusServer.start(program, { target, rules });
    await using client = startLoad(service, load);
    const scene = new Scene({ cluster, service, prometheus, browser, client });
    await scene.open();
    await body(scene);
    await scene.close();
  });
}

function startLoad({ grpcAddress }: RunningService, load: SceneOptions["load"]): Child {
  const flags = { addr: grpcAddress, topic: TOPIC, warm: 0, seconds: LOAD_SECONDS, ...load };
  return new Child({
    name: "the load client",
    command: process.execPath,
    args: [join(ROOT, "bench/load.ts"), ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)],
    cwd: ROOT,
    env: {},
  });
}

interface Parts {
  readonly cluster: FakeCluster;
  readonly service: RunningService;
  readonly prometheus: PrometheusServer;
  readonly browser: HeadlessBrowser;
  readonly client: Child;
}

export class Scene {
  readonly cluster: FakeCluster;
  readonly prometheus: PrometheusServer;
  readonly #service: RunningService;
  readonly #browser: HeadlessBrowser;
  readonly #client: Child;
  #opened: OpenPage | undefined;

  constructor({ cluster, service, prometheus, browser, client }: Parts) {
    this.cluster = cluster;
    this.prometheus = prometheus;
    this.#service = service;
    this.#browser = browser;
    this.#client = client;
  }

  /** Resolves when the page is there; it is kept up to date by its script from then on. */
  async open(): Promise<void> {
    this.#opened = await this.#browser.open("about:blank");
    await this.#page.goto(this.#service.adminUrl, { waitUntil: "domcontentloaded" });
  }

  /** Fails unless the load still goes on and the page has found nothing to complain about. */
  async close(): Promise<void> {
    this.#client.assertRuns();
    assert.deepEqual(this.#opened!.complaints, []);
    await this.#page.close();
  }

  /** What a broker is called everywhere. */
  nameOf(nodeId: number): string {
    const { host, port } = this.cluster.broker(nodeId);
    return `${host}:${port}`;
  }

  /** Resolves with the 99th percentile of each stage since the start, in seconds, of the scraped histogram, when it is so. */
  async scraped(isSo: (p99: Readonly<Record<Stage, number>>) => boolean): Promise<Readonly<Record<Stage, number>>> {
    return await this.#said("the stage histogram", async () => {
      const samples = await this.prometheus.query(
        "histogram_quantile(0.99, sum by (stage, le) (sluice_stage_seconds_bucket))",
      );
      const p99 = Object.fromEntries(samples.map(({ labels, value }) => [labels["stage"], value]));
      return { says: p99, isSo: isSo(p99 as Record<Stage, number>) };
    });
  }

  /** Resolves with the live data when it is so. */
  async live(isSo: (snapshot: LiveSnapshot) => boolean): Promise<LiveSnapshot> {
    return await this.#said("the live data", async () => {
      const response = await fetch(`${this.#service.adminUrl}/debug/live?seconds=5`);
      assert.equal(response.status, 200);
      const snapshot = (await response.json()) as LiveSnapshot;
      return { says: snapshot, isSo: isSo(snapshot) };
    });
  }

  /** Resolves when an element of the page matches, and keeps a picture of the page. */
  async page(selector: string, sign: RegExp, picture: string): Promise<void> {
    await this.#said("the page", async () => {
      const text = await this.#page.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ""`);
      return { says: text, isSo: sign.test(String(text)) };
    });
    await screenshot(this.#page, `visibility-${picture}`);
  }

  /** Resolves when a frame of `sluice top` matches. */
  async top(sign: RegExp): Promise<void> {
    await this.#said("sluice top", async () => {
      const { code, stdout, stderr } = await run(["top", "--once"], { env: this.#env });
      assert.equal(code, 0, stderr);
      return { says: stdout, isSo: sign.test(stdout) };
    });
  }

  /** Resolves when `sluice doctor` has a finding of this check that is so. */
  async doctor(check: string, isSo: (finding: NamedFinding) => boolean): Promise<void> {
    await this.#said("sluice doctor", async () => {
      const { stdout } = await run(["doctor", "--json", "--watch", "3s"], { env: this.#env });
      const findings = (JSON.parse(stdout) as NamedFinding[]).filter((finding) => finding.check === check);
      return { says: findings, isSo: findings.some(isSo) };
    });
  }

  get #page(): Page {
    return this.#opened!.page;
  }

  get #env(): Readonly<Record<string, string>> {
    return { ADMIN_LISTEN: new URL(this.#service.adminUrl).host, DATA_DIR: this.#service.dataDir };
  }

  /** Resolves with what is said as soon as it is so; otherwise tells what was said last. */
  async #said<T>(who: string, ask: () => Promise<{ readonly says: T; readonly isSo: boolean }>): Promise<T> {
    let last: T | undefined;
    const said = eventually(
      `${who} says so`,
      async () => {
        this.#client.assertRuns();
        const { says, isSo } = await ask();
        last = says;
        return isSo ? { says } : undefined;
      },
      SAID_WITHIN_MS,
    );
    return await said.then(
      ({ says }) => says,
      (error: unknown) => {
        throw new Error(`${String(error)}; it said ${JSON.stringify(last)}`, { cause: error });
      },
    );
  }
}
