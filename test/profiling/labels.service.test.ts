import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { Durability } from "../../src/gen/sluice/v1/ingest_pb.js";
import { scrape } from "../supervisor/fixture/client.ts";
import { Load } from "../support/load.ts";
import { startService } from "../support/service.ts";
import { decode, flatten, type FlatSample, top } from "./read.ts";

const FIXTURE = join(import.meta.dirname, "fixture/main.ts");
const SECONDS = 15;

const sum = (samples: readonly FlatSample[]) => samples.reduce((total, { values }) => total + values["cpu"]!, 0);

test("labels say which topic the CPU of a mixed load was spent on, by which method and caller", async () => {
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
  await new Promise((resolve) => {
    setTimeout(resolve, 1_000);
  });
  const received = async (topic: string) => {
    const series = await scrape(service);
    return [0, 1].reduce(
      (total, worker) => total + (series.get(`sluice_events_received_total{topic="${topic}",worker="${worker}"}`) ?? 0),
      0,
    );
  };
  const before = { light: await received("light-1"), heavy: await received("heavy-3") };
  const response = await fetch(`${service.adminUrl}/debug/pprof/profile?seconds=${SECONDS}`);
  const after = { light: await received("light-1"), heavy: await received("heavy-3") };
  await Promise.all(loads.map((each) => each.stop()));
  assert.equal(response.status, 200);

  const samples = flatten(decode(new Uint8Array(await response.arrayBuffer()))).filter(
    ({ labels }) => labels["worker"] !== "supervisor",
  );
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
});
