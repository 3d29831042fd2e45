// All streams come over one connection, and so to one of two workers: everybody says that load is uneven, and whose it is.

import assert from "node:assert/strict";
import { hastened } from "../../deploy/support/prometheus.ts";
import { sceneTest } from "./scene.ts";

sceneTest(
  "all streams on one worker: the ratio of the scrape, page, top, doctor and alert say which, and that it has everything",
  {
    brokers: 1,
    partitions: 4,
    env: { WORKERS: "2" },
    // Whether it costs half a core depends on the machine.
    rules: (text) => hastened(text).replace("cpu_seconds:rate5m > 0.5", "cpu_seconds:rate5m > 0"),
    load: { mode: "stream", callers: 32, window: 1, batch: 20, connections: 1, durability: 1, rate: 100 },
  },
  async (scene) => {
    const { prometheus } = scene;
    const { callers } = await scene.live(
      ({ callers }) => callers[0]?.workers.length === 1 && callers[0].streams === 32,
    );
    const [worker] = callers[0]!.workers;
    const alert = await prometheus.fires("SluiceWorkersUneven", { worker: `${worker}` });
    const [live] = await Promise.all([
      scene.live(({ history: { service, processes } }) => {
        const load = processes[`${worker}`]?.load.at(-1);
        return service.imbalance.at(-1) === 2 && load === 2;
      }),
      scene.page(
        "#bottleneck",
        new RegExp(`load is uneven: worker ${worker} gets 2 times the mean of all workers`),
        "pinned-streams",
      ),
      scene.top(new RegExp(`load is uneven: worker ${worker} gets 2 times the mean of all workers`)),
      scene.doctor(
        "uneven-workers",
        ({ level, message, remedy }) =>
          level === "warning" &&
          message.startsWith(`worker ${worker} has 100 % of `) &&
          message.includes(" 1 of 1 connection, so the others idle") &&
          remedy!.endsWith("at least 2 connections"),
      ),
    ]);
    const [ratio] = await prometheus.query("max(sluice_worker_imbalance_ratio)");
    assert.ok(ratio!.value > 1.9, `${ratio!.value}`);
    assert.match(alert.annotations["summary"]!, new RegExp(`^Worker ${worker} of .* has most of the load$`));
    assert.match(live.bottleneck.notes.join(), new RegExp(`worker ${worker} gets 2 times`));
  },
);
