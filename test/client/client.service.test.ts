// The SDK against the real service.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { connect, Durability, SluiceError } from "../../src/client/index.ts";
import { readSpool } from "../../src/spool/reader.ts";
import { startService } from "../support/service.ts";
import { decodeRecords } from "../../src/wire/record-batch.ts";

const batch = (name: number, events: number) => ({
  topic: "t",
  events: Array.from({ length: events }, (_, i) => ({ key: `key-${i % 3}`, value: `${name}/${i}` })),
});

async function spooledValues(dataDir: string): Promise<string[]> {
  const values: string[] = [];
  for await (const { bytes } of readSpool({ dataDir, topic: "t" }))
    for (const { value } of decodeRecords(bytes)) values.push(value!.toString());
  return values;
}

test("unary and stream say what was stored, what failed and what was refused", async () => {
  await using service = await startService();
  await using client = connect(service.grpcAddress);
  const stream = client.openStream();
  for (const publish of [client.publish.bind(client), stream.publish.bind(stream)]) {
    const answer = await publish({
      topic: "t",
      events: [{ value: "a" }, { value: "b", topic: "not legal" }, { value: "c", timestamp: -1 }],
    });
    assert.equal(answer.stored, 1);
    assert.equal(answer.durability, Durability.PERSISTED);
    assert.deepEqual(
      answer.failures.map(({ index, retryable }) => [index, retryable]),
      [
        [1, false],
        [2, false],
      ],
    );
    await assert.rejects(publish({ ...batch(0, 1), durability: Durability.REPLICATED }), (error) => {
      assert.ok(error instanceof SluiceError);
      assert.deepEqual([error.codeName, error.outcome], ["FAILED_PRECONDITION", "not_stored"]);
      assert.match(error.message, /KAFKA_BROKERS/);
      return true;
    });
  }
});

test("when the service drains, every batch that was sent is answered, and what was stored is on disk", async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), "sluice-client-"));
  t.after(() => {
    rmSync(dataDir, { recursive: true, force: true });
  });
  const service = await startService({ env: { DATA_DIR: dataDir, WORKERS: "2" } });
  const client = connect(service.grpcAddress);
  const streams = [1, 2, 3].map(() => client.openStream({ connectTimeoutMs: 200 }));
  const stored: string[] = [];
  const unstored: string[] = [];
  let unknown = 0;
  let stopping: Promise<unknown> | undefined;
  const all: Promise<void>[] = [];
  // Until nobody takes batches any more.
  for (let i = 0; unstored.length === 0; i++) {
    const stream = streams[i % streams.length]!;
    await stream.ready();
    const values = batch(i, 20).events.map(({ value }) => value);
    all.push(
      stream.publish(batch(i, 20)).then(
        (response) => {
          assert.equal(response.stored, 20);
          stored.push(...values);
        },
        (error: SluiceError) => {
          assert.equal(error.codeName, "UNAVAILABLE");
          if (error.outcome === "not_stored") unstored.push(...values);
          else unknown++;
        },
      ),
    );
    if (i === 300) stopping = service.stop();
  }
  await Promise.all(all);
  await client.close();
  await stopping;
  const spooled = await spooledValues(dataDir);
  const onDisk = new Set(spooled);
  assert.equal(spooled.length, onDisk.size, "nothing is stored twice");
  assert.equal(unknown, 0, "every batch that was sent is answered");
  assert.ok(stored.length >= 300, String(stored.length));
  assert.deepEqual(
    stored.filter((value) => !onDisk.has(value)),
    [],
    "what was acknowledged is on disk",
  );
  assert.deepEqual(
    unstored.filter((value) => onDisk.has(value)),
    [],
    "what was told to be not stored is not",
  );
});
