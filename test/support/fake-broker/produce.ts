// Produce v3 to v12: the request's parser and the response's encoder.
//
//   Produce Request (v3 - v12) => transactional_id acks timeout_ms [topic_data] TAGS(9+)
//     topic_data => name [partition_data] TAGS(9+)
//       partition_data => index records TAGS(9+)
//   Produce Response (v3 - v12) => [responses] throttle_time_ms TAGS(9+; 10+: 0 node_endpoints)
//     responses => name [partition_responses] TAGS(9+)
//       partition_responses => index error_code base_offset log_append_time_ms log_start_offset(5+)
//                              [record_errors](8+) error_message(8+) TAGS(9+; 10+: 0 current_leader)
//
// Of the records only the header of the one RecordBatch v2 is looked at; its bytes are taken in one piece when somebody
// needs them, and else skipped where they lie.

import { type ByteReader, ProtocolError } from "./reader.ts";
import type { BatchHeader } from "./partition-log.ts";
import { ByteWriter } from "./writer.ts";

export const BATCH_HEADER_BYTES = 61;
/** Where the CRC lies in a batch, and where the bytes begin that it covers. */
export const CRC_AT = 17;
export const CRC_COVERS_FROM = 21;

/** One partition of a Produce request. */
export interface ProducePartition extends BatchHeader {
  readonly topic: string;
  readonly partition: number;
  /** The size of the record batch. */
  readonly sizeBytes: number;
  /** Records as the batch's last offset delta counts them; equal to `count` in a valid batch. */
  readonly countByOffsets: number;
  readonly magic: number;
  /** The batch in one piece, if the parser was told to keep it. */
  readonly bytes: Buffer | undefined;
}

export interface ProduceBody {
  readonly transactionalId: string | null;
  /** -1: all in-sync replicas, 1: the leader, 0: no answer is sent. */
  readonly acks: number;
  readonly timeoutMs: number;
  readonly partitions: readonly ProducePartition[];
}

export interface RecordError {
  /** Index of the record within its batch. */
  readonly index: number;
  readonly message: string | null;
}

export interface PartitionResult {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  readonly baseOffset: number;
  readonly message?: string | undefined;
  readonly recordErrors?: readonly RecordError[] | undefined;
  /** KIP-951: told with codes 6 and 74 since v10. */
  readonly currentLeader?: { readonly nodeId: number; readonly epoch: number } | undefined;
}

export interface NodeEndpoint {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

/** @param keepBytes take each batch in one piece, rather than skipping it. */
export function readProduce(reader: ByteReader, keepBytes: boolean): ProduceBody {
  const transactionalId = reader.nullableString();
  const acks = reader.int16();
  const timeoutMs = reader.int32();
  const partitions: ProducePartition[] = [];
  for (let topics = reader.length(); topics > 0; topics--) {
    const topic = reader.string();
    for (let left = reader.length(); left > 0; left--) {
      partitions.push(readPartition(reader, topic, keepBytes));
      reader.tags();
    }
    reader.tags();
  }
  reader.tags();
  if (reader.remaining > 0) throw new ProtocolError(`${reader.remaining} bytes after a Produce request`);
  return { transactionalId, acks, timeoutMs, partitions };
}

// RecordBatch v2 => baseOffset INT64, batchLength INT32, partitionLeaderEpoch INT32, magic INT8, crc UINT32,
//   attributes INT16, lastOffsetDelta INT32, baseTimestamp INT64, maxTimestamp INT64, producerId INT64,
//   producerEpoch INT16, baseSequence INT32, records [Record]
function readPartition(reader: ByteReader, topic: string, keepBytes: boolean): ProducePartition {
  const partition = reader.int32();
  const sizeBytes = reader.length();
  if (sizeBytes < BATCH_HEADER_BYTES)
    throw new ProtocolError(`records of ${sizeBytes} bytes for ${topic}-${partition}`);
  const bytes = keepBytes ? reader.take(sizeBytes) : undefined;
  const header = bytes ?? reader.take(BATCH_HEADER_BYTES);
  if (!keepBytes) reader.skip(sizeBytes - BATCH_HEADER_BYTES);
  if (header.readInt32BE(8) !== sizeBytes - 12) {
    throw new ProtocolError(`not exactly one record batch for ${topic}-${partition}`);
  }
  return {
    topic,
    partition,
    sizeBytes,
    magic: header.readInt8(16),
    countByOffsets: header.readInt32BE(23) + 1,
    producerId: header.readBigInt64BE(43),
    epoch: header.readInt16BE(51),
    baseSequence: header.readInt32BE(53),
    count: header.readInt32BE(57),
    bytes,
  };
}

/** @param results in the order of the request, which names each topic once. */
export function writeProduce(
  writer: ByteWriter,
  version: number,
  results: readonly PartitionResult[],
  throttleMs: number,
  endpoints: readonly NodeEndpoint[],
): void {
  const topics = new Map<string, PartitionResult[]>();
  for (const result of results) {
    const siblings = topics.get(result.topic);
    if (siblings === undefined) topics.set(result.topic, [result]);
    else siblings.push(result);
  }
  writer.array([...topics], ([topic, partitions]) =>
    writer
      .string(topic)
      .array(partitions, (result) => {
        writePartition(writer, version, result);
      })
      .tags(),
  );
  writer.int32(throttleMs);
  if (version >= 10 && endpoints.length > 0) {
    const content = new ByteWriter(true);
    content.array(endpoints, (node) =>
      content.int32(node.nodeId).string(node.host).int32(node.port).string(null).tags(),
    );
    writer.tags([0, content.bytes()]);
  } else {
    writer.tags();
  }
}

function writePartition(writer: ByteWriter, version: number, result: PartitionResult): void {
  writer.int32(result.partition).int16(result.errorCode).int64(BigInt(result.baseOffset)).int64(-1n);
  if (version >= 5) writer.int64(result.baseOffset < 0 ? -1n : 0n);
  if (version >= 8) {
    writer
      .array(result.recordErrors ?? [], (error) => writer.int32(error.index).string(error.message).tags())
      .string(result.message ?? null);
  }
  if (version >= 10 && result.currentLeader !== undefined) {
    const leader = new ByteWriter(true).int32(result.currentLeader.nodeId).int32(result.currentLeader.epoch).tags();
    writer.tags([0, leader.bytes()]);
  } else {
    writer.tags();
  }
}
