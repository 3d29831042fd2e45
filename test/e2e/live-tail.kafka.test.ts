// The tail of a topic on the page, from a real broker: a busy topic is read no faster than it is shown.

import assert from "node:assert/strict";
import type { TailedSecond } from "../../src/admin/live/tail.ts";
import { Durability } from "../../src/gen/sluice/v1/ingest_pb.js";
import { kafkaTest } from "../support/kafka.ts";
import { startService } from "../support/service.ts";
import { SteadyLoad } from "../support/steady-load.ts";

interface Shown {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

kafkaTest("of a busy topic twenty events a second are shown, and those between are never read", async (kafka) => {
  const topic = await kafka.createTopic("busy", { partitions: 2 });
  await using service = await startService({ env: { KAFKA_BROKERS: kafka.bootstrap, ADMIN_TAIL: "true" } });
  using _load = new SteadyLoad({
    address: service.grpcAddress,
    topic,
    durability: Durability.REPLICATED,
    streams: 2,
    batchesPerSecond: 50,
  });
  const leaving = new AbortController();
  const response = await fetch(`${service.adminUrl}/debug/live/tail?topic=${topic}`, { signal: leaving.signal });
  assert.equal(response.status, 200);
  const seconds: TailedSecond[] = [];
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const messages = text.split("\n\n");
    text = messages.pop()!;
    for (const message of messages) {
      assert.doesNotMatch(message, /^event: problem/m);
      const data = /^data: (.*)$/m.exec(message)?.[1];
      if (data !== undefined) seconds.push(JSON.parse(data) as TailedSecond);
    }
    if (seconds.length >= 5) break;
  }
  leaving.abort();
  for (const { lines } of seconds) assert.ok(lines.length <= 20, String(lines.length));
  const shown = seconds.flatMap(({ lines }) => lines.map((line) => JSON.parse(line) as Shown));
  assert.ok(shown.every((event) => event.topic === topic && event.partition < 2));
  const offsets = shown.filter(({ partition }) => partition === shown[0]!.partition).map(({ offset }) => offset);
  // What was written while the page had enough is passed over.
  assert.ok(offsets.at(-1)! - offsets[0]! > offsets.length, `${offsets[0]} to ${offsets.at(-1)}`);
  assert.ok(offsets.every((offset, i) => i === 0 || offset > offsets[i - 1]!));
});
