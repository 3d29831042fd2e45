// The Produce API, versions 9 to 11, encoded and decoded by hand.
//
//   Request  := RequestHeader transactional_id:compact_nullable_string acks:int16 timeout_ms:int32
//               [ topic name:compact_string [ partition index:int32 records:compact_bytes tags ] tags ] tags
//   Response := tags [ name:compact_string [ index:int32 error_code:int16 base_offset:int64 log_append_time_ms:int64
//               log_start_offset:int64 [ batch_index:int32 message:compact_nullable_string tags ]
//               error_message:compact_nullable_string tags{0: current_leader{id:int32 epoch:int32 tags}} ] tags ]
//               throttle_time_ms:int32 tags{0: node_endpoints[ node_id:int32 host:compact_string port:int32
//               rack:compact_nullable_string tags ]}
//   compact lengths and counts are unsigned varints of the number plus one; 0 is null.
//
// The request comes out as pieces: what stands between the record batches, and the batches as they lie. Every library at hand
// copies each request into one buffer, which cost more than everything else the producer does (lab: 742,178 against
// 2,108,097 events per CPU-second). The response keeps each partition's error apart: a parser that throws for one loses the
// outcome of all others.

import { writeVarint } from "../../wire/varint.ts";

export const PRODUCE_API_KEY = 0;
export const PRODUCE_VERSION_MIN = 9;
export const PRODUCE_VERSION_MAX = 11;

const ACKS_ALL = -1;

/** Up to this, copying a batch between its neighbours costs less than a buffer of its own in the write. */
const COPY_BYTES_MAX = 2048;

/** No UTF-16 unit takes more in UTF-8. */
const UTF8_BYTES_MAX = 3;
/** What there is of a request, of each topic and of each partition beside names and record batches, at most. */
const REQUEST_BYTES_MAX = 32;
const TOPIC_BYTES_MAX = 16;
const PARTITION_BYTES_MAX = 16;

/** Requests that write more beside their large batches are rare; nothing of that size is kept. */
const KEPT_BYTES = 64 << 10;

/**
 * What a request is written into, for one after the other: each can be written when the one before is answered. Rejected: memory
 * of its own for each request. What that weighs outside of the heap makes V8 collect all of it, again and again.
 */
export class RequestBuffer {
  readonly #bytes = Buffer.allocUnsafeSlow(KEPT_BYTES);

  /** At least so many bytes, to be written from the start. */
  take(bytes: number): Buffer {
    return bytes <= KEPT_BYTES ? this.#bytes : Buffer.allocUnsafeSlow(bytes);
  }
}

interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface ProduceItem extends TopicPartition {
  readonly bytes: Buffer;
}

/**
 * The bytes of one request, in pieces to be written one after the other; the first starts with the request's length.
 *
 * @param items sorted so that those of one topic stand together; at most one for each partition.
 * @param timeoutMs how long the broker may wait for its replicas.
 * @param buffer that the pieces lie in; not to be used again until the request is answered.
 */
export function encodeProduceRequest(
  version: number,
  correlationId: number,
  clientId: string,
  timeoutMs: number,
  items: readonly ProduceItem[],
  buffer: RequestBuffer,
): Buffer[] {
  let topics = 0;
  let bytesMax = REQUEST_BYTES_MAX + clientId.length * UTF8_BYTES_MAX;
  for (let i = 0; i < items.length; i++) {
    const { topic, bytes } = items[i]!;
    if (i === 0 || topic !== items[i - 1]!.topic) {
      topics++;
      bytesMax += TOPIC_BYTES_MAX + topic.length * UTF8_BYTES_MAX;
    }
    bytesMax += PARTITION_BYTES_MAX;
    if (bytes.length <= COPY_BYTES_MAX) bytesMax += bytes.length;
  }
  const out = buffer.take(bytesMax);
  const view = new DataView(out.buffer);
  const pieces: Buffer[] = [];
  view.setInt16(4, PRODUCE_API_KEY);
  view.setInt16(6, version);
  view.setInt32(8, correlationId);
  const clientIdBytes = out.write(clientId, 14);
  view.setInt16(12, clientIdBytes);
  let at = 14 + clientIdBytes;
  out[at++] = 0; // header tags
  out[at++] = 0; // no transactional id
  view.setInt16(at, ACKS_ALL);
  view.setInt32(at + 2, timeoutMs);
  at = writeVarint(out, at + 6, topics + 1);
  let pieceStart = 0;
  let ownBytes = 0;
  for (let i = 0; i < items.length;) {
    const { topic } = items[i]!;
    const end = endOfTopic(items, i);
    at = writeVarint(out, at, Buffer.byteLength(topic) + 1);
    at += out.write(topic, at);
    at = writeVarint(out, at, end - i + 1);
    for (; i < end; i++) {
      const { partition, bytes } = items[i]!;
      view.setInt32(at, partition);
      at = writeVarint(out, at + 4, bytes.length + 1);
      if (bytes.length <= COPY_BYTES_MAX) {
        out.set(bytes, at);
        at += bytes.length;
      } else {
        pieces.push(out.subarray(pieceStart, at), bytes);
        ownBytes += bytes.length;
        pieceStart = at;
      }
      out[at++] = 0; // partition tags
    }
    out[at++] = 0; // topic tags
  }
  out[at++] = 0; // request tags
  pieces.push(out.subarray(pieceStart, at));
  view.setInt32(0, at + ownBytes - 4);
  return pieces;
}

function endOfTopic(items: readonly ProduceItem[], first: number): number {
  const { topic } = items[first]!;
  let end = first + 1;
  while (end < items.length && items[end]!.topic === topic) end++;
  return end;
}

export interface PartitionResult extends TopicPartition {
  readonly errorCode: number;
  /** -1 if the broker does not say. */
  readonly baseOffset: number;
  readonly errorMessage: string | undefined;
  /** Records that the broker refused, by their index in the batch, with its reason. */
  readonly recordErrors: readonly { readonly index: number; readonly message: string | undefined }[];
  /** KIP-951; undefined if the broker does not say. */
  readonly currentLeader: { readonly nodeId: number; readonly epoch: number } | undefined;
}

export interface NodeEndpoint {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

export interface ProduceResponse {
  readonly results: readonly PartitionResult[];
  readonly throttleMs: number;
  readonly nodeEndpoints: readonly NodeEndpoint[];
}

/** @param bytes of the response behind its correlation id. @throws RangeError if they end too early. */
export function decodeProduceResponse(bytes: Buffer): ProduceResponse {
  const reader = new CompactReader(bytes);
  reader.skipTags();
  const results: PartitionResult[] = [];
  for (let topics = reader.count(); topics > 0; topics--) {
    const topic = reader.string() ?? "";
    for (let partitions = reader.count(); partitions > 0; partitions--) results.push(readPartition(reader, topic));
    reader.skipTags();
  }
  const throttleMs = reader.int32();
  let nodeEndpoints: readonly NodeEndpoint[] = NONE;
  for (let tags = reader.varint(); tags > 0; tags--) {
    const tag = reader.varint();
    const end = reader.varint() + reader.position;
    if (tag === 0) nodeEndpoints = readEndpoints(reader);
    reader.skipTo(end);
  }
  return { results, throttleMs, nodeEndpoints };
}

function readPartition(reader: CompactReader, topic: string): PartitionResult {
  const partition = reader.int32();
  const errorCode = reader.int16();
  const baseOffset = reader.int64();
  reader.skip(16); // log append time, log start offset
  const recordErrors = readRecordErrors(reader);
  const errorMessage = reader.string();
  let currentLeader: PartitionResult["currentLeader"];
  for (let tags = reader.varint(); tags > 0; tags--) {
    const tag = reader.varint();
    const end = reader.varint() + reader.position;
    if (tag === 0) currentLeader = readLeader(reader);
    reader.skipTo(end);
  }
  return { topic, partition, errorCode, baseOffset, errorMessage, recordErrors, currentLeader };
}

function readRecordErrors(reader: CompactReader): PartitionResult["recordErrors"] {
  const count = reader.count();
  if (count <= 0) return NONE;
  const errors: PartitionResult["recordErrors"][number][] = [];
  for (let left = count; left > 0; left--) {
    errors.push({ index: reader.int32(), message: reader.string() });
    reader.skipTags();
  }
  return errors;
}

function readLeader(reader: CompactReader): PartitionResult["currentLeader"] {
  const nodeId = reader.int32();
  const epoch = reader.int32();
  return nodeId < 0 ? undefined : { nodeId, epoch };
}

function readEndpoints(reader: CompactReader): NodeEndpoint[] {
  const endpoints: NodeEndpoint[] = [];
  for (let left = reader.count(); left > 0; left--) {
    endpoints.push({ nodeId: reader.int32(), host: reader.string() ?? "", port: reader.int32() });
    reader.string(); // rack
    reader.skipTags();
  }
  return endpoints;
}

/**
 * Brokers answer in an order of their own, but mostly in that of the request: a search that begins behind the result found before
 * ends at once. Rejected: a map, which costs more to fill than a request's few results to search.
 *
 * @returns -1 if there is none.
 */
export function indexOfResult(results: readonly TopicPartition[], of: TopicPartition, from: number): number {
  for (let i = 0; i < results.length; i++) {
    const at = (from + i) % results.length;
    const result = results[at]!;
    if (result.partition === of.partition && result.topic === of.topic) return at;
  }
  return -1;
}

const NONE: readonly never[] = [];

/** Reads Kafka's compact encoding; every read past the end is a RangeError. */
class CompactReader {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get position(): number {
    return this.#at;
  }

  skip(count: number): void {
    this.skipTo(this.#at + count);
  }

  /** Goes on there, whatever of it was read. */
  skipTo(position: number): void {
    if (position > this.#bytes.length) throw new RangeError("a Produce response is cut short");
    this.#at = position;
  }

  int16(): number {
    this.#at += 2;
    return this.#view.getInt16(this.#at - 2);
  }

  int32(): number {
    this.#at += 4;
    return this.#view.getInt32(this.#at - 4);
  }

  /** As a double: offsets stay below 2^53. */
  int64(): number {
    this.#at += 8;
    return this.#view.getInt32(this.#at - 8) * 0x1_0000_0000 + this.#view.getUint32(this.#at - 4);
  }

  varint(): number {
    let value = this.#view.getUint8(this.#at++);
    if (value < 0x80) return value;
    value &= 0x7f;
    for (let scale = 2 ** 7; scale < 2 ** 35; scale *= 2 ** 7) {
      const byte = this.#view.getUint8(this.#at++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new RangeError("over-long varint in a Produce response");
  }

  /** Of the elements of an array; negative if there is none. */
  count(): number {
    return this.varint() - 1;
  }

  string(): string | undefined {
    const length = this.varint() - 1;
    if (length < 0) return undefined;
    this.skip(length);
    return this.#bytes.toString("utf8", this.#at - length, this.#at);
  }

  skipTags(): void {
    for (let left = this.varint(); left > 0; left--) {
      this.varint();
      this.skip(this.varint());
    }
  }
}
