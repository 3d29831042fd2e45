import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import test from "node:test";
import { countSockets, readSockets, SOCKET_STATES } from "../../src/telemetry/sockets.ts";

const HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const line = (i: number, local: string, remote: string, state: string) =>
  `${String(i).padStart(4)}: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000     0        0 1 1 0\n`;

test("sockets are counted by state, if one of their ports is the service's or a broker's", () => {
  const table = [
    HEAD,
    line(0, "0100007F:C383", "00000000:0000", "0A"),
    line(1, "0100007F:C383", "0100007F:9C40", "01"),
    line(2, "0100007F:9C40", "0100007F:C383", "01"),
    line(3, "0100007F:C383", "0100007F:9C42", "06"),
    line(10_000, "0100007F:C383", "0100007F:9C44", "0C"),
    line(10_001, "0100007F:9C46", "0100007F:2384", "08"),
    line(10_002, "0100007F:0016", "0100007F:9C48", "01"),
  ].join("");
  const counts = SOCKET_STATES.map(() => 0);
  const ports = { local: new Set([0xc383]), remote: new Set([0x2384]) };
  countSockets(Buffer.from(table), 8, ports, counts);
  const v6 = "00000000000000000000000001000000";
  countSockets(Buffer.from(HEAD + line(0, `${v6}:C383`, `${v6}:9C40`, "01")), 32, ports, counts);
  // A table that is too long is cut anywhere.
  const whole = line(1, "0100007F:C383", "0100007F:9C40", "01");
  for (let length = 0; length < whole.length; length++)
    countSockets(Buffer.from(HEAD + whole.slice(0, length)), 8, ports, counts);
  countSockets(Buffer.alloc(0), 8, ports, counts);
  assert.equal(Object.keys(counts).length, SOCKET_STATES.length);
  const told = Object.fromEntries(
    SOCKET_STATES.map((state, i) => [state, counts[i]]).filter(([, count]) => count !== 0),
  );
  assert.deepEqual(told, { established: 2, syn_recv: 1, time_wait: 1, close_wait: 1, listen: 1 });
});

test("an open connection and the port that it came to are found", { skip: process.platform !== "linux" }, async () => {
  await using server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = connect(port, "127.0.0.1");
  const [served] = (await once(server, "connection")) as [{ destroy(): void }];
  const counts = await readSockets({ local: new Set([port]), remote: new Set() });
  const of = (state: (typeof SOCKET_STATES)[number]) => counts?.[SOCKET_STATES.indexOf(state)];
  assert.deepEqual([of("listen"), of("established")], [1, 1]);
  client.destroy();
  served.destroy();
});
