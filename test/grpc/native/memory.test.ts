// What clients can make the server keep: bounded for the worker, and never for longer than a message may take.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { RetryInfoSchema } from "../../../src/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../../src/gen/google/rpc/status_pb.js";
import { MessageBuffers } from "../../../src/grpc/native/message-buffers.ts";
import { Gauge } from "../../../src/telemetry/instruments.ts";
import { BIDI, framed, Harness, prefix } from "./support/harness.ts";

const KIB = 1 << 10;

const begin = (harness: Harness, bytes: number, announced = 4 << 20) => {
  const call = harness.open(BIDI);
  call.stream.arrive(prefix(announced));
  call.stream.arrive(Buffer.alloc(bytes, 1));
  return call;
};

test("without room, the call that asks for more ends with RESOURCE_EXHAUSTED, the setting's name and when to retry", () => {
  const harness = new Harness({ receiveBytesMax: 64 * KIB });
  const older = [begin(harness, 1), begin(harness, 1)];
  harness.clock.advance(1_000);
  const { stream, handler } = begin(harness, 1);
  assert.deepEqual([stream.status, handler.heard], ["8", ["cancelled"]]);
  assert.match(stream.statusMessage, /65536 bytes.*GRPC_RECEIVE_BYTES_MAX/);
  const details = Buffer.from(stream.trailers!["grpc-status-details-bin"]!, "base64");
  const [info] = fromBinary(StatusSchema, details).details;
  assert.equal(anyUnpack(info!, RetryInfoSchema)?.retryDelay?.seconds, 1n);
  for (const call of older) assert.equal(call.stream.status, undefined);
  assert.equal(harness.calls.heldBytes, 64 * KIB);
});

test("without room, an incomplete message over a second old goes first, the oldest before the others", () => {
  const harness = new Harness({ receiveBytesMax: 64 * KIB });
  const oldest = begin(harness, 1);
  harness.clock.advance(500);
  const old = begin(harness, 1);
  harness.clock.advance(501);
  const young = begin(harness, 1);
  assert.deepEqual([oldest.stream.status, oldest.handler.heard], ["8", ["cancelled"]]);
  assert.match(oldest.stream.statusMessage, /GRPC_RECEIVE_BYTES_MAX/);
  assert.deepEqual([old.stream.status, young.stream.status], [undefined, undefined]);
  assert.equal(harness.calls.heldBytes, 64 * KIB);
});

test("a message that grows does not end itself as the oldest: its call is told that there is no room", () => {
  const harness = new Harness({ receiveBytesMax: 128 * KIB });
  const { stream, handler } = begin(harness, 1);
  harness.clock.advance(2_000);
  stream.arrive(Buffer.alloc(40 * KIB, 1));
  assert.deepEqual([stream.status, handler.heard, harness.calls.heldBytes], ["8", ["cancelled"], 0]);
});

test("what is held for paused calls is in the same budget", () => {
  const harness = new Harness({ receiveBytesMax: 64 * KIB });
  const { stream, handler } = harness.open(BIDI);
  handler.pause();
  for (let i = 0; i < 16; i++) stream.arrive(framed(Buffer.alloc(4 * KIB - 5, 1)));
  assert.equal(harness.calls.heldBytes, 64 * KIB);
  stream.arrive(framed("x"));
  assert.deepEqual([stream.status, handler.heard, harness.calls.heldBytes], ["8", ["cancelled"], 0]);
});

test("a thousand half messages cost no more than the documented 32 KiB each", () => {
  const harness = new Harness();
  const calls = Array.from({ length: 1_000 }, () => begin(harness, 100));
  assert.equal(harness.calls.heldBytes, 1_000 * 32 * KIB);
  for (const { stream } of calls) stream.cancel();
  assert.equal(harness.calls.heldBytes, 0);
});

test("an announced length of at most 128 KiB is believed until that would take more than half of the budget", () => {
  const harness = new Harness({ receiveBytesMax: 512 * KIB });
  const heldBytes = [128, 128, 100].map((announced) => {
    begin(harness, 1, announced * KIB);
    return harness.calls.heldBytes;
  });
  assert.deepEqual(
    heldBytes,
    [128, 256, 288].map((kib) => kib * KIB),
  );
});

test("a message beyond 128 KiB is not believed, however much is free", () => {
  const harness = new Harness();
  begin(harness, 1, 128 * KIB + 1);
  assert.equal(harness.calls.heldBytes, 32 * KIB);
});

test("a message that is not complete in time ends its call, and counts as an attack", () => {
  const harness = new Harness({ messageTimeoutMs: 30_000 });
  const { stream, handler } = harness.open(BIDI);
  harness.clock.advance(100_000);
  stream.arrive(framed("in time"));
  stream.arrive(prefix(5).subarray(0, 2));
  harness.clock.advance(29_999);
  stream.arrive(prefix(5).subarray(2));
  assert.equal(stream.status, undefined);
  harness.clock.advance(1);
  assert.deepEqual([stream.status, handler.heard], ["4", ["message 7", "cancelled"]]);
  assert.match(stream.statusMessage, /30000 ms.*GRPC_MESSAGE_TIMEOUT/);
  assert.deepEqual(harness.attacks, ["slow_message"]);
  assert.equal(harness.calls.heldBytes, 0);
});

test("each message has its own time, in the order in which they began", () => {
  const harness = new Harness({ messageTimeoutMs: 10_000 });
  const calls = [0, 1, 2].map(() => {
    const call = begin(harness, 1);
    harness.clock.advance(3_000);
    return call;
  });
  const ended = (): string[] => calls.map(({ stream }) => stream.status ?? "-");
  harness.clock.advance(999);
  assert.deepEqual(ended(), ["-", "-", "-"]);
  harness.clock.advance(1);
  assert.deepEqual(ended(), ["4", "-", "-"]);
  calls[1]!.stream.cancel();
  harness.clock.advance(6_000);
  assert.deepEqual(ended(), ["4", "-", "4"]);
  harness.clock.advance(100_000);
  assert.equal(harness.clock.timers, 0);
});

test("the time in which a call is paused is not its client's", () => {
  const harness = new Harness({ messageTimeoutMs: 10_000 });
  const { stream, handler } = begin(harness, 1);
  harness.clock.advance(9_000);
  handler.pause();
  harness.clock.advance(50_000);
  assert.equal(stream.status, undefined);
  handler.resume();
  harness.clock.advance(9_999);
  assert.equal(stream.status, undefined);
  harness.clock.advance(1);
  assert.equal(stream.status, "4");
});

test("one timer serves all incomplete messages, and none runs for long without them", () => {
  const harness = new Harness({ messageTimeoutMs: 10_000 });
  for (let i = 0; i < 50; i++) begin(harness, 1);
  assert.equal(harness.clock.timers, 1);
  harness.clock.advance(20_000);
  assert.equal(harness.clock.timers, 0);
  begin(harness, 1);
  harness.calls.dispose();
  assert.equal(harness.clock.timers, 0);
});

test("buffers are used again, and only so many are kept", () => {
  const gauge = new Gauge();
  const buffers = new MessageBuffers(gauge, { bytesMax: 1 << 20, evict: () => false });
  const first = buffers.acquire(5_000, {})!;
  assert.equal(first.length, 8_192);
  buffers.release(first);
  assert.deepEqual([buffers.usedBytes, buffers.keptBytes, gauge.value], [0, 8_192, 0]);
  assert.equal(buffers.acquire(8_192, {}), first);
  assert.equal(buffers.acquire(1, {})!.length, 1_024);
  const many = Array.from({ length: 15 }, () => buffers.acquire(65_536, {})!);
  assert.equal(buffers.acquire(65_536, {}), undefined);
  for (const buffer of many) buffers.release(buffer);
  assert.equal(buffers.keptBytes, 1 << 18);
});
