// A Kafka cluster in memory that speaks the wire protocol over real sockets, for tests and as the bench's stand-in.
//
//   await using cluster = await FakeCluster.start({ brokers: 2, topics: { clicks: 4 } });
//   cluster.onProduce = once({ action: "disconnect", when: "after" });   // stored, but nobody is told
//   …a producer on cluster.bootstrap…
//   cluster.log("clicks", 0)                                              // what is really stored

export type { FakeBroker, Listen } from "./fake-broker/broker.ts";
export { FakeCluster, type FakeClusterOptions } from "./fake-broker/cluster.ts";
export {
  type AppendHook,
  type Fault,
  once,
  type ProduceHook,
  type ProduceRequest,
  type RequestHook,
  type RequestInfo,
  times,
} from "./fake-broker/hooks.ts";
export type { StoredBatch } from "./fake-broker/partition-log.ts";
export type { ProducePartition, RecordError } from "./fake-broker/produce.ts";
export type { TopicSpec } from "./fake-broker/state.ts";
export { type ApiName, ErrorCode, type Profile, type VersionRanges } from "./fake-broker/versions.ts";
