import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { profilesDirectory } from "../../src/profiling/slice-files.ts";
import { profileOf } from "../../src/profiling/window.ts";
import { Durability } from "../../src/gen/sluice/v1/ingest_pb.js";
import { scrape } from "../supervisor/fixture/client.ts";
import { Load } from "../support/load.ts";
import { eventually, startService } from "../support/service.ts";
import { flatten, type FlatSample, top } from "./read.ts";

const FIXTURE = join(import.meta.dirname, "fixture/main.ts");
/** 1,000 samples: the share of a topic that has half of them has a standard deviation of 1.6 points. */
const CPU_SECONDS = 25;

const sum = (samples: readonly FlatSample[]) => samples.reduce((total, { values }) => total + values["cpu"]!, 0);

test(
  "labels say which topic the CPU of a mixed load was spent on, by which method and caller",
  { timeout: 180_000 },
  async () => {
    await using service = await startService({ entry: FIXTURE, env: { WORKERS: "2" } });
    const load = (topic: string) =>
      new Load({
        address: service.grpcAddress,
        topic,
        durability: Durability.PERSISTED,
        streams: ["closes", "closes", "closes"],
        unaryCallers: 1,
        eventsPerBatch: 1,
        batchesUnansweredMax: 8,
      });
    const loads = [load("light-1"), load("heavy-3")];
    const perWorker = async (of: (worker: number) => string) => {
      const series = await scrape(service);
      return [0, 1].reduce((total, worker) => total + (series.get(of(worker)) ?? 0), 0);
    };
    const received = (topic: string) =>
      perWorker((worker) => `sluice_events_received_total{topic="${topic}",worker="${worker}"}`);
    const cpuSeconds = () => perWorker((worker) => `process_cpu_seconds_total{worker="${worker}"}`);
    const cut = async () => {
      const response = await fetch(`${service.adminUrl}/debug/pprof/profile?seconds=1`);
      assert.equal(response.status, 200);
      await response.bytes();
      return { atMs: Date.now(), light: await received("light-1"), heavy: await received("heavy-3") };
    };
    const before = await cut();
    const enough = (await cpuSeconds()) + CPU_SECONDS;
    await eventually("the workers have spent enough CPU", async () => (await cpuSeconds()) >= enough, 120_000);
    const after = await cut();
    await Promise.all(loads.map((each) => each.stop()));

    const window = { fromMs: before.atMs, toMs: after.atMs };
    const profile = await profileOf({ dir: profilesDirectory(service.dataDir), kind: "cpu", ...window });
    const samples = flatten(profile).filter(({ labels }) => labels["worker"] !== "supervisor");
    const ofTopic = (topic: string) => samples.filter(({ labels }) => labels["topic"] === topic);
    const light = sum(ofTopic("light-1"));
    const heavy = sum(ofTopic("heavy-3"));
    const units = { light: after.light - before.light, heavy: 3 * (after.heavy - before.heavy) };
    assert.ok(units.light > 0 && units.heavy > 0);

    const labelled = (light + heavy) / sum(samples);
    const expected = units.heavy / (units.light + units.heavy);
    const found = heavy / (light + heavy);
    const seen = JSON.stringify({ labelled, expected, found, units });
    assert.ok(labelled >= 0.9, seen);
    assert.ok(Math.abs(found - expected) <= 0.05, seen);

    const { frame } = top(ofTopic("heavy-3"), "cpu");
    assert.deepEqual([frame.name, frame.file], ["burnForTopic", FIXTURE]);
    const labels = new Set(
      ofTopic("heavy-3").map(({ labels: each }) => `${each["stage"]} ${each["method"]} ${each["caller"]}`),
    );
    assert.ok(labels.has("receive /sluice.v1.EventIngest/Publish 127.0.0.1"));
    assert.ok(labels.has("receive /sluice.v1.EventIngest/PublishStream 127.0.0.1"));
  },
);
