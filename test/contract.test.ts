// The contract's field numbers are in use by clients; what is generated from it must be what it says.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type DescEnum, type DescMessage, fromBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  FieldDescriptorProto_Label as Label,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { loadSync } from "@grpc/proto-loader";
import { file_sluice_v1_ingest as generated } from "../src/gen/sluice/v1/ingest_pb.js";
import { Code, Reason } from "../src/errors.ts";
import { Durability } from "../src/ingest/batch.ts";

const PROTO = "sluice/v1/ingest.proto";

/** The file as an independent compiler (protobufjs) reads it. */
function readProto() {
  const root = loadSync(PROTO, { includeDirs: ["proto"], keepCase: true });
  const method = root["sluice.v1.PublishRequest"] as { fileDescriptorProtos: Uint8Array[] };
  const files = method.fileDescriptorProtos.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
  const file = files.find(({ messageType }) => messageType.some(({ name }) => name === "PublishRequest"));
  assert.ok(file !== undefined);
  return { file, root };
}

/** The two compilers differ in how much of a type's name they write. */
const simple = (typeName: string) => typeName.split(".").at(-1);

const fieldsOf = (message: DescriptorProto) =>
  message.field.map(({ name, number, type, label, typeName }) =>
    [name, number, type, label === Label.REPEATED, simple(typeName)].join(" "),
  );
const valuesOf = (declared: EnumDescriptorProto) => declared.value.map(({ name, number }) => `${name} ${number}`);

test("the generated code is the contract's", () => {
  const { file, root } = readProto();
  const messages = (all: readonly DescMessage[]) => all.map(({ proto }) => [proto.name, fieldsOf(proto)] as const);
  const sorted = (all: readonly (readonly [string, unknown])[]) => Object.fromEntries(all);
  assert.deepEqual(
    sorted(messages(generated.messages)),
    sorted(file.messageType.map((message) => [message.name, fieldsOf(message)] as const)),
  );
  assert.deepEqual(
    sorted(generated.enums.map((declared: DescEnum) => [declared.name, valuesOf(declared.proto)] as const)),
    sorted(file.enumType.map((declared) => [declared.name, valuesOf(declared)] as const)),
  );
  const service = root["sluice.v1.EventIngest"] as Record<string, { requestStream: boolean; responseStream: boolean }>;
  for (const method of generated.services[0]!.methods) {
    assert.equal(method.proto.clientStreaming, service[method.name]!.requestStream);
    assert.equal(method.proto.serverStreaming, service[method.name]!.responseStream);
  }
});

test("the field numbers are those that clients already use", () => {
  const numbers = Object.fromEntries(
    generated.messages.map((message) => [message.name, message.fields.map(({ name, number }) => `${name}=${number}`)]),
  );
  assert.deepEqual(numbers, {
    PublishRequest: ["sequence=1", "topic=2", "durability=3", "events=4"],
    Event: ["key=1", "value=2", "headers=3", "timestamp=4", "topic=5", "partition=6"],
    Header: ["key=1", "value=2"],
    PublishResponse: ["sequence=1", "stored=2", "failures=3", "placements=4", "durability=5"],
    EventFailure: ["index=1", "reason=2", "message=3", "retryable=4"],
    Placement: ["topic=1", "partition=2", "first_offset=3", "count=4"],
    PublishStreamResponse: ["published=1", "drain=2", "refused=3"],
    Drain: ["deadline=1", "last_settled_sequence=2"],
    Refused: ["sequence=1", "status=2"],
  });
});

test("the service's own constants are the contract's", () => {
  const values = (name: string) =>
    Object.fromEntries(
      generated.enums.find((declared) => declared.name === name)!.values.map(({ name, number }) => [name, number]),
    );
  assert.deepEqual(
    { DURABILITY_UNSPECIFIED: 0, REPLICATED: Durability.REPLICATED, PERSISTED: Durability.PERSISTED },
    values("Durability"),
  );
  const reasons = Object.entries(Reason).map(([name, number]) => [`REASON_${name}`, number] as const);
  assert.deepEqual({ REASON_UNSPECIFIED: 0, ...Object.fromEntries(reasons) }, values("Reason"));
  assert.equal(Code.RESOURCE_EXHAUSTED, 8);
});
