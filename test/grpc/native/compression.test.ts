// Compressed messages: inflated within bounds, in order; answers that are compressed for those who take it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { BIDI, framed, Harness, type OpenCall, UNARY } from "./support/harness.ts";

const GZIP = { "grpc-encoding": "gzip" };

/** Lets zlib's threads finish, until a condition holds. */
async function until(harness: Harness, condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    assert.ok(turns < 5_000, "it never comes");
    await new Promise((resolve) => setTimeout(resolve, 1));
    harness.clock.runImmediates();
  }
}

const balanced = (harness: Harness, { stream }: OpenCall): void => {
  assert.deepEqual([stream.unconsumed, harness.calls.heldBytes], [0, 0]);
};

test("a gzipped message is inflated, whole or cut, and a plain one beside it is not", async () => {
  const message = Buffer.from("the same again, ".repeat(500));
  const wire = Buffer.concat([framed(gzipSync(message), 1), framed("plain"), framed(gzipSync(""), 1)]);
  for (const cut of [0, 1, 5, 6, 40, wire.length - 1]) {
    const harness = new Harness();
    const call = harness.open(BIDI, GZIP);
    call.stream.arrive(wire.subarray(0, cut));
    call.stream.arrive(wire.subarray(cut));
    call.stream.halfClose();
    await until(harness, () => call.handler.heard.includes("halfClose"));
    assert.deepEqual(call.handler.messages, [message, Buffer.from("plain"), Buffer.alloc(0)]);
    balanced(harness, call);
  }
});

test("a message that inflates to more than a message may have ends its call, however small it was", async () => {
  const harness = new Harness({ messageBytesMax: 1 << 20 });
  const call = harness.open(UNARY, GZIP);
  const bomb = gzipSync(Buffer.alloc(64 << 20));
  assert.ok(bomb.length < 1 << 20);
  call.stream.arrive(framed(bomb, 1));
  await until(harness, () => call.stream.status !== undefined);
  assert.deepEqual([call.stream.status, call.opened], ["8", false]);
  assert.match(call.stream.statusMessage, /more, uncompressed.*1048576 \(GRPC_MESSAGE_BYTES_MAX\)/);
  assert.deepEqual(harness.attacks, ["compressed_message_too_large"]);
  assert.equal(harness.calls.heldBytes, 0);
  const exact = harness.open(UNARY, GZIP);
  exact.stream.arrive(framed(gzipSync(Buffer.alloc(1 << 20)), 1));
  await until(harness, () => exact.opened);
  assert.equal(exact.handler.messages[0]!.length, 1 << 20);
});

test("what is not gzip gets INTERNAL, wherever it breaks", async () => {
  const good = gzipSync(Buffer.from("good".repeat(100)));
  const flipped = (at: number): Buffer => {
    const bytes = Buffer.from(good);
    bytes[at]! ^= 0xff;
    return bytes;
  };
  const broken = [Buffer.alloc(0), Buffer.from("no gzip at all"), good.subarray(0, 5), good.subarray(0, -1)];
  for (const bytes of [...broken, flipped(0), flipped(12), flipped(good.length - 1)]) {
    const harness = new Harness();
    const call = harness.open(BIDI, GZIP);
    call.stream.arrive(framed(bytes, 1));
    call.stream.arrive(framed("never"));
    await until(harness, () => call.stream.status !== undefined);
    assert.deepEqual([call.stream.status, call.handler.heard], ["13", ["cancelled"]], bytes.toString("hex"));
    assert.equal(harness.calls.heldBytes, 0);
  }
});

test("an encoding that is not known gets UNIMPLEMENTED and the list of those that are", () => {
  const harness = new Harness();
  const { stream, opened } = harness.open(BIDI, { "grpc-encoding": "snappy" });
  assert.deepEqual([stream.status, opened], ["12", false]);
  assert.equal(stream.trailers?.["grpc-accept-encoding"], "identity,gzip");
  assert.match(stream.statusMessage, /snappy/);
});

test("an inflated message waits while its call is paused, and the end behind it", async () => {
  const harness = new Harness();
  const call = harness.open(BIDI, GZIP);
  call.stream.arrive(framed(gzipSync("a"), 1));
  call.handler.pause();
  call.stream.arrive(framed("b"));
  call.stream.halfClose();
  // Charged: the inflated message, and what is held.
  await until(harness, () => harness.calls.heldBytes === 1 + 4_096);
  assert.deepEqual(call.handler.heard, []);
  call.handler.resume();
  await until(harness, () => call.handler.heard.length === 3);
  assert.deepEqual(call.handler.messages.map(String), ["a", "b"]);
  balanced(harness, call);
});

test("an inflated message that waits alone comes after resume, and what arrives meanwhile comes behind it", async () => {
  for (const behind of [false, true]) {
    const harness = new Harness();
    const call = harness.open(BIDI, GZIP);
    call.stream.arrive(framed(gzipSync("a"), 1));
    call.handler.pause();
    await until(harness, () => harness.calls.heldBytes === 1);
    call.handler.resume();
    if (behind) call.stream.arrive(framed("b"));
    harness.clock.runImmediates();
    assert.deepEqual(call.handler.messages.map(String), behind ? ["a", "b"] : ["a"]);
    balanced(harness, call);
  }
});

test("a call that is cancelled while its messages are inflated gives everything back", async () => {
  const harness = new Harness();
  const calls = Array.from({ length: 20 }, () => harness.open(BIDI, GZIP));
  for (const { stream } of calls) {
    stream.arrive(framed(gzipSync(Buffer.alloc(100_000, 1)), 1));
    stream.arrive(framed("behind"));
    stream.cancel();
  }
  await until(harness, () => harness.calls.heldBytes === 0);
  for (const { handler } of calls) assert.deepEqual(handler.heard, ["cancelled"]);
});

test("random messages, compressed or not, arrive in order through pauses", async () => {
  const message = fc.record({ bytes: fc.uint8Array({ maxLength: 3_000 }), compressed: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 12 }), fc.integer({ min: 1, max: 4_000 }), async (sent, step) => {
      const harness = new Harness();
      const call = harness.open(BIDI, GZIP);
      call.handler.onMessage = (bytes) => {
        if (bytes.length % 3 !== 0) return;
        call.handler.pause();
        setImmediate(() => call.handler.resume());
      };
      const wire = Buffer.concat(
        sent.map(({ bytes, compressed }) => (compressed ? framed(gzipSync(bytes), 1) : framed(bytes))),
      );
      for (let at = 0; at < wire.length; at += step) call.stream.arrive(wire.subarray(at, at + step));
      call.stream.halfClose();
      await until(harness, () => call.handler.heard.includes("halfClose"));
      assert.deepEqual(
        call.handler.messages,
        sent.map(({ bytes }) => Buffer.from(bytes)),
      );
      balanced(harness, call);
    }),
    { numRuns: 40 },
  );
});

test("an answer is compressed when the handler asks for it and the client takes it, and says so", () => {
  const harness = new Harness();
  const text = "answer ".repeat(100);
  const taking = harness.open(BIDI, { "grpc-accept-encoding": "identity, deflate,gzip" });
  taking.handler.send(text, true);
  taking.handler.send(text, false);
  assert.equal(taking.stream.headers?.["grpc-encoding"], "gzip");
  const [first, second] = taking.stream.messages;
  assert.deepEqual([first!.flag, gunzipSync(first!.bytes).toString()], [1, text]);
  assert.deepEqual([second!.flag, second!.bytes.toString()], [0, text]);

  const refusing = harness.open(BIDI, { "grpc-accept-encoding": "identity,deflate" });
  refusing.handler.send(text, true);
  assert.deepEqual([refusing.stream.headers?.["grpc-encoding"], refusing.stream.messages[0]!.flag], [undefined, 0]);

  // The headers have left without it: a client could not know what the flag means.
  const late = harness.open(BIDI, { "grpc-accept-encoding": "gzip" });
  late.handler.send(text);
  late.handler.send(text, true);
  assert.deepEqual(
    late.stream.messages.map(({ flag }) => flag),
    [0, 0],
  );
  const early = harness.open(BIDI, { "grpc-accept-encoding": "gzip" });
  early.handler.call.sendHeaders([]);
  early.handler.send(text, true);
  assert.deepEqual([early.stream.headers?.["grpc-encoding"], early.stream.messages[0]!.flag], ["gzip", 1]);
});

test("a client that compresses is told which encodings there are", () => {
  const harness = new Harness();
  const { stream, handler } = harness.open(BIDI, GZIP);
  handler.send("x");
  assert.equal(stream.headers?.["grpc-accept-encoding"], "identity,gzip");
});
