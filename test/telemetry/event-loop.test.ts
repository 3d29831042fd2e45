import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { EventLoopDelay } from "../../src/telemetry/event-loop.ts";

const SPIN_MS = 300;

test("a socket's callback that takes long is seen, although no timer was due for long", async () => {
  const server = net.createServer((socket) => {
    socket.on("data", () => {
      const endMs = performance.now() + SPIN_MS;
      while (performance.now() < endMs);
      socket.end("done");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
  await once(socket, "connect");
  const delay = new EventLoopDelay();
  delay.start();
  await setTimeout(200);
  delay.endSecond(1_000);
  socket.write("x");
  await once(socket, "data");
  // What saw it tells so in the next turns.
  await setTimeout(120);
  const { max } = delay.endSecond(2_000)!;
  delay.stop();
  socket.destroy();
  server.close();
  assert.ok(max > SPIN_MS / 1000 - 0.11, `${max}`);
});
