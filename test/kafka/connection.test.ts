// One connection, with a socket that does what the test says and a clock that stands still until it is told otherwise.

import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import test from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";

import { Writer } from "@platformatic/kafka";
import type { Clock } from "../../src/clock.ts";
import type { IngestError } from "../../src/errors.ts";
import { Connection, type Dial } from "../../src/kafka/direct/connection.ts";

const OPTIONS = { clientId: "test", connectTimeoutMs: 1_000, requestTimeoutMs: 5_000, tls: undefined };

class FakeSocket extends Duplex {
  /** Each writev is one entry: the pieces that went out together. */
  readonly written: Buffer[][] = [];
  override _read(): void {}
  override _writev(chunks: readonly { readonly chunk: Buffer }[], callback: () => void): void {
    this.written.push(chunks.map(({ chunk }) => chunk));
    callback();
  }
}

/** Bytes are lent as they are by a socket that reads into one buffer again and again. */
const dialTo =
  (socket: FakeSocket): Dial =>
  (_host, _port, _tls, onBytes) =>
    socket.on("data", (chunk: Buffer) => {
      const lent = Buffer.from(chunk);
      onBytes(lent);
      lent.fill(0xff);
    });

class ManualClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Map<object, { readonly atMs: number; readonly callback: () => void }>();
  now(): number {
    return this.#nowMs;
  }
  monotonic(): number {
    return this.#nowMs;
  }
  recentNow(): number {
    return this.#nowMs;
  }
  recentMonotonic(): number {
    return this.#nowMs;
  }
  setTimeout(callback: () => void, delayMs: number): object {
    const timer = {};
    this.#timers.set(timer, { atMs: this.#nowMs + delayMs, callback });
    return timer;
  }
  clearTimeout(timer: object): void {
    this.#timers.delete(timer);
  }
  setImmediate(callback: () => void): void {
    setImmediate(callback);
  }
  get pending(): number {
    return this.#timers.size;
  }
  advance(ms: number): void {
    this.#nowMs += ms;
    for (const [timer, { atMs, callback }] of this.#timers) {
      if (atMs > this.#nowMs) continue;
      this.#timers.delete(timer);
      callback();
    }
  }
}

async function open() {
  const socket = new FakeSocket();
  const clock = new ManualClock();
  const connection = new Connection("broker", 9092, dialTo(socket), clock, OPTIONS);
  const opened = connection.opened();
  socket.emit("connect");
  await opened;
  const told: string[] = [];
  /** Sends a request of these pieces; what it is told goes to `told`. */
  const request = (name: string, pieces: readonly string[] = [name]): void =>
    connection.request(
      () => pieces.map((piece) => Buffer.from(piece)),
      (error, bytes) => told.push(`${name}: ${bytes?.toString() ?? error!.message}`),
    );
  return { socket, clock, connection, told, request };
}

function response(correlationId: number, body: string): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(4 + body.length, 0);
  head.writeInt32BE(correlationId, 4);
  return Buffer.concat([head, Buffer.from(body)]);
}

test("the pieces of a request go out in one write, as they are", async () => {
  const { socket, request, connection } = await open();
  request("a", ["head", "batch", "tail"]);
  await nextTurn();
  assert.deepEqual(
    socket.written.map((pieces) => pieces.map(String)),
    [["head", "batch", "tail"]],
  );
  assert.equal(connection.inFlight, 1);
});

for (const [what, cut] of [
  ["byte by byte", (bytes: Buffer) => Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))],
  ["all at once", (bytes: Buffer) => [bytes]],
  ["cut inside a length", (bytes: Buffer) => [bytes.subarray(0, 15), bytes.subarray(15)]],
] as const) {
  test(`responses that come ${what} are told one after the other`, async () => {
    const { socket, told, request, connection } = await open();
    for (const name of ["a", "b", "c"]) request(name);
    const bytes = Buffer.concat([response(0, "first"), response(1, ""), response(2, "third")]);
    for (const chunk of cut(bytes)) socket.push(chunk);
    await nextTurn();
    assert.deepEqual(told, ["a: first", "b: ", "c: third"]);
    assert.equal(connection.inFlight, 0);
  });
}

test("what an API of the library is answered is its own, also after the next read", async () => {
  const { socket, connection } = await open();
  const answer = new Promise<{ toString(): string }>((resolve, reject) => {
    connection.send(
      3,
      0,
      () => Writer.create().appendInt32(1),
      (_correlationId, _key, _version, reader) => reader.buffer.subarray(0),
      false,
      false,
      (error, bytes) => (error === null ? resolve(bytes) : reject(error)),
    );
  });
  socket.push(response(0, "kept"));
  await nextTurn();
  assert.equal((await answer).toString(), "kept");
});

test("an answer to another question ends the connection: nothing that follows could be trusted", async () => {
  const { socket, told, request, connection } = await open();
  for (const name of ["a", "b"]) request(name);
  socket.push(response(1, "for b"));
  await nextTurn();
  assert.ok(connection.closed);
  assert.match(told.join(), /a: broker broker:9092 answered request 1, not 0,b: broker/);
});

for (const [what, bytes] of [
  ["an impossible length", Buffer.from("7fffffff", "hex")],
  ["a negative length", Buffer.from("ffffffff", "hex")],
  ["HTTP", Buffer.from("HTTP/1.1 400")],
] as const) {
  test(`${what} is not Kafka's protocol`, async () => {
    const { socket, told, request } = await open();
    request("a");
    socket.push(bytes);
    await nextTurn();
    assert.match(told[0]!, /broker:9092 does not speak Kafka's protocol/);
  });
}

test("when it is lost, everything pending is told, in order, and then whoever listens", async () => {
  const { socket, told, request, connection } = await open();
  for (const name of ["a", "b"]) request(name);
  connection.onClosed(({ message }: IngestError) => told.push(`closed: ${message}`));
  socket.destroy(new Error("reset"));
  await nextTurn();
  const reason = "connection to broker:9092 failed: reset";
  assert.deepEqual(told, [`a: ${reason}`, `b: ${reason}`, `closed: ${reason}`]);
  request("late");
  assert.equal(told.length, 3, "not from within the call");
  await nextTurn();
  assert.equal(told[3], `late: ${reason}`);
});

test("the request time-out is that of the oldest request without an answer", async () => {
  const { socket, clock, told, request, connection } = await open();
  request("a");
  clock.advance(3_000);
  request("b");
  socket.push(response(0, "answered"));
  await nextTurn();
  clock.advance(2_000);
  assert.equal(connection.closed, false);
  clock.advance(2_999);
  assert.equal(connection.closed, false);
  clock.advance(1);
  assert.ok(connection.closed);
  assert.equal(told[1], "b: no answer from broker:9092 within 5000 ms");
  assert.equal(clock.pending, 0);
});

test("a connection that is closed before it is open rejects, and leaves no timer", async () => {
  const socket = new FakeSocket();
  const clock = new ManualClock();
  const connection = new Connection("broker", 9092, dialTo(socket), clock, OPTIONS);
  const opened = connection.opened();
  connection.close("not needed any more");
  await assert.rejects(opened, /not needed any more/);
  assert.ok(socket.destroyed);
  assert.equal(clock.pending, 0);
});
