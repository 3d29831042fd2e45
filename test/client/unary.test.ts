import assert from "node:assert/strict";
import test from "node:test";
import { connect, SluiceError } from "../../src/client/index.ts";
import { badRequest, FakeService, overloaded } from "./fake-service.ts";

const batch = { topic: "t", events: [{ value: "a" }] };

test("a batch is answered, with its failures", async () => {
  using service = await new FakeService({
    unary: ({ topic }) => ({
      stored: 1,
      durability: 1,
      failures: [{ index: 1, reason: 4, message: topic, retryable: true }],
    }),
  }).start();
  await using client = connect(service.address);
  const { stored, failures } = await client.publish(batch);
  assert.equal(stored, 1);
  assert.deepEqual(
    failures.map(({ index, reason, message, retryable }) => [index, reason, message, retryable]),
    [[1, 4, "t", true]],
  );
});

test("a refusal carries the service's details", async () => {
  using service = await new FakeService({ unary: () => badRequest("topic", "is missing") }).start();
  await using client = connect(service.address);
  await assert.rejects(client.publish(batch), (error) => {
    assert.ok(error instanceof SluiceError);
    assert.equal(error.codeName, "INVALID_ARGUMENT");
    assert.equal(error.message, "topic: is missing");
    assert.equal(error.outcome, "not_stored");
    assert.deepEqual(error.fieldViolations, [{ field: "topic", description: "is missing" }]);
    return true;
  });
});

test("overload is retried as often as asked for", async () => {
  let calls = 0;
  using service = await new FakeService({ unary: () => (++calls < 3 ? overloaded(1) : { stored: 1 }) }).start();
  await using client = connect(service.address, { retry: { attemptsMax: 5 } });
  assert.equal((await client.publish(batch)).stored, 1);
  assert.equal(calls, 3);
});

test("a call that is cancelled has an unknown outcome", async () => {
  const abort = new AbortController();
  using service = await new FakeService({
    unary: () => {
      abort.abort();
      return { stored: 1 };
    },
  }).start();
  await using client = connect(service.address);
  await assert.rejects(client.publish(batch, { signal: abort.signal }), { codeName: "CANCELLED", outcome: "unknown" });
  await assert.rejects(client.publish(batch, { signal: abort.signal }), {
    codeName: "CANCELLED",
    outcome: "not_stored",
  });
});

test("a service that is not there is told at once when asked to", async () => {
  const service = await new FakeService().start();
  service.stop();
  await using client = connect(service.address);
  await assert.rejects(client.ready({ failFast: true, timeoutMs: 60_000 }), {
    codeName: "UNAVAILABLE",
    message: `nothing answers at ${service.address}`,
  });
});
