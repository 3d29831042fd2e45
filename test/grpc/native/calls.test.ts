// How a call begins, what is sent for it, and how it ends: gRPC's protocol over HTTP/2.

import assert from "node:assert/strict";
import { test } from "node:test";
import { BIDI, CLIENT_STREAM, framed, Harness, headersOf, SERVER_STREAM, UNARY } from "./support/harness.ts";

const HEAD = { ":status": "200", "content-type": "application/grpc" };

test("a unary call is handed over when its message is complete, and answered with headers, a message and trailers", () => {
  const harness = new Harness();
  const call = harness.open(UNARY);
  const wire = framed("ping");
  call.stream.arrive(wire.subarray(0, 8));
  assert.equal(call.opened, false);
  call.stream.arrive(wire.subarray(8));
  assert.deepEqual(call.handler.messages.map(String), ["ping"]);
  call.handler.send("pong");
  call.handler.end();
  assert.deepEqual(call.stream.headers, HEAD);
  assert.deepEqual(call.stream.messages, [{ flag: 0, bytes: Buffer.from("pong") }]);
  assert.deepEqual(call.stream.trailers, { "grpc-status": "0" });
  assert.equal(harness.ended(UNARY, "OK"), 1);
});

test("all calls without anything special share their header blocks", () => {
  const harness = new Harness();
  const blocks = [1, 2].map(() => {
    const { stream, handler } = harness.open(BIDI);
    handler.send("x");
    handler.end();
    return stream.endBlock;
  });
  assert.equal(blocks[0], blocks[1]);
});

test("what a header list means is found out once for all requests that share it", () => {
  const harness = new Harness();
  const headers = headersOf(BIDI);
  harness.openWith(headers);
  const { memo } = headers;
  assert.ok(memo !== undefined);
  harness.openWith(headers);
  assert.equal(headers.memo, memo);
});

test("a call that ends before anything was sent is answered with trailers only", () => {
  const harness = new Harness();
  const { stream, handler } = harness.open(BIDI);
  handler.end({ code: 9, message: "no" });
  assert.equal(stream.headers, undefined);
  assert.deepEqual(stream.trailers, { ...HEAD, "grpc-status": "9", "grpc-message": "no" });
  const empty = harness.open(BIDI);
  empty.handler.end();
  assert.deepEqual(empty.stream.trailers, { ...HEAD, "grpc-status": "0" });
});

test("another HTTP method gets 405 and a text, when its request is complete", () => {
  const harness = new Harness();
  const { stream, opened } = harness.open(UNARY, {}, "GET");
  assert.equal(opened, false);
  stream.arrive(Buffer.from("what is not read"));
  assert.deepEqual([stream.headers, stream.unconsumed], [undefined, 0]);
  stream.halfClose();
  assert.deepEqual(stream.headers, { ":status": "405", "content-type": "text/plain; charset=utf-8", allow: "POST" });
  assert.equal(stream.text, "This is a gRPC server: gRPC takes POST, not GET.\n");
  assert.equal(stream.status, "13");
});

test("an answer to HEAD has no text", () => {
  const { stream } = new Harness().open(UNARY, {}, "HEAD");
  stream.halfClose();
  assert.deepEqual([stream.headers?.[":status"], stream.text, stream.status], ["405", "", "13"]);
});

test("a content-type that is not gRPC's gets 415, and every one that is gets served", () => {
  const harness = new Harness();
  for (const type of [undefined, "text/plain", "application/grpcx", "application/json", "application/grpc-web"]) {
    const { stream } = harness.open(BIDI, { "content-type": type });
    stream.halfClose();
    assert.deepEqual([stream.headers?.[":status"], stream.status], ["415", "13"], type);
    assert.match(stream.text, /content-type has to be application\/grpc/);
  }
  for (const type of [
    "application/grpc",
    "application/grpc+proto",
    "application/grpc;charset=utf-8",
    "Application/gRPC+json",
  ]) {
    assert.equal(harness.open(BIDI, { "content-type": type }).opened, true, type);
  }
});

test("an unknown method gets UNIMPLEMENTED, with its name and where to look, and is counted as unknown", () => {
  const harness = new Harness();
  const { stream } = harness.open("/test.Service/Nothing");
  assert.deepEqual([stream.trailers?.[":status"], stream.status], ["200", "12"]);
  assert.match(stream.statusMessage, /\/test\.Service\/Nothing.*reflection/);
  assert.equal(harness.ended("unknown", "UNIMPLEMENTED"), 1);
  // The rest of its request is nobody's.
  stream.receiver.data(framed("x"), 0, 6);
  stream.receiver.ended();
  assert.ok((harness.open(`/${"x".repeat(10_000)}`).stream.trailers?.["grpc-message"]?.length ?? 0) < 1_000);
});

test("a method that takes one message gets UNIMPLEMENTED for none and for two", () => {
  for (const path of [UNARY, SERVER_STREAM]) {
    const harness = new Harness();
    const none = harness.open(path);
    none.stream.halfClose();
    assert.deepEqual([none.stream.status, none.opened], ["12", false]);
    const two = harness.open(path);
    two.stream.arrive(framed("a"));
    two.stream.arrive(framed("b"));
    assert.deepEqual([two.stream.status, two.handler.heard], ["12", ["message 1", "cancelled"]]);
    assert.equal(harness.ended(path, "UNIMPLEMENTED"), 2);
  }
});

test("a client stream may have no message, and its handler hears of the end", () => {
  const harness = new Harness();
  const { stream, handler } = harness.open(CLIENT_STREAM);
  stream.halfClose();
  assert.deepEqual(handler.heard, ["halfClose"]);
  assert.equal(stream.status, undefined);
});

test("a cancelled call tells its handler once, and takes nothing more", () => {
  const harness = new Harness();
  const { stream, handler } = harness.open(BIDI);
  handler.onCancelled = () => {
    handler.call.send(Buffer.from("late"));
    handler.call.end({ code: 0, message: "" });
  };
  stream.cancel();
  handler.call.sendHeaders([["a", "b"]]);
  handler.call.pause();
  handler.call.resume();
  assert.deepEqual(handler.heard, ["cancelled"]);
  assert.deepEqual([stream.headers, stream.messages, stream.trailers], [undefined, [], undefined]);
  assert.equal(harness.ended(BIDI, "CANCELLED"), 1);
});

test("a call that its handler has ended hears nothing more", () => {
  const harness = new Harness();
  const { stream, handler } = harness.open(BIDI);
  handler.end();
  stream.receiver.data(framed("x"), 0, 6);
  stream.receiver.ended();
  stream.receiver.drained();
  stream.receiver.goingAway(0);
  stream.receiver.closed(8);
  assert.deepEqual(handler.heard, []);
  assert.equal(harness.ended(BIDI, "OK"), 1);
  assert.equal(harness.ended(BIDI, "CANCELLED"), 0);
});

test("a handler that throws costs its own call, which gets INTERNAL without the reason", () => {
  const secret = new Error("secret");
  const throwing = (): never => {
    throw secret;
  };
  const provoke: Record<string, (harness: Harness) => ReturnType<Harness["open"]>> = {
    open: (harness) => {
      harness.onOpen = throwing;
      return harness.open(BIDI);
    },
    message: (harness) => {
      const call = harness.open(BIDI);
      call.handler.onMessage = throwing;
      call.stream.arrive(framed("x"));
      return call;
    },
    halfClose: (harness) => {
      const call = harness.open(BIDI);
      call.handler.onHalfClose = throwing;
      call.stream.halfClose();
      return call;
    },
    goingAway: (harness) => {
      const call = harness.open(BIDI);
      call.handler.goingAway = throwing;
      call.stream.receiver.goingAway(1);
      return call;
    },
  };
  for (const [name, act] of Object.entries(provoke)) {
    const harness = new Harness();
    const { stream, handler } = act(harness);
    assert.equal(stream.status, "13", name);
    assert.doesNotMatch(stream.statusMessage, /secret/);
    assert.equal(handler.heard.at(-1), name === "open" ? undefined : "cancelled");
    harness.onOpen = undefined;
    assert.equal(harness.open(BIDI).opened, true);
  }
  const harness = new Harness();
  const { stream, handler } = harness.open(BIDI);
  handler.onCancelled = throwing;
  stream.cancel();
  assert.equal(harness.ended(BIDI, "CANCELLED"), 1);
});

test("a handler that ends its call while it is opened hears nothing of the message", () => {
  for (const path of [UNARY, BIDI]) {
    const harness = new Harness();
    harness.onOpen = (handler) => handler.end({ code: 7, message: "not you" });
    const call = harness.open(path);
    call.stream.arrive(framed("x"));
    assert.deepEqual([call.stream.status, call.handler.heard], ["7", []]);
  }
});

test("a handler hears that its connection is to end, if it wants to", () => {
  const harness = new Harness();
  const indifferent = harness.open(BIDI);
  indifferent.stream.receiver.goingAway(5);
  const { stream, handler } = harness.open(BIDI);
  const deadlines: number[] = [];
  handler.goingAway = (deadlineMs) => deadlines.push(deadlineMs);
  stream.receiver.goingAway(7);
  assert.deepEqual(deadlines, [7]);
  assert.deepEqual(indifferent.handler.heard, []);
});

test("a handler hears that its answers have left, and sees what has not", () => {
  const harness = new Harness();
  const { stream, handler } = harness.open(BIDI);
  stream.unsentBytes = 12;
  assert.equal(handler.call.unsentBytes, 12);
  stream.receiver.drained();
  assert.deepEqual(handler.heard, ["drained"]);
});

test("headers are sent before the first message, once", () => {
  const harness = new Harness();
  const { stream, handler } = harness.open(BIDI);
  handler.call.sendHeaders([
    ["x-initial", "value "],
    ["x-bytes-bin", Buffer.of(0xab, 0xab, 0xab, 0xab)],
  ]);
  handler.call.sendHeaders([["x-late", "value"]]);
  handler.send("a");
  handler.call.sendHeaders([["x-late", "value"]]);
  handler.end({ code: 0, message: "", trailers: [["x-trailing-bin", Buffer.of(1)]] });
  assert.deepEqual(stream.headers, { ...HEAD, "x-initial": "value", "x-bytes-bin": "q6urqw" });
  assert.deepEqual(stream.trailers, { "grpc-status": "0", "x-trailing-bin": "AQ" });
});

test("metadata that cannot be sent is the handler's bug, and leaves the call as it was", () => {
  const harness = new Harness();
  const { stream, handler } = harness.open(BIDI);
  for (const field of [
    ["Upper", "v"],
    ["", "v"],
    [":path", "v"],
    ["grpc-status", "0"],
    ["content-type", "text/plain"],
    ["connection", "close"],
    ["sp ace", "v"],
    ["x", "line\nbreak"],
    ["x", "ü"],
    ["x-bin", "text"],
    ["x", Buffer.of(1)],
  ] as const) {
    assert.throws(() => handler.call.sendHeaders([field]), /assertion failed/, field[0]);
    assert.throws(() => handler.call.end({ code: 0, message: "", trailers: [field] }), /assertion failed/);
  }
  assert.deepEqual([stream.headers, stream.trailers], [undefined, undefined]);
  handler.end();
  assert.equal(stream.status, "0");
});

test("request metadata: the first value, binary with and without padding, joined values split", () => {
  const harness = new Harness();
  const headers = headersOf(BIDI);
  const custom = [
    ["x-text", "one"],
    ["x-text", "two"],
    ["x-padded-bin", "AQI="],
    ["x-bare-bin", "AQI"],
    ["x-many-bin", "AQ==,Ag"],
    ["x-broken-bin", "not base64!"],
    ["x-latin1", "\u00fc"],
  ];
  const fields = [...headers.fields, ...custom.flat()];
  const { handler } = harness.openWith({ ...headers, fields });
  assert.equal(handler.call.header("x-text"), "one");
  assert.equal(handler.call.header("x-none"), undefined);
  assert.equal(handler.call.header("x-latin1"), undefined);
  assert.deepEqual(handler.call.binaryHeader("x-padded-bin"), Buffer.of(1, 2));
  assert.deepEqual(handler.call.binaryHeader("x-bare-bin"), Buffer.of(1, 2));
  assert.deepEqual(handler.call.binaryHeader("x-many-bin"), Buffer.of(1));
  assert.equal(handler.call.binaryHeader("x-broken-bin"), undefined);
  assert.equal(handler.call.binaryHeader("x-none-bin"), undefined);
});

test("details travel in base64 without padding, and trailers stay below what clients take", () => {
  const harness = new Harness();
  const small = harness.open(BIDI);
  small.handler.end({ code: 3, message: "bad", details: Buffer.of(1, 2, 3, 4) });
  assert.equal(small.stream.trailers?.["grpc-status-details-bin"], "AQIDBA");
  for (const details of [Buffer.alloc(3_000, 1), Buffer.alloc(20_000, 1), undefined]) {
    const { stream, handler } = harness.open(BIDI);
    const status = { code: 3, message: "ö".repeat(10_000) } as const;
    handler.end(details === undefined ? status : { ...status, details });
    const trailers = Object.entries(stream.trailers!);
    const bytes = trailers.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
    assert.ok(bytes <= 8_192, `${bytes} bytes`);
    assert.match(stream.statusMessage, /^ö+\.\.\.$/);
    assert.equal("grpc-status-details-bin" in stream.trailers!, details?.length === 3_000);
  }
});
