// Incidents of limits, on the real service under load: a client that forgets to close what it opens.
//
// No function is guilty of that, so the bundle has to name the caller.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { WorkerState } from "../../../src/supervisor/inspection.ts";
import { PUBLISH_STREAM, RawClient } from "../../support/raw-client.ts";
import { assertReachesBack, type Bundle, bundleOf, fileOf } from "./bundle.ts";
import { Scene } from "./scene.ts";

const LIMIT = { timeout: 120_000 };
const CONNECTIONS_MAX = 60;
const STREAMS_MAX = 100;

type Leak = "sockets" | "streams";

/** A client that opens one more call each 20 ms, over connections of their own or over one, and closes none. */
function leak(address: string, what: Leak, count: number): Disposable {
  const [host = "", port = ""] = address.split(":");
  const clients: RawClient[] = [];
  const timer = setInterval(() => {
    if (what === "sockets" || clients.length === 0) clients.push(new RawClient({ host, port: Number(port) }));
    const call = clients.at(-1)!.duplex(PUBLISH_STREAM);
    // The end of the service, or a refusal.
    call.on("error", () => {});
    // A stream begins with its first message; one that is no batch is answered.
    call.write(Buffer.alloc(0));
    if (--count === 0) clearInterval(timer);
  }, 20);
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
      for (const client of clients) client[Symbol.dispose]();
    },
  };
}

function callersOf(bundle: Bundle) {
  const state = JSON.parse(fileOf(bundle, "state.json").toString()) as Readonly<Record<string, WorkerState>>;
  return state[bundle.incident.worker]!.callers!.callers;
}

test("sockets and streams that a client leaks are told before the limit, with whose they are", LIMIT, async () => {
  await using scene = await Scene.start({
    triggers: "connections=min:0.5;abs:0.8;hold:2s,streams=min:0.6;abs:0.8;hold:2s",
    env: { GRPC_CONNECTIONS_MAX: String(CONNECTIONS_MAX), GRPC_STREAMS_MAX: String(STREAMS_MAX) },
  });
  using _sockets = leak(scene.service.grpcAddress, "sockets", 2 * CONNECTIONS_MAX - 16);
  const sockets = await scene.incident(["connections"], ["state.json", "profile-before.pb.gz"]);
  using _streams = leak(scene.service.grpcAddress, "streams", STREAMS_MAX - 10);
  const streams = await scene.incident(["streams"], ["state.json", "profile-before.pb.gz"]);
  await scene.assertIngestGoesOn(streams.worker);
  const bundles = await scene.bundles();

  for (const incident of [sockets, streams]) {
    const bundle = bundleOf(bundles, incident);
    assertReachesBack(bundle);
    const [caller] = callersOf(bundle);
    assert.equal(caller?.address, "127.0.0.1");
    assert.ok(
      incident.kind === "connections"
        ? caller.connections >= 0.8 * CONNECTIONS_MAX
        : caller.streamsMax >= 0.8 * STREAMS_MAX,
    );
  }
});
