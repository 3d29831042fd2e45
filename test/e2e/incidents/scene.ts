// The scene of an incident: the service with two workers under a steady load, what does it harm, and what is left in its bundles.
//
// Whatever a test asks for, every scene ends with the same look: no bundle, no archive and no log line has a canary, of events or
// of secrets.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Incident, IncidentKind } from "../../../src/incidents/incident.ts";
import { Durability } from "../../../src/gen/sluice/v1/ingest_pb.js";
import { historyDirectory } from "../../../src/supervisor/timeline.ts";
import { readHistory } from "../../../src/telemetry/history-file.ts";
import { assertNoCanary, AUTHORIZATION, SECRETS } from "../../support/canaries.ts";
import { PUBLISH, RawClient } from "../../support/raw-client.ts";
import { eventually, type RunningService, startService } from "../../support/service.ts";
import { encodeBatch, SteadyLoad } from "../../support/steady-load.ts";
import { type Bundle, HARMFUL, readBundles } from "./bundle.ts";

const WORKERS = ["0", "1"] as const;
/** What a process has to be old before triggers look at it, and some seconds that an incident reaches back to. */
const QUIET_SECONDS = 13;
/** How much of the history a failure shows. */
const SHOWN_MS = 20_000;

export interface SceneOptions {
  /** INCIDENT_TRIGGERS */
  readonly triggers: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly durability?: Durability;
  /** Not to be told of the secrets: for brokers that know no SASL. */
  readonly withoutSecrets?: true;
}

/** A harm that goes on until it is disposed. */
export type Harm = Disposable;

export class Scene implements AsyncDisposable {
  readonly service: RunningService;
  readonly load: SteadyLoad;
  readonly #dataDir: string;
  #stopped = false;

  private constructor(service: RunningService, load: SteadyLoad, dataDir: string) {
    this.service = service;
    this.load = load;
    this.#dataDir = dataDir;
  }

  /** Resolves when the load is on both workers and everything has been quiet for a while. */
  static async start({ triggers, env = {}, durability, withoutSecrets }: SceneOptions): Promise<Scene> {
    const dataDir = await mkdtemp(join(tmpdir(), "sluice-incident-"));
    const service = await startService({
      entry: HARMFUL,
      env: {
        WORKERS: String(WORKERS.length),
        DRAIN_TIMEOUT: "3s",
        DATA_DIR: dataDir,
        INCIDENT_TRIGGERS: triggers,
        ...(withoutSecrets === true ? {} : SECRETS),
        ...env,
      },
    });
    const load = new SteadyLoad({
      address: service.grpcAddress,
      topic: "clicks",
      durability: durability ?? Durability.PERSISTED,
      streams: 6,
      batchesPerSecond: 25,
    });
    const scene = new Scene(service, load, dataDir);
    try {
      await eventually("both workers have load", async () => {
        const stored = await scene.storedByWorker();
        return WORKERS.every((worker) => (stored.get(worker) ?? 0) > 0);
      });
      await new Promise((resolve) => {
        setTimeout(resolve, QUIET_SECONDS * 1000);
      });
      assert.deepEqual(await scene.incidents(), [], "nothing fires on a service that is healthy");
      return scene;
    } catch (error) {
      await scene[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#stop();
    } finally {
      await rm(this.#dataDir, { recursive: true, force: true });
    }
  }

  /** One client sends events of the topic one after the other, each when the last is answered. */
  harm(topic: string): Harm {
    const [host = "", port = ""] = this.service.grpcAddress.split(":");
    const client = new RawClient({ host, port: Number(port) });
    const ended = new AbortController();
    const send = async (): Promise<void> => {
      for (let sequence = 1; !ended.signal.aborted; sequence++)
        await client.unary(PUBLISH, encodeBatch(topic, Durability.PERSISTED, sequence, 2));
    };
    // Its end is that of the connection.
    void send().catch(() => {});
    return {
      [Symbol.dispose]: () => {
        ended.abort();
        client[Symbol.dispose]();
      },
    };
  }

  /** All that are recorded or complete, the newest first. */
  async incidents(): Promise<readonly Incident[]> {
    const response = await this.#get("/debug/incidents?format=json");
    return ((await response.json()) as { readonly incidents: readonly Incident[] }).incidents;
  }

  /** Resolves when there is an incident of one of the kinds that has the files. */
  async incident(kinds: readonly IncidentKind[], files: readonly string[], timeoutMs = 40_000): Promise<Incident> {
    let last: readonly Incident[] = [];
    try {
      return await eventually(
        `an incident of the kind ${kinds.join(" or ")} with ${files.join(", ")}`,
        async () => {
          last = await this.incidents();
          return last.find(
            (incident) =>
              kinds.includes(incident.kind) && files.every((name) => incident.files.some((f) => f.name === name)),
          );
        },
        timeoutMs,
      );
    } catch (error) {
      const history = await readHistory(historyDirectory(this.#dataDir), Date.now() - SHOWN_MS, Date.now());
      const told = `${JSON.stringify(last)}\n${JSON.stringify(history.workers)}\n${this.service.stderr().slice(-4_000)}`;
      throw new Error(`there are ${told}`, { cause: error });
    }
  }

  /** Events stored since their start, by the worker that took them. */
  async storedByWorker(): Promise<ReadonlyMap<string, number>> {
    const text = await (await this.#get("/metrics")).text();
    const stored = new Map<string, number>();
    for (const [, labels = "", value] of text.matchAll(/^sluice_events_stored_total\{(.*)\} (\d+)$/gm)) {
      const worker = /worker="(\w+)"/.exec(labels)?.[1] ?? "";
      stored.set(worker, (stored.get(worker) ?? 0) + Number(value));
    }
    return stored;
  }

  /** Fails unless the worker that is not harmed takes events, and clients are told so, while the harm goes on. */
  async assertIngestGoesOn(harmed: string): Promise<void> {
    const other = WORKERS.find((worker) => worker !== harmed)!;
    const before = { acknowledged: this.load.acknowledged, stored: (await this.storedByWorker()).get(other) ?? 0 };
    await eventually(`worker ${other} takes 1,000 events, and they are acknowledged`, async () => {
      const stored = ((await this.storedByWorker()).get(other) ?? 0) - before.stored;
      return stored >= 1_000 && this.load.acknowledged - before.acknowledged >= 1_000;
    });
  }

  /** Ends the service, and reads what it left: an incident that is still recorded is completed at the end. */
  async bundles(): Promise<readonly Bundle[]> {
    for (const { id } of await this.incidents()) {
      const archive = Buffer.from(await (await this.#get(`/debug/incidents/${id}.tar.gz`)).arrayBuffer());
      assertNoCanary(gunzipSync(archive), `the archive of ${id}`);
    }
    await this.#stop();
    assertNoCanary(Buffer.from(this.service.stderr() + this.service.stdout()), "the log");
    return await readBundles(join(this.#dataDir, "incidents"));
  }

  async #get(path: string): Promise<Response> {
    const response = await fetch(this.service.adminUrl + path, { headers: AUTHORIZATION });
    assert.equal(response.status, 200, path);
    return response;
  }

  async #stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.load[Symbol.dispose]();
    await this.service.stop();
  }
}
