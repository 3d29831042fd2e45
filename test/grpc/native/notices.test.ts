// Log lines that others can cause, at a bounded rate; and what the transport tells, as metrics.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Notices } from "../../../src/grpc/native/notices.ts";
import { TransportObserver } from "../../../src/grpc/native/observer.ts";
import type { Logger } from "../../../src/telemetry/log.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { FakeClock } from "../../support/fake-clock.ts";

type Line = Readonly<Record<string, unknown>>;

class Log {
  readonly lines: Line[] = [];
  readonly #write =
    (level: string) =>
    (fields: Line, message: string): void => {
      this.lines.push({ level, message, ...fields });
    };
  readonly logger = { warn: this.#write("warn"), error: this.#write("error") } as unknown as Logger;
}

test("the first line of a kind is said at once, the others once in ten seconds, with how many were left out", () => {
  const clock = new FakeClock();
  const log = new Log();
  const notices = new Notices(log.logger, clock);
  for (let i = 0; i < 1_000; i++) notices.warn("a", { i }, "said");
  notices.error("b", {}, "another kind");
  assert.deepEqual(log.lines, [
    { level: "warn", message: "said", i: 0 },
    { level: "error", message: "another kind" },
  ]);
  clock.advance(10_000);
  assert.deepEqual(log.lines.slice(2), [{ level: "warn", message: "said", i: 999, leftOut: 998 }]);
  clock.advance(9_999);
  notices.warn("a", { i: 1_000 }, "said");
  assert.equal(log.lines.length, 3);
  clock.advance(1);
  assert.deepEqual(log.lines.slice(3), [{ level: "warn", message: "said", i: 1_000 }]);
  clock.advance(20_000);
  assert.equal(clock.timers, 0);
  notices.warn("a", { i: 1_001 }, "said");
  assert.equal(log.lines.length, 5);
  notices.dispose();
  assert.equal(clock.timers, 0);
});

test("an attack is counted by its kind, and logged with the peer", () => {
  const metrics = createMetrics();
  const log = new Log();
  const observer = new TransportObserver(metrics, new Notices(log.logger, new FakeClock()));
  for (let i = 0; i < 5; i++) observer.attack("rapid_reset", `192.0.2.${i}:1`, "detail");
  assert.equal(metrics.grpcAttacks.with("rapid_reset").value, 5);
  assert.equal(log.lines.length, 1);
  assert.deepEqual([log.lines[0]!["peer"], log.lines[0]!["attack"]], ["192.0.2.0:1", "rapid_reset"]);
});

test("what opens and closes is counted", () => {
  const metrics = createMetrics();
  const observer = new TransportObserver(metrics, new Notices(new Log().logger, new FakeClock()));
  observer.connectionOpened("10.0.0.1:5000");
  observer.connectionOpened("10.0.0.1:5001");
  observer.connectionClosed("age", 2_000, "10.0.0.1:5000");
  assert.equal(metrics.grpcCallerConnections.with("10.0.0.1").value, 1);
  observer.streamOpened();
  observer.streamOpened();
  observer.streamClosed(5);
  observer.bytes("received", 10);
  observer.bytes("sent", 4);
  observer.windowStalled();
  observer.reset("received", 8);
  observer.reset("received", 0xbeef);
  observer.goaway("sent", 0);
  assert.equal(metrics.grpcConnections.with().value, 1);
  assert.equal(metrics.grpcConnectionsOpened.with().value, 2);
  assert.equal(metrics.grpcConnectionsClosed.with("age").value, 1);
  assert.equal(metrics.grpcConnectionAge.with().snapshot().at(-1), 2);
  assert.equal(metrics.grpcHttp2Streams.with().value, 1);
  assert.equal(metrics.grpcStreamAge.with().snapshot().at(-1), 0.005);
  assert.deepEqual([metrics.grpcReceivedBytes.with().value, metrics.grpcSentBytes.with().value], [10, 4]);
  assert.equal(metrics.grpcWindowStalls.with().value, 1);
  assert.equal(metrics.grpcResets.with("received", "CANCEL").value, 1);
  assert.equal(metrics.grpcResets.with("received", "UNKNOWN").value, 1);
  assert.equal(metrics.grpcGoaways.with("sent", "NO_ERROR").value, 1);
});

test("reasons of failed handshakes do not become more labels than a few", () => {
  const metrics = createMetrics();
  const log = new Log();
  const observer = new TransportObserver(metrics, new Notices(log.logger, new FakeClock()));
  for (let i = 0; i < 1_000; i++) observer.handshakeFailed(`reason ${i}`, "192.0.2.1:1");
  const { series } = metrics.grpcHandshakeFailures.snapshot();
  assert.ok(series.length <= 40, `${series.length} series`);
  assert.equal(
    series.reduce((sum, [, value]) => sum + Number(value), 0),
    1_000,
  );
  assert.equal(log.lines.length, 1);
});
