// What comes to the port and is no HTTP/2: browsers, probes, TLS where there is none, and noise.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import test from "node:test";
import { connect as connectTls } from "node:tls";
import { certificate } from "../../support/certificate.ts";
import { UNARY } from "../support/echo.ts";
import { data, headers, PREFACE, settings } from "../support/frames.ts";
import { callBlock, message } from "../support/grpc.ts";
import { RawConnection } from "../support/raw-connection.ts";
import { underAttack, Victim } from "../support/victim.ts";

const HTTP1 = [
  "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
  "POST /sluice.v1.EventIngest/Publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
  "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
];

for (const request of HTTP1) {
  test(`an HTTP/1.1 request ("${request.slice(0, 16)}...") gets a clear 4xx answer`, async () => {
    await underAttack({}, async (victim) => {
      const connection = await victim.connect({ settings: undefined });
      connection.send(Buffer.from(request));
      await connection.closed();
      assert.match(connection.text, /^HTTP\/1\.1 4\d\d [\w ]+\r\n/);
      assert.match(connection.text, /\r\n\r\n.*gRPC.*HTTP\/2/s, "it says what the port speaks");
      victim.assertAttacked("not_http2");
    });
  });
}

test("an HTTP/1.1 request that comes in pieces gets the same answer", async () => {
  await underAttack({}, async (victim) => {
    const connection = await victim.connect({ settings: undefined });
    for (const piece of ["P", "OST / HTT", "P/1.1\r\n", "\r\n"]) {
      connection.send(Buffer.from(piece));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await connection.closed();
    assert.match(connection.text, /^HTTP\/1\.1 4\d\d /);
  });
});

test("noise and a preface with a slip are cut", async () => {
  const wrong = Buffer.from(PREFACE);
  wrong[20] = 0x20;
  const prefaces = [
    Buffer.from("\0".repeat(100)),
    Buffer.from("hello\n"),
    wrong,
    Buffer.concat([PREFACE, headers(1, callBlock(UNARY))]),
    Buffer.concat([PREFACE, Buffer.from("\0\0\0")]),
  ];
  await underAttack({ handshakeTimeoutMs: 500 }, async (victim) => {
    for (const bytes of prefaces) {
      const connection = await victim.connect({ settings: undefined });
      connection.send(bytes);
      await connection.closed();
    }
  });
});

test("a TLS ClientHello on a plaintext port is cut at once, and the log says what it was", async () => {
  await underAttack({}, async (victim) => {
    const { host, port } = victim.server.address;
    const socket = connectTls({ host, port, ALPNProtocols: ["h2"], rejectUnauthorized: false });
    const [error] = (await once(socket, "error")) as [Error];
    assert.ok(error instanceof Error);
    socket.destroy();
    victim.assertAttacked("not_http2");
    assert.match(JSON.stringify(victim.told("not_http2")), /TLS/);
  });
});

test("garbage, plaintext HTTP/2 and a hello without h2 on a TLS port are cut, counted, and leave TLS clients served", async () => {
  const { cert, key } = certificate();
  await using victim = await Victim.start({ tls: { cert, key, clientCa: undefined } });
  const { host, port } = victim.server.address;
  const served = async (): Promise<void> => {
    using connection = await RawConnection.open(victim.server.address, { settings: [], tls: {} });
    connection.send(headers(1, callBlock(UNARY)), data(1, message("over TLS"), true));
    assert.equal((await connection.answer(1)).messages.join(), "over TLS");
  };
  await served();
  const garbage = [
    Buffer.from("\x16\x03\x01\x02\x00garbage that is no hello".padEnd(600, "x")),
    Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    Buffer.concat([PREFACE, settings()]),
    Buffer.alloc(1000, 0xff),
  ];
  for (const bytes of garbage) {
    const socket = connect({ host, port });
    socket.on("error", () => undefined);
    socket.write(bytes);
    socket.resume();
    await once(socket, "close");
    await served();
  }
  const failures = victim.metrics.grpcHandshakeFailures
    .snapshot()
    .series.reduce((sum, [, value]) => sum + Number(value), 0);
  assert.equal(failures, garbage.length);
  const http1 = connectTls({ host, port, ALPNProtocols: ["http/1.1"], rejectUnauthorized: false });
  await Promise.race([once(http1, "error"), once(http1, "close")]);
  http1.destroy();
  await served();
});

test("a TLS handshake that does not go on is cut after GRPC_HANDSHAKE_TIMEOUT", async () => {
  const { cert, key } = certificate();
  await using victim = await Victim.start({ tls: { cert, key, clientCa: undefined }, handshakeTimeoutMs: 300 });
  const { host, port } = victim.server.address;
  const socket = connect({ host, port });
  socket.on("error", () => undefined);
  socket.write(Buffer.from("\x16\x03\x01", "latin1"));
  socket.resume();
  await once(socket, "close");
  assert.ok(victim.attacks("slow_handshake") + victim.metrics.grpcHandshakeFailures.snapshot().series.length > 0);
});
