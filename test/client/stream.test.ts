import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Metadata, status as Code } from "@grpc/grpc-js";
import { callError, unansweredError } from "../../src/client/errors.ts";
import { connect, type PublishStream, SluiceError, type StreamOptions } from "../../src/client/index.ts";
import { badRequest, type FakeCall, type FakeHandlers, FakeService, overloaded } from "./fake-service.ts";

const batch = (...values: string[]) => ({ topic: "t", events: values.map((value) => ({ value })) });

async function setUp(t: TestContext, handlers: FakeHandlers, options: StreamOptions = {}) {
  const service = await new FakeService(handlers).start();
  const client = connect(service.address);
  const stream = client.openStream(options);
  t.after(async () => {
    service.stop();
    await client.close();
  });
  return { service, client, stream };
}

/** Waits for something that the other side does. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(2);
}

async function rejection(promise: Promise<unknown>): Promise<SluiceError> {
  const error = await promise.then(
    () => assert.fail("it was answered"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof SluiceError, String(error));
  return error;
}

const valuesOf = (call: FakeCall | undefined) =>
  call?.requests.map(({ events }) => Buffer.from(events[0]!.value!).toString()) ?? [];

test("answers that come out of order reach the batches they belong to", async (t) => {
  const { stream } = await setUp(t, {
    stream: (call, _, index) => {
      if (call.requests.length === 3 && index === 0)
        for (const request of call.requests.toReversed()) call.stored(request);
    },
  });
  const order: number[] = [];
  const answers = [batch("a"), batch("b", "b"), batch("c", "c", "c")].map(async (each) => {
    const { stored } = await stream.publish(each);
    order.push(stored);
    return stored;
  });
  assert.deepEqual(await Promise.all(answers), [1, 2, 3]);
  assert.deepEqual(order, [3, 2, 1]);
});

test("what is sent is what the caller wrote", async (t) => {
  const { service, stream } = await setUp(t, {});
  const timestamp = new Date("2001-01-01T00:47:00.123Z");
  await stream.publish({
    topic: "flights",
    durability: 2,
    events: [
      { key: "DTW", value: Buffer.from([0, 255]), timestamp, headers: [{ key: "h", value: "ü" }, { key: "h" }] },
      { key: null, value: "", topic: "other", partition: 0, timestamp: 1.5 },
    ],
  });
  const [request] = service.calls[0]!.requests;
  assert.equal(request!.topic, "flights");
  assert.equal(request!.durability, 2);
  const [first, second] = request!.events;
  assert.deepEqual(Buffer.from(first!.key!).toString(), "DTW");
  assert.deepEqual([...first!.value!], [0, 255]);
  assert.equal(first!.timestamp!.seconds * 1000n + BigInt(first!.timestamp!.nanos / 1e6), BigInt(timestamp.getTime()));
  assert.deepEqual(
    first!.headers.map(({ key, value }) => [key, Buffer.from(value).toString()]),
    [
      ["h", "ü"],
      ["h", ""],
    ],
  );
  assert.equal(second!.key, undefined);
  assert.equal(second!.value!.length, 0);
  assert.equal(second!.topic, "other");
  assert.equal(second!.partition, 0);
  assert.equal(second!.timestamp!.nanos, 1e6);
});

test("a refused batch is rejected with the service's details, and the stream goes on", async (t) => {
  const { service, stream } = await setUp(t, {
    stream: (call, request) => {
      if (request.events.length === 2) call.refused(request, badRequest("events[1].topic", "not valid UTF-8"));
      else if (request.events.length === 3) call.refused(request, overloaded(1500));
      else call.stored(request);
    },
  });
  const bad = await rejection(stream.publish(batch("a", "b")));
  assert.equal(bad.codeName, "INVALID_ARGUMENT");
  assert.equal(bad.outcome, "not_stored");
  assert.equal(bad.retryable, false);
  assert.deepEqual(bad.fieldViolations, [{ field: "events[1].topic", description: "not valid UTF-8" }]);
  const busy = await rejection(stream.publish(batch("a", "b", "c")));
  assert.equal(busy.codeName, "RESOURCE_EXHAUSTED");
  assert.equal(busy.retryable, true);
  assert.equal(busy.retryDelayMs, 1500);
  assert.equal((await stream.publish(batch("a"))).stored, 1);
  assert.equal(service.calls.length, 1);
});

test("a batch refused under load is sent again when that is asked for", async (t) => {
  const { service, stream } = await setUp(
    t,
    {
      stream: (call, request) => {
        if (call.requests.length < 3) call.refused(request, overloaded(1));
        else call.stored(request);
      },
    },
    { retry: { attemptsMax: 2 } },
  );
  assert.equal((await stream.publish(batch("a"))).stored, 1);
  assert.deepEqual(valuesOf(service.calls[0]), ["a", "a", "a"]);
  assert.deepEqual(
    service.calls[0]!.requests.map(({ sequence }) => sequence),
    [1n, 2n, 3n],
  );
});

test("a batch is rejected once the retries asked for are used up", async (t) => {
  const { service, stream } = await setUp(
    t,
    {
      stream: (call, request) => {
        call.refused(request, overloaded(1));
      },
    },
    { retry: { attemptsMax: 2 } },
  );
  assert.equal((await rejection(stream.publish(batch("a")))).codeName, "RESOURCE_EXHAUSTED");
  assert.equal(service.calls[0]!.requests.length, 3);
});

test("after a drain, later batches wait for the answers and then go over another call", async (t) => {
  const { service, stream } = await setUp(t, {
    stream: (call, request, index) => {
      if (index > 0) call.stored(request);
    },
  });
  const first = stream.publish(batch("a"));
  const second = stream.publish(batch("b"));
  await until(() => service.calls[0]?.requests.length === 2);
  service.calls[0]!.drain();
  await until(() => service.calls[0]!.halfClosed);
  const third = stream.publish(batch("c"));
  await pause(20);
  assert.equal(service.calls.length, 1, "a later batch may not overtake what has no answer yet");
  for (const request of service.calls[0]!.requests.toReversed()) service.calls[0]!.stored(request);
  assert.deepEqual(
    (await Promise.all([first, second, third])).map(({ stored }) => stored),
    [1, 1, 1],
  );
  assert.deepEqual(valuesOf(service.calls[0]), ["a", "b"]);
  assert.deepEqual(valuesOf(service.calls[1]), ["c"]);
});

test("a drained call that ends without answers leaves an unknown outcome, and later batches are sent", async (t) => {
  const { service, stream } = await setUp(t, {
    stream: (call, request, index) => {
      if (index > 0) call.stored(request);
      else if (call.requests.length === 2) {
        call.stored(call.requests[0]!);
        call.drain();
        call.end(14, "draining");
      }
    },
  });
  const answered = stream.publish(batch("a"));
  const lost = rejection(stream.publish(batch("b")));
  const later = stream.publish(batch("c"));
  assert.equal((await answered).stored, 1);
  const error = await lost;
  assert.equal(error.codeName, "UNAVAILABLE");
  assert.equal(error.outcome, "unknown");
  assert.equal(error.retryable, true);
  // It may have been on its way when the call ended, or go over the next one.
  await later.catch((thrown: SluiceError) => {
    assert.equal(thrown.outcome, "unknown");
  });
  assert.equal((await stream.publish(batch("d"))).stored, 1);
  assert.deepEqual(valuesOf(service.calls.at(-1)).at(-1), "d");
});

test("a service that dies leaves an unknown outcome for what was sent", async (t) => {
  const { service, stream } = await setUp(t, { stream: () => {} }, { connectTimeoutMs: 50 });
  const sent = rejection(stream.publish(batch("a")));
  await until(() => service.calls[0]?.requests.length === 1);
  service.stop();
  const error = await sent;
  assert.equal(error.codeName, "UNAVAILABLE");
  assert.equal(error.outcome, "unknown");
  assert.match(error.message, /^unknown outcome: no answer before the call ended/);
});

test("a connection that closes in the middle of a call is UNAVAILABLE, whichever way grpc-js tells it", () => {
  const details = "Received RST_STREAM with code 0 (Call ended without gRPC status)";
  const status = { code: Code.INTERNAL, details, metadata: new Metadata() };
  for (const error of [unansweredError(status), callError({ ...status, name: "Error", message: details })]) {
    assert.equal(error.codeName, "UNAVAILABLE");
    assert.equal(error.outcome, "unknown");
    assert.equal(error.retryable, true);
  }
});

test("a batch that finds no service was not sent", async (t) => {
  const { service, stream } = await setUp(t, {}, { connectTimeoutMs: 50 });
  service.stop();
  const error = await rejection(stream.publish(batch("a")));
  assert.equal(error.codeName, "UNAVAILABLE");
  assert.equal(error.outcome, "not_stored");
  assert.equal(error.retryable, true);
  assert.equal(error.message, `nothing answers at ${service.address}`);
});

test("no more batches are sent than the window has room for", async (t) => {
  const { service, stream } = await setUp(t, { stream: () => {} }, { batchesMax: 2 });
  const all = ["a", "b", "c", "d"].map((value) => stream.publish(batch(value)));
  await until(() => service.calls[0]?.requests.length === 2);
  let ready = false;
  const becameReady = stream.ready().then(() => {
    ready = true;
  });
  await pause(20);
  assert.equal(service.calls[0]!.requests.length, 2);
  assert.equal(ready, false);
  const call = service.calls[0]!;
  for (let answered = 0; answered < 4; answered++) {
    await until(() => call.requests.length > answered);
    call.stored(call.requests[answered]!);
  }
  await Promise.all([...all, becameReady]);
  assert.deepEqual(valuesOf(call), ["a", "b", "c", "d"]);
});

test("the window counts bytes, and takes one batch that is larger than itself", async (t) => {
  const { service, stream } = await setUp(t, { stream: () => {} }, { bytesMax: 1000 });
  const large = stream.publish(batch("x".repeat(5000)));
  const next = stream.publish(batch("a"));
  await until(() => service.calls[0]?.requests.length === 1);
  await pause(20);
  const call = service.calls[0]!;
  assert.equal(call.requests.length, 1);
  call.stored(call.requests[0]!);
  await large;
  await until(() => call.requests.length === 2);
  call.stored(call.requests[1]!);
  await next;
});

test("closing waits for the answers and takes no more batches", async (t) => {
  const { service, stream } = await setUp(t, { stream: () => {} });
  const answer = stream.publish(batch("a"));
  await until(() => service.calls[0]?.requests.length === 1);
  const closed = stream.close();
  const late = await rejection(stream.publish(batch("b")));
  assert.equal(late.message, "the stream is closed");
  const call = service.calls[0]!;
  call.stored(call.requests[0]!);
  assert.equal((await answer).stored, 1);
  await closed;
  assert.equal(call.halfClosed, true);
});

test("aborting a stream rejects everything and ends the call", async (t) => {
  const abort = new AbortController();
  const { service, stream } = await setUp(t, { stream: () => {} }, { batchesMax: 1, signal: abort.signal });
  const sent = rejection(stream.publish(batch("a")));
  const waiting = rejection(stream.publish(batch("b")));
  await until(() => service.calls[0]?.requests.length === 1);
  abort.abort();
  assert.deepEqual([(await sent).codeName, (await sent).outcome], ["CANCELLED", "unknown"]);
  assert.deepEqual([(await waiting).codeName, (await waiting).outcome], ["CANCELLED", "not_stored"]);
  await stream.close();
  await until(() => service.calls[0]!.cancelled);
});

test("aborting one batch leaves the others alone", async (t) => {
  const { service, stream } = await setUp(t, { stream: () => {} }, { batchesMax: 1 });
  const abortSent = new AbortController();
  const abortWaiting = new AbortController();
  const sent = rejection(stream.publish(batch("a"), { signal: abortSent.signal }));
  const waiting = rejection(stream.publish(batch("b"), { signal: abortWaiting.signal }));
  const last = stream.publish(batch("c"));
  await until(() => service.calls[0]?.requests.length === 1);
  abortSent.abort();
  abortWaiting.abort();
  assert.equal((await sent).outcome, "unknown");
  assert.equal((await waiting).outcome, "not_stored");
  const call = service.calls[0]!;
  call.stored(call.requests[0]!);
  await until(() => call.requests.length === 2);
  call.stored(call.requests[1]!);
  assert.equal((await last).stored, 1);
  assert.deepEqual(valuesOf(call), ["a", "c"]);
});

test("a batch that cannot be encoded is rejected alone", async (t) => {
  const { stream } = await setUp(t, {});
  const [bad, good] = await Promise.all([
    rejection(stream.publish({ topic: "t", events: [{ timestamp: new Date("never") }] })),
    stream.publish(batch("a")),
  ]);
  assert.equal(bad.codeName, "INVALID_ARGUMENT");
  assert.equal(bad.message, "the batch cannot be encoded: the event's timestamp is not a valid date");
  assert.equal(good.stored, 1);
});

test("a batch larger than a message may be is rejected, and the stream lives on", async (t) => {
  const { service, stream } = await setUp(t, {}, { messageBytesMax: 1000 });
  const [large, small] = await Promise.all([
    rejection(stream.publish(batch("x".repeat(1000)))),
    stream.publish(batch("a")),
  ]);
  assert.deepEqual([large.codeName, large.outcome, large.retryable], ["RESOURCE_EXHAUSTED", "not_stored", false]);
  assert.equal(large.message, "the batch has 1009 bytes, and a message may have 1000 (messageBytesMax)");
  assert.equal(small.stored, 1);
  assert.equal(service.calls.length, 1);
});

test("closing a client closes its streams", async (t) => {
  const { client, stream } = await setUp(t, {});
  await stream.publish(batch("a"));
  await client.close();
  await rejection((stream satisfies PublishStream).publish(batch("b")));
});
