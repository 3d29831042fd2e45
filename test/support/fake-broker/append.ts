// What a broker does with a Produce request: per partition, refuse it or append it.

import { crc32c } from "@node-rs/crc32";

import type { AppendHook, Fault, Refusal } from "./hooks.ts";
import { CRC_AT, CRC_COVERS_FROM, type NodeEndpoint, type PartitionResult, type ProducePartition } from "./produce.ts";
import type { ClusterState, FakePartition, FakeTopic } from "./state.ts";
import { ErrorCode } from "./versions.ts";

export interface AppendOptions {
  /** Keep the batches, so that they can be read back. */
  readonly store: boolean;
  /** Check CRC, size, count and sequence, as a broker does; else everything is taken. */
  readonly verify: boolean;
  readonly refuse: AppendHook | undefined;
}

const FENCED_LEADER_EPOCH = 74;

export function appendAll(
  state: ClusterState,
  nodeId: number,
  partitions: readonly ProducePartition[],
  options: AppendOptions,
  fault: Fault | undefined,
): PartitionResult[] {
  return partitions.map((request) => {
    const { topic: name, partition: index } = request;
    const topic = state.topics.get(name);
    const partition = topic?.partitions[index];
    const hit = fault?.action === "error" && (fault.only?.(request) ?? true) ? fault : undefined;
    const refusal = hit !== undefined && hit.when !== "after" ? hit.code : ErrorCode.NONE;
    const appended =
      refusal !== ErrorCode.NONE ? failed(refusal) : append(state, nodeId, topic, partition, request, options);
    const told = hit?.when === "after" && appended.errorCode === ErrorCode.NONE ? failed(hit.code) : appended;
    const leaderMoved = told.errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER || told.errorCode === FENCED_LEADER_EPOCH;
    const why = hit ?? appended.refusal;
    return {
      topic: name,
      partition: index,
      ...told,
      message: why?.message,
      recordErrors: why?.recordErrors,
      currentLeader:
        leaderMoved && partition !== undefined ? { nodeId: partition.leader, epoch: partition.leaderEpoch } : undefined,
    };
  });
}

/** The addresses of the leaders that the results name (KIP-951). */
export function endpointsOf(state: ClusterState, results: readonly PartitionResult[]): NodeEndpoint[] {
  const named = new Set<number>();
  for (const { currentLeader } of results) if (currentLeader !== undefined) named.add(currentLeader.nodeId);
  return named.size === 0 ? [] : state.nodes.filter((node) => named.has(node.nodeId));
}

interface Appended {
  readonly errorCode: number;
  readonly baseOffset: number;
  /** What the hook said. */
  readonly refusal?: Refusal;
}

function append(
  state: ClusterState,
  nodeId: number,
  topic: FakeTopic | undefined,
  partition: FakePartition | undefined,
  request: ProducePartition,
  options: AppendOptions,
): Appended {
  if (topic === undefined || partition === undefined) return failed(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  if (partition.leader !== nodeId) return failed(ErrorCode.NOT_LEADER_OR_FOLLOWER);
  const { log } = partition;
  const bytes = options.store && request.bytes !== undefined ? Buffer.from(request.bytes) : undefined;
  if (!options.verify) return { errorCode: ErrorCode.NONE, baseOffset: log.appendUnchecked(header(request), bytes) };
  if (request.sizeBytes > Number(state.config(topic, "max.message.bytes"))) return failed(ErrorCode.MESSAGE_TOO_LARGE);
  const malformed =
    request.magic !== 2 ||
    request.count < 1 ||
    request.count !== request.countByOffsets ||
    (request.producerId >= 0n && request.baseSequence < 0);
  if (malformed) return failed(ErrorCode.INVALID_RECORD);
  const whole = request.bytes!;
  if (crc32c(whole.subarray(CRC_COVERS_FROM)) !== whole.readUInt32BE(CRC_AT)) return failed(ErrorCode.CORRUPT_MESSAGE);
  const refusal = options.refuse?.(request);
  if (refusal !== undefined) return { ...failed(refusal.code), refusal };
  return log.append(header(request), bytes);
}

function header(request: ProducePartition) {
  const { producerId, epoch, baseSequence, count } = request;
  return { producerId, epoch, baseSequence, count };
}

function failed(errorCode: number): Appended {
  return { errorCode, baseOffset: -1 };
}
