// What a Produce request costs the direct producer: `node bench/micro/produce.ts`. Microseconds of CPU a request, system calls
// included, from sealing its record batches to the last of them settled.
//
// The broker is the stand-in, in a process of its own. Each request waits for the answer to the one before, so that the
// process sleeps in between, as it does beside a real broker. `--batches 3 --bytes 1500`: record batches a request, of as many
// of the 6 partitions, and their size.

import "./worker-v8.ts";
import { parseArgs } from "node:util";
import type { BatchSettler, SealedBatch } from "../../src/ingest/producer.ts";
import { writeBatchHeader } from "../../src/wire/record-batch.ts";
import { direct } from "../../test/kafka/support/harness.ts";
import { startBroker, topicNames } from "../brokers.ts";
import { median } from "../statistics.ts";

const { values } = parseArgs({
  options: { batches: { type: "string", default: "3" }, bytes: { type: "string", default: "1500" } },
});
const BATCHES = Number(values.batches);
const BYTES = Number(values.bytes);

const [TOPIC = ""] = topicNames(1);
const PARTITIONS = 6;
const RECORDS = 14;
const ROUNDS = 9;
const WARM_UP_ROUNDS = 3;
const REQUESTS_PER_ROUND = 3_000;

await using broker = await startBroker("standin", new AbortController().signal);
const { producer } = direct(broker.bootstrap, { requestTimeoutMs: 30_000 });
await producer.start();
await producer.lookup(TOPIC);

const buffers = Array.from({ length: PARTITIONS }, () => Buffer.alloc(BYTES));
let next = 0;

function send(settler: BatchSettler): void {
  for (let i = 0; i < BATCHES; i++) {
    const partition = next++ % PARTITIONS;
    const bytes = buffers[partition]!;
    writeBatchHeader(bytes, bytes.length, RECORDS, 1_700_000_000_000, 1_700_000_000_001);
    const batch: SealedBatch = { topic: TOPIC, partition, count: RECORDS, bytes };
    producer.send(batch, settler);
  }
}

/** Sends so many requests, one after the other. */
async function requests(count: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let left = count;
    let open = BATCHES;
    const settler: BatchSettler = {
      stored: () => {
        if (--open > 0) return;
        if (--left === 0) return resolve();
        open = BATCHES;
        setImmediate(send, settler);
      },
      failed: (_batch, _first, _count, error) => reject(error),
    };
    send(settler);
  });
}

const measured: number[] = [];
for (let i = 0; i < ROUNDS + WARM_UP_ROUNDS; i++) {
  const before = process.cpuUsage();
  await requests(REQUESTS_PER_ROUND);
  const { user, system } = process.cpuUsage(before);
  if (i >= WARM_UP_ROUNDS) measured.push((user + system) / REQUESTS_PER_ROUND);
}
console.log(`${median(measured).toFixed(1)} us of CPU a request of ${BATCHES} record batches`);
await producer.dispose();
