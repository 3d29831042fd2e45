// The bench's stand-in for Kafka: a broker that acknowledges every record batch at once and keeps none of them.
//
// With it a run shows what the servers alone can do: no disk and no page cache, and a broker that takes a small part of the
// cores. It is a process of its own, because its work must not be counted as a server's. It ends when its input does, so it
// does not outlive the bench.
//
//   node bench/standin.ts TOPIC=PARTITIONS...      says {"msg":"ready","bootstrap":"host:port"} on standard error

import { FakeCluster } from "../test/support/fake-broker.ts";

const topics = Object.fromEntries(
  process.argv.slice(2).map((argument) => {
    const [name = "", partitions] = argument.split("=");
    return [name, Number(partitions)];
  }),
);
const cluster = await FakeCluster.start({ topics, store: false, verify: false });
console.error(JSON.stringify({ msg: "ready", bootstrap: cluster.bootstrap }));
process.stdin.resume();
process.stdin.once("end", () => void cluster.stop());
