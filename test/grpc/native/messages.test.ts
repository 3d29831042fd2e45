// Bytes in, messages out: however they are cut, whenever the call is paused, with every buffer given back.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BIDI, framed, Harness, prefix, UNARY } from "./support/harness.ts";

const KIB = 1 << 10;

/** Bytes that show where they came from. */
function bytesOf(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + seed * 7 + (i >> 8)) & 0xff;
  return bytes;
}

test("two messages arrive as they were sent, cut at every byte", () => {
  const sent = [bytesOf(7, 1), bytesOf(0, 2), bytesOf(300, 3)];
  const wire = Buffer.concat(sent.map((message) => framed(message)));
  for (let cut = 0; cut <= wire.length; cut++) {
    const harness = new Harness();
    const { stream, handler } = harness.open(BIDI);
    stream.arrive(wire.subarray(0, cut));
    stream.arrive(wire.subarray(cut));
    stream.halfClose();
    assert.deepEqual(handler.messages, sent, `cut at ${cut}`);
    assert.equal(handler.heard.at(-1), "halfClose");
    assert.deepEqual([stream.unconsumed, harness.calls.heldBytes], [0, 0], `cut at ${cut}`);
  }
});

test("messages arrive as they were sent, byte by byte", () => {
  const harness = new Harness();
  const { stream, handler } = harness.open(BIDI);
  const sent = [bytesOf(2_000, 1), bytesOf(0, 2), bytesOf(40_000, 3)];
  for (const message of sent) for (const byte of framed(message)) stream.arrive(Buffer.of(byte));
  stream.halfClose();
  assert.deepEqual(handler.messages, sent);
  assert.deepEqual([stream.unconsumed, harness.calls.heldBytes], [0, 0]);
});

test("a message that lies in one piece is handed on without a copy", () => {
  const harness = new Harness();
  const { stream, handler } = harness.open(BIDI);
  let shared: boolean | undefined;
  const buffer = Buffer.concat([framed("abc"), framed("def")]);
  handler.onMessage = (bytes) => (shared = bytes.buffer === buffer.buffer);
  stream.unconsumed = buffer.length;
  stream.receiver.data(buffer, 0, buffer.length);
  assert.deepEqual(handler.messages.map(String), ["abc", "def"]);
  assert.equal(shared, true);
});

test("a message whose prefix comes alone needs no memory either", () => {
  const harness = new Harness({ receiveBytesMax: 0 });
  const { stream, handler } = harness.open(BIDI);
  stream.arrive(prefix(3));
  stream.arrive(Buffer.from("abc"));
  assert.deepEqual(handler.messages.map(String), ["abc"]);
});

test("a message that is announced and does not come costs no more than what came asks for", () => {
  const harness = new Harness();
  const { stream } = harness.open(BIDI);
  stream.arrive(prefix(4 << 20));
  assert.equal(harness.calls.heldBytes, 0);
  stream.arrive(Buffer.of(1));
  assert.equal(harness.calls.heldBytes, 32 * KIB);
  assert.equal(harness.metrics.grpcReceiveBufferBytes.with().value, 32 * KIB);
  stream.arrive(bytesOf(32 * KIB, 1));
  assert.equal(harness.calls.heldBytes, 128 * KIB);
  stream.cancel();
  assert.equal(harness.calls.heldBytes, 0);
});

test("random messages, cuts and pauses: the handler gets what was sent, in order, and every byte is accounted for", () => {
  const sizes = fc.oneof(fc.nat(40), fc.nat(3_000), fc.integer({ min: 30_000, max: 140_000 }));
  const steps = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("send" as const), bytes: fc.nat(20) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("send" as const), bytes: fc.nat(50_000) }) },
    { weight: 1, arbitrary: fc.constant({ kind: "pause" as const, bytes: 0 }) },
    { weight: 1, arbitrary: fc.constant({ kind: "resume" as const, bytes: 0 }) },
    { weight: 1, arbitrary: fc.constant({ kind: "turn" as const, bytes: 0 }) },
  );
  fc.assert(
    fc.property(
      fc.array(sizes, { maxLength: 8 }),
      fc.array(steps, { maxLength: 60 }),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }),
      (lengths, plan, pausing) => {
        const windowBytes = 64 * KIB;
        const harness = new Harness();
        const { stream, handler } = harness.open(BIDI);
        const sent = lengths.map(bytesOf);
        const wire = Buffer.concat(sent.map((message) => framed(message)));
        let at = 0;
        let paused = false;
        // The handler pauses from within `message`, too.
        handler.onMessage = () => {
          if (!pausing[handler.messages.length % pausing.length]) return;
          handler.pause();
          paused = true;
        };
        const send = (bytes: number): void => {
          const end = Math.min(wire.length, at + bytes, at + windowBytes - stream.unconsumed);
          stream.arrive(wire.subarray(at, end));
          at = end;
        };
        const resume = (): void => {
          if (paused) handler.resume();
          paused = false;
        };
        for (const { kind, bytes } of plan) {
          if (kind === "send") send(bytes);
          else if (kind === "turn") harness.clock.runImmediates();
          else if (kind === "resume") resume();
          else if (!paused) {
            handler.pause();
            paused = true;
          }
        }
        for (let turns = 0; at < wire.length; turns++) {
          assert.ok(turns < 1_000, "the stream stands still");
          resume();
          harness.clock.runImmediates();
          send(windowBytes);
        }
        stream.halfClose();
        for (let turns = 0; handler.heard.at(-1) !== "halfClose"; turns++) {
          assert.ok(turns < 1_000, "the end never comes");
          resume();
          harness.clock.runImmediates();
        }
        assert.deepEqual(handler.messages, sent);
        assert.deepEqual([stream.unconsumed, harness.calls.heldBytes], [0, 0]);
      },
    ),
    { numRuns: 150 },
  );
});

test("nothing is read while a call is paused, and the client gets no credit for it", () => {
  const harness = new Harness();
  const { stream, handler } = harness.open(BIDI);
  handler.onMessage = () => {
    if (handler.messages.length === 1) handler.pause();
  };
  stream.arrive(Buffer.concat([framed("a"), framed("b"), framed("c")]));
  stream.arrive(framed("d"));
  stream.halfClose();
  harness.clock.runImmediates();
  assert.deepEqual(handler.messages.map(String), ["a"]);
  assert.equal(stream.unconsumed, 3 * 6);
  handler.resume();
  assert.deepEqual(handler.messages.map(String), ["a"], "resume delivers nothing by itself");
  harness.clock.runImmediates();
  assert.deepEqual(handler.heard, ["message 1", "message 1", "message 1", "message 1", "halfClose"]);
  assert.deepEqual([stream.unconsumed, harness.calls.heldBytes], [0, 0]);
});

test("what arrives between resume and its turn stays behind what was held", () => {
  const harness = new Harness();
  const { stream, handler } = harness.open(BIDI);
  handler.pause();
  stream.arrive(framed("a"));
  handler.resume();
  stream.arrive(framed("b"));
  harness.clock.runImmediates();
  stream.arrive(framed("c"));
  assert.deepEqual(handler.messages.map(String), ["a", "b", "c"]);
});

test("a call that is ended while it is paused gives back what it held", () => {
  for (const end of ["handler", "client"] as const) {
    const harness = new Harness();
    const { stream, handler } = harness.open(BIDI);
    stream.arrive(prefix(100_000));
    stream.arrive(bytesOf(50_000, 1));
    handler.pause();
    stream.arrive(bytesOf(10_000, 2));
    assert.ok(harness.calls.heldBytes > 60_000);
    if (end === "handler") handler.end();
    else stream.cancel();
    handler.call.resume();
    harness.clock.runImmediates();
    assert.equal(harness.calls.heldBytes, 0);
    assert.deepEqual(handler.heard, end === "handler" ? [] : ["cancelled"]);
  }
});

test("a call that ends while its trailers wait gives back the credit for what it held, exactly", () => {
  const harness = new Harness();
  const { stream, handler } = harness.open(BIDI);
  handler.pause();
  stream.arrive(Buffer.concat([framed("a"), framed("b"), framed("c")]));
  handler.onMessage = () => handler.pause();
  handler.resume();
  harness.clock.runImmediates();
  stream.arrive(framed("d"));
  assert.deepEqual([handler.messages.map(String), stream.unconsumed], [["a"], 18]);
  stream.unsentBytes = 100;
  handler.end();
  assert.equal(stream.unconsumed, 0);
});

test("a handler that ends its call in the middle of a chunk gets nothing more of it, held or not", () => {
  for (const held of [false, true]) {
    const harness = new Harness();
    const { stream, handler } = harness.open(BIDI);
    handler.onMessage = () => handler.end();
    if (held) handler.pause();
    stream.arrive(Buffer.concat([framed("a"), framed("b"), prefix(9)]));
    if (held) handler.resume();
    harness.clock.runImmediates();
    assert.deepEqual(handler.messages.map(String), ["a"]);
    assert.deepEqual([stream.status, harness.calls.heldBytes], ["0", 0]);
  }
});

test("a message over the limit ends its call when its prefix is there, and says how large it may be", () => {
  const harness = new Harness({ messageBytesMax: 1_000 });
  const { stream, handler } = harness.open(BIDI);
  stream.arrive(framed(bytesOf(1_000, 1)));
  for (const byte of prefix(1_001)) stream.arrive(Buffer.of(byte));
  assert.deepEqual(handler.heard, ["message 1000", "cancelled"]);
  assert.equal(stream.status, "8");
  assert.equal(
    stream.statusMessage,
    "the message has 1001 bytes, and the limit is 1000 (GRPC_MESSAGE_BYTES_MAX): send smaller batches, or raise it",
  );
  assert.deepEqual([harness.attacks, harness.calls.heldBytes], [["message_too_large"], 0]);
});

test("a client that ends its side inside a message gets INTERNAL", () => {
  for (const bytes of [prefix(5).subarray(0, 3), prefix(5), framed("hello").subarray(0, 7)]) {
    const harness = new Harness();
    const { stream, handler } = harness.open(BIDI);
    stream.arrive(bytes);
    stream.halfClose();
    assert.deepEqual([stream.status, handler.heard], ["13", ["cancelled"]]);
    assert.equal(harness.calls.heldBytes, 0);
  }
});

test("a compressed flag that is neither 0 nor 1, or set without an encoding, gets INTERNAL", () => {
  for (const [flag, fields] of [
    [2, { "grpc-encoding": "gzip" }],
    [255, {}],
    [1, {}],
    [1, { "grpc-encoding": "identity" }],
  ] as const) {
    const harness = new Harness();
    const { stream } = harness.open(UNARY, fields);
    stream.arrive(framed("x", flag));
    assert.equal(stream.status, "13");
    assert.match(stream.statusMessage, /compressed flag/);
  }
});
