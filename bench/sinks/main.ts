// A bare sink: a gRPC server that answers every batch at once and stores nothing. Beside the service it shows how much of a
// request's cost is the transport's.
//
//   GRPC_LISTEN=127.0.0.1:0 node bench/sinks/main.ts --server native|grpc-js|http2
//   says {"msg":"ready","grpc":"host:port"} on standard error; the service's GRPC_… variables hold here, too

import { parseArgs } from "node:util";
import { formatAddress } from "../../src/config.ts";
import { createSink, SINK_SERVERS } from "./sink.ts";

const { values } = parseArgs({ options: { server: { type: "string", default: "native" } } });
const server = SINK_SERVERS.find((name) => name === values.server);
if (server === undefined) throw new Error(`--server: give ${SINK_SERVERS.join(", ")}, not "${values.server}"`);
const sink = await createSink(server, process.env);
await sink.start();
console.error(JSON.stringify({ msg: "ready", grpc: formatAddress(sink.address) }));
