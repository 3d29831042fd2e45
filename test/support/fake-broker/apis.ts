// The small APIs, each written once for all its versions: what a version adds or drops stands beside the field.

import type { ByteReader } from "./reader.ts";
import type { ClusterState, FakePartition, FakeTopic } from "./state.ts";
import { Api, type ApiName, ErrorCode, type VersionRanges } from "./versions.ts";
import type { ByteWriter } from "./writer.ts";

const NO_AUTHORIZED_OPERATIONS = -2_147_483_648;
const NO_TOPIC_ID = "0".repeat(32);
const TOPIC_RESOURCE = 2;

export interface ApiContext {
  readonly state: ClusterState;
  readonly versions: VersionRanges;
  /** Partitions of a topic that Metadata may create by itself; 0: it may not. */
  readonly autoCreatePartitions: number;
  readonly throttleMs: number;
  /** A code to answer instead of doing what is asked, or 0. */
  readonly errorCode: number;
}

type Answer = (context: ApiContext, version: number, reader: ByteReader, writer: ByteWriter) => void;

/** Reads the body of a request and writes that of its answer. */
export const ANSWERS: Readonly<Record<Exclude<ApiName, "Produce">, Answer>> = {
  ApiVersions: apiVersions,
  Metadata: metadata,
  InitProducerId: initProducerId,
  DescribeConfigs: describeConfigs,
  CreateTopics: createTopics,
};

function apiVersions(context: ApiContext, version: number, reader: ByteReader, writer: ByteWriter): void {
  if (version >= 3) {
    reader.string();
    reader.string();
    reader.tags();
  }
  writer.int16(context.errorCode).array(Object.entries(context.versions), ([name, [min, max]]) =>
    writer
      .int16(Api[name as ApiName])
      .int16(min)
      .int16(max)
      .tags(),
  );
  if (version >= 1) writer.int32(context.throttleMs);
  writer.tags();
}

/** KIP-511: whatever version was asked, the answer to a version that is too high has the shape of v0. */
export function unsupportedApiVersions(versions: VersionRanges, writer: ByteWriter): void {
  const [min, max] = versions.ApiVersions;
  writer
    .int16(ErrorCode.UNSUPPORTED_VERSION)
    .array([Api.ApiVersions], (key) => writer.int16(key).int16(min).int16(max));
}

function metadata(context: ApiContext, version: number, reader: ByteReader, writer: ByteWriter): void {
  const { state } = context;
  const asked = reader.nullableArray(() => {
    const id = version >= 10 ? reader.uuid() : NO_TOPIC_ID;
    const name = version >= 10 ? reader.nullableString() : reader.string();
    reader.tags();
    return { id, name };
  });
  const mayCreate = version >= 4 ? reader.boolean() : true;
  if (version >= 8 && version <= 10) reader.boolean();
  if (version >= 8) reader.boolean();
  reader.tags();

  if (mayCreate && context.autoCreatePartitions > 0) {
    for (const { name } of asked ?? []) {
      if (name !== null) state.createTopic(name, { partitions: context.autoCreatePartitions });
    }
  }
  const topics: { name: string | null; id: string; topic: FakeTopic | undefined }[] =
    asked === null
      ? [...state.topics.values()].map((topic) => ({ name: topic.name, id: topic.id, topic }))
      : asked.map(({ id, name }) => {
          const topic = name === null ? state.topicById(id) : state.topics.get(name);
          return { name: name ?? topic?.name ?? null, id: topic?.id ?? id, topic };
        });

  if (version >= 3) writer.int32(context.throttleMs);
  writer.array(
    state.nodes.filter((node) => node.up),
    (node) => writer.int32(node.nodeId).string(node.host).int32(node.port).string(null).tags(),
  );
  if (version >= 2) writer.string(state.clusterId);
  writer.int32(state.nodes.find((node) => node.up)?.nodeId ?? -1);
  writer.array(topics, ({ name, id, topic }) => {
    const known = context.errorCode === 0 ? topic : undefined;
    const errorCode = topic === undefined ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : context.errorCode;
    writer.int16(errorCode).string(name ?? (version >= 12 ? null : ""));
    if (version >= 10) writer.uuid(id);
    writer.boolean(false).array([...(known?.partitions ?? []).entries()], ([index, partition]) => {
      writePartition(state, version, index, partition, writer);
    });
    if (version >= 8) writer.int32(NO_AUTHORIZED_OPERATIONS);
    writer.tags();
  });
  if (version >= 8 && version <= 10) writer.int32(NO_AUTHORIZED_OPERATIONS);
  writer.tags();
}

function writePartition(
  state: ClusterState,
  version: number,
  index: number,
  partition: FakePartition,
  writer: ByteWriter,
): void {
  const led = state.isUp(partition.leader);
  writer
    .int16(led ? ErrorCode.NONE : ErrorCode.LEADER_NOT_AVAILABLE)
    .int32(index)
    .int32(led ? partition.leader : -1);
  if (version >= 7) writer.int32(partition.leaderEpoch);
  const inSync = partition.replicas.filter((node) => state.isUp(node));
  writer.array(partition.replicas, (node) => writer.int32(node)).array(inSync, (node) => writer.int32(node));
  if (version >= 5) {
    writer.array(
      partition.replicas.filter((node) => !state.isUp(node)),
      (node) => writer.int32(node),
    );
  }
  writer.tags();
}

function initProducerId(context: ApiContext, version: number, reader: ByteReader, writer: ByteWriter): void {
  reader.nullableString();
  reader.int32();
  let producerId = -1n;
  let epoch = -1;
  if (version >= 3) {
    producerId = reader.int64();
    epoch = reader.int16();
  }
  reader.tags();
  writer.int32(context.throttleMs).int16(context.errorCode);
  // A known id gets its next epoch; there are no transactions here, so nobody is fenced.
  if (context.errorCode !== 0) writer.int64(-1n).int16(-1);
  else if (producerId >= 0n && epoch < 32_766) writer.int64(producerId).int16(epoch + 1);
  else writer.int64(context.state.nextProducerId()).int16(0);
  writer.tags();
}

function describeConfigs(context: ApiContext, version: number, reader: ByteReader, writer: ByteWriter): void {
  const { state } = context;
  const resources = reader.array(() => {
    const resource = {
      type: reader.int8(),
      name: reader.string(),
      keys: reader.nullableArray(() => reader.string()),
    };
    reader.tags();
    return resource;
  });
  reader.boolean();
  if (version >= 3) reader.boolean();
  reader.tags();

  writer.int32(context.throttleMs).array(resources, ({ type, name, keys }) => {
    const topic = type === TOPIC_RESOURCE ? state.topics.get(name) : undefined;
    const missing = type === TOPIC_RESOURCE && topic === undefined;
    const errorCode = context.errorCode !== 0 ? context.errorCode : missing ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : 0;
    const all = new Map([...state.configDefaults, ...(topic?.configs ?? [])]);
    const told = errorCode === 0 ? [...all].filter(([key]) => keys === null || keys.includes(key)) : [];
    writer
      .int16(errorCode)
      .string(errorCode === 0 ? null : "not described")
      .int8(type)
      .string(name)
      .array(told, ([key, value]) => {
        const dynamicTopicConfig = 1;
        const defaultConfig = 5;
        writer
          .string(key)
          .string(value)
          .boolean(false)
          .int8(topic?.configs.has(key) === true ? dynamicTopicConfig : defaultConfig)
          .boolean(false)
          .array([], () => undefined);
        if (version >= 3) writer.int8(0).string(null);
        writer.tags();
      })
      .tags();
  });
  writer.tags();
}

function createTopics(context: ApiContext, version: number, reader: ByteReader, writer: ByteWriter): void {
  const { state } = context;
  const asked = reader.array(() => {
    const name = reader.string();
    const partitions = reader.int32();
    const replicationFactor = reader.int16();
    const assignments = reader.array(() => {
      reader.int32();
      reader.array(() => reader.int32());
      reader.tags();
    });
    const configs = reader.array(() => {
      const entry = [reader.string(), reader.nullableString() ?? ""] as const;
      reader.tags();
      return entry;
    });
    reader.tags();
    return {
      name,
      partitions: partitions < 0 ? Math.max(1, assignments.length) : partitions,
      replicationFactor,
      configs,
    };
  });
  reader.int32();
  const validateOnly = reader.boolean();
  reader.tags();

  writer.int32(context.throttleMs).array(asked, ({ name, partitions, replicationFactor, configs }) => {
    let errorCode = context.errorCode;
    if (errorCode === 0 && !validateOnly) {
      errorCode = state.createTopic(name, {
        partitions,
        ...(replicationFactor > 0 ? { replicationFactor } : {}),
        configs: Object.fromEntries(configs),
      });
    }
    const topic = errorCode === 0 ? state.topics.get(name) : undefined;
    writer.string(name);
    if (version >= 7) writer.uuid(topic?.id ?? NO_TOPIC_ID);
    writer.int16(errorCode).string(null);
    if (version >= 5) {
      writer
        .int32(topic?.partitions.length ?? -1)
        .int16(topic?.partitions[0]?.replicas.length ?? -1)
        .array([], () => undefined);
    }
    writer.tags();
  });
  writer.tags();
}
