// Memory under attack, as the resident set of a server in a process of its own, against the bounds that docs promise.

import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import test from "node:test";
import type { NativeOptions } from "../../../src/grpc/native/server.ts";
import { FLOOD, STREAM, UNARY } from "../support/echo.ts";
import { data, headers, PAYLOAD_BYTES_MAX, Setting, windowUpdate } from "../support/frames.ts";
import { callBlock, message } from "../support/grpc.ts";
import type { MemoryReport } from "../support/memory-child.ts";
import { RawConnection, type RawOptions } from "../support/raw-connection.ts";

const CHILD = join(import.meta.dirname, "../support/memory-child.ts");
const KIB = 1024;
/** What docs promise for a stream on which nothing happens, its share of its connection included. */
const IDLE_STREAM_BYTES_MAX = 4 * KIB;
/** Of a message of which a part has come: so many times that part, */
const HALF_MESSAGE_FACTOR = 4;
/** and at least this. */
const HALF_MESSAGE_BYTES_MIN = 32 * KIB;
/** What a process grows by itself: code that is compiled, heaps that get room. */
const NOISE_BYTES = 16 * KIB * KIB;

class ServerProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #connections: RawConnection[] = [];
  readonly address: { readonly host: string; readonly port: number };

  private constructor(child: ChildProcess, address: { readonly host: string; readonly port: number }) {
    this.#child = child;
    this.address = address;
  }

  static async start(options: Partial<NativeOptions>): Promise<ServerProcess> {
    const child = fork(CHILD, [JSON.stringify(options)], { execArgv: ["--expose-gc"] });
    const [address] = (await once(child, "message")) as [{ host: string; port: number }];
    const server = new ServerProcess(child, address);
    try {
      await server.#warmUp();
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  async connect(options?: RawOptions): Promise<RawConnection> {
    const connection = await RawConnection.open(this.address, options);
    this.#connections.push(connection);
    return connection;
  }

  async report(): Promise<MemoryReport> {
    this.#child.send("report");
    const [report] = (await once(this.#child, "message")) as [MemoryReport];
    return report;
  }

  /** Code is compiled and pools are filled before anything is measured. */
  async #warmUp(): Promise<void> {
    using connection = await RawConnection.open(this.address, { settings: [], takes: true });
    for (let i = 0; i < 4000; i += 20) {
      for (let j = i; j < i + 20; j++) {
        connection.send(headers(2 * j + 1, callBlock(UNARY)), data(2 * j + 1, message(Buffer.alloc(2000)), true));
      }
      await connection.answer(2 * (i + 19) + 1);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) connection[Symbol.dispose]();
    const exited = once(this.#child, "exit");
    this.#child.disconnect();
    await exited;
  }
}

function assertGrowth(before: MemoryReport, after: MemoryReport, bound: number, what: string): void {
  const grown = after.rss - before.rss;
  assert.ok(
    grown <= bound,
    `${what}: RSS grew by ${(grown / KIB).toFixed(0)} KiB, from ${before.rss} to ${after.rss}; at most ${(bound / KIB).toFixed(0)} KiB are promised`,
  );
}

test("10,000 idle streams on 100 connections stay within the bound per stream", async (t) => {
  await using server = await ServerProcess.start({});
  const before = await server.report();
  for (let i = 0; i < 100; i++) {
    const connection = await server.connect();
    connection.send(...Array.from({ length: 100 }, (_, j) => headers(2 * j + 1, callBlock(STREAM))));
    await connection.roundTrip();
  }
  const after = await server.report();
  assert.equal(after.opened - before.opened, 10_000);
  t.diagnostic(`${((after.rss - before.rss) / 10_000).toFixed(0)} bytes of RSS per idle stream`);
  assertGrowth(before, after, 10_000 * IDLE_STREAM_BYTES_MAX, "10,000 idle streams");
});

test("1,000 slow senders of half messages stay within the bound per message", async (t) => {
  for (const [sent, announced] of [
    [1, 1_000_000],
    [10_000, 20_000],
    [20_000, 1_000_000],
  ] as const) {
    await using server = await ServerProcess.start({ receiveBytesMax: 67_108_864, connectionWindowBytes: 2_097_152 });
    const before = await server.report();
    for (let i = 0; i < 50; i++) {
      const connection = await server.connect();
      // The connection's window is what was announced once this has come back.
      await connection.roundTrip();
      for (let j = 0; j < 20; j++) {
        const half = message(Buffer.alloc(sent), false, announced);
        connection.send(headers(2 * j + 1, callBlock(STREAM)));
        for (let at = 0; at < half.length; at += PAYLOAD_BYTES_MAX) {
          connection.send(data(2 * j + 1, half.subarray(at, at + PAYLOAD_BYTES_MAX)));
        }
      }
      await connection.roundTrip();
    }
    const after = await server.report();
    const each = Math.max(HALF_MESSAGE_BYTES_MIN, HALF_MESSAGE_FACTOR * sent);
    t.diagnostic(`${((after.rss - before.rss) / 1000).toFixed(0)} bytes of RSS per ${sent} bytes of ${announced}`);
    assert.deepEqual(after.attacks, []);
    assertGrowth(before, after, 1000 * each, `1,000 times ${sent} bytes of messages of ${announced}`);
  }
});

test("clients that never read are bounded, and then cut", async (t) => {
  const unsentBytesMax = 262_144;
  await using server = await ServerProcess.start({ unsentBytesMax, stallTimeoutMs: 3000 });
  const before = await server.report();
  const connections = [];
  for (let i = 0; i < 50; i++) {
    const connection = await server.connect({ settings: [[Setting.INITIAL_WINDOW_SIZE, 0x7fffffff]] });
    connections.push(connection);
    connection.send(windowUpdate(0, 0x7fffffff - 65_535));
    await connection.roundTrip();
    connection.socket.pause();
    for (let j = 0; j < 10; j++) {
      connection.send(headers(2 * j + 1, callBlock(FLOOD)), data(2 * j + 1, message("go")));
    }
  }
  const during = await server.report();
  t.diagnostic(`${((during.rss - before.rss) / 50).toFixed(0)} bytes of RSS per connection that reads nothing`);
  assertGrowth(before, during, 50 * 5 * unsentBytesMax + NOISE_BYTES, "50 connections that read nothing");
  let after = during;
  for (let i = 0; i < 200 && (after.cancelled < after.opened - before.opened || after.cancelled === 0); i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    after = await server.report();
  }
  // Calls that the server did not come to read are none.
  assert.equal(after.cancelled, after.opened - before.opened, "every call has ended");
  assert.deepEqual(after.attacks, ["slow_read"]);
  for (const connection of connections) {
    connection.socket.resume();
    await connection.closed();
  }
});
