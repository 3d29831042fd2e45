// What one connection does at the end of a turn, or when it is looked after, is nothing to the others.

import assert from "node:assert/strict";
import test from "node:test";
import { Connection, type ConnectionContext } from "../../src/http2/connection.ts";
import type { Http2Observer } from "../../src/http2/observer.ts";
import { PagePool } from "../../src/http2/page-pool.ts";
import type { Transport } from "../../src/http2/transport.ts";
import { Turn } from "../../src/http2/turn.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { headers, PREFACE, settings } from "./support/frames.ts";
import { callBlock } from "./support/grpc.ts";
import { TEST_OPTIONS } from "./support/options.ts";

const GOING_AWAY_ERROR = new Error("a fault of the handler's");

class Worker {
  readonly clock = new FakeClock();
  readonly pages = new PagePool();
  readonly faults: unknown[] = [];
  readonly closed: string[] = [];
  readonly #context: ConnectionContext;

  constructor() {
    const observer: Http2Observer = {
      connectionOpened: () => undefined,
      connectionClosed: (reason) => this.closed.push(reason),
      streamOpened: () => undefined,
      streamClosed: () => undefined,
      bytes: () => undefined,
      windowStalled: () => undefined,
      reset: () => undefined,
      goaway: () => undefined,
      attack: () => undefined,
      fault: (thrown) => this.faults.push(thrown),
      handshakeFailed: () => undefined,
    };
    this.#context = {
      handler: () => ({
        data: () => undefined,
        ended: () => undefined,
        drained: () => undefined,
        closed: () => undefined,
        goingAway: () => {
          throw GOING_AWAY_ERROR;
        },
      }),
      observer,
      clock: this.clock,
      random: () => 0.5,
      options: TEST_OPTIONS,
      pages: this.pages,
      turn: new Turn(this.clock),
      closed: () => undefined,
    };
  }

  connect(transport: Transport): Connection {
    return new Connection(transport, this.#context);
  }
}

class FakeTransport implements Transport {
  readonly peer = "fake";
  readonly peerIdentity = undefined;
  readonly #error: Error | undefined;
  writtenBytes = 0;
  destroyed = 0;

  /** @param error what every write throws. */
  constructor(error?: Error) {
    this.#error = error;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#error !== undefined) throw this.#error;
    this.writtenBytes += bytes.length;
    return true;
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    return pieces.map((bytes) => this.write(bytes)).every(Boolean);
  }

  destroy(): void {
    this.destroyed++;
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
}

test("a connection that fails at the end of a turn is ended, and those after it write all the same", () => {
  const worker = new Worker();
  const error = new Error("a fault of ours");
  const transports = [new FakeTransport(), new FakeTransport(error), new FakeTransport()];
  const connections = transports.map((transport) => worker.connect(transport));
  const hello = Buffer.concat([PREFACE, settings()]);
  for (const connection of connections) connection.received(hello, hello.length);

  worker.clock.runImmediates();
  assert.deepEqual(worker.faults, [error]);
  assert.deepEqual(
    transports.map(({ destroyed }) => destroyed),
    [0, 1, 0],
  );
  const [before, , after] = transports;
  assert.ok(before!.writtenBytes > 0);
  assert.equal(after!.writtenBytes, before!.writtenBytes);

  // The next turn is not lost either, and the failed one leaves nothing behind.
  for (const connection of connections) connection.received(settings(), settings().length);
  worker.clock.runImmediates();
  assert.ok(after!.writtenBytes > 2 * 9);
  assert.equal(after!.writtenBytes, before!.writtenBytes);
  for (const connection of connections) connection.closed();
  assert.deepEqual(worker.closed, ["lost", "protocol", "lost"]);
  assert.equal(worker.pages.taken, 0);
});

test("a connection that fails when it is looked after is ended, and does not keep the others from it", () => {
  const worker = new Worker();
  const transport = new FakeTransport();
  const connection = worker.connect(transport);
  const hello = Buffer.concat([PREFACE, settings(), headers(1, callBlock("/a/b"))]);
  connection.received(hello, hello.length);
  worker.clock.advance(2 * TEST_OPTIONS.ageMaxMs);
  // The first thing that is due is a PING, then its age.
  connection.sweep();
  connection.sweep();
  assert.deepEqual(worker.faults, [GOING_AWAY_ERROR]);
  assert.equal(transport.destroyed, 1);
  connection.closed();
  assert.equal(worker.pages.taken, 0);
});

test("everything that is written at the end of a turn is written within what is put around it", () => {
  const clock = new FakeClock();
  const said: string[] = [];
  const turn = new Turn(clock, (write) => {
    said.push("begin");
    write();
    said.push("end");
  });
  const again = { endTurn: () => said.push("again") };
  turn.schedule({ endTurn: () => said.push("first") });
  turn.schedule({
    endTurn: () => {
      said.push("second");
      turn.schedule(again);
    },
  });
  clock.runImmediates();
  assert.deepEqual(said, ["begin", "first", "second", "end"]);
  clock.runImmediates();
  assert.deepEqual(said.slice(4), ["begin", "again", "end"]);
  clock.runImmediates();
  assert.equal(said.length, 7);
});
