// The baseline: the same service as anyone would assemble it from the READMEs of @grpc/grpc-js, @grpc/proto-loader and
// kafkajs. It does less than sluice does (no checks of events, no placements, no backpressure, an event's own topic is not
// looked at), and nothing here is made slow on purpose: proto-loader decodes, each request is one `producer.send`.
//
//   KAFKA_BROKERS=127.0.0.1:9092 GRPC_LISTEN=127.0.0.1:0 node bench/naive/main.ts

import { fileURLToPath } from "node:url";
import * as grpc from "@grpc/grpc-js";
import * as protoLoader from "@grpc/proto-loader";
import { Kafka, logLevel, Partitioners } from "kafkajs";

interface Event {
  key?: Buffer;
  value?: Buffer;
  headers: { key: string; value: Buffer }[];
  timestamp?: { seconds: string; nanos: number };
  partition?: number;
}
interface PublishRequest {
  sequence: string;
  topic: string;
  events: Event[];
}
interface PublishResponse {
  sequence: string;
  stored: number;
}

const protoDir = fileURLToPath(new URL("../../proto", import.meta.url));
const definition = protoLoader.loadSync("sluice/v1/ingest.proto", {
  includeDirs: [protoDir],
  longs: String,
  arrays: true,
});
const { EventIngest } = (grpc.loadPackageDefinition(definition) as never)["sluice"]["v1"] as {
  EventIngest: grpc.ServiceClientConstructor;
};

const kafka = new Kafka({
  clientId: "naive",
  brokers: (process.env["KAFKA_BROKERS"] ?? "127.0.0.1:9092").split(","),
  logLevel: logLevel.ERROR,
});
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
await producer.connect();

async function publish(request: PublishRequest): Promise<PublishResponse> {
  await producer.send({
    topic: request.topic,
    acks: -1,
    messages: request.events.map((event) => ({
      key: event.key ?? null,
      value: event.value ?? null,
      headers: Object.fromEntries(event.headers.map((header) => [header.key, header.value])),
      ...(event.timestamp && { timestamp: toMillis(event.timestamp) }),
      ...(event.partition !== undefined && { partition: event.partition }),
    })),
  });
  return { sequence: request.sequence, stored: request.events.length };
}

function toMillis({ seconds, nanos }: { seconds: string; nanos: number }): string {
  return String(Number(seconds) * 1000 + Math.floor(nanos / 1e6));
}

const server = new grpc.Server({ "grpc.max_receive_message_length": 16 << 20 });
server.addService(EventIngest.service, {
  async Publish(
    call: grpc.ServerUnaryCall<PublishRequest, PublishResponse>,
    callback: grpc.sendUnaryData<PublishResponse>,
  ) {
    try {
      callback(null, await publish(call.request));
    } catch (error) {
      callback({ code: grpc.status.UNAVAILABLE, message: (error as Error).message });
    }
  },

  PublishStream(call: grpc.ServerDuplexStream<PublishRequest, { published: PublishResponse }>) {
    let unanswered = 0;
    let ended = false;
    call.on("data", (request: PublishRequest) => {
      unanswered++;
      publish(request)
        .then(
          (published) => call.write({ published }),
          (error: Error) => call.emit("error", { code: grpc.status.UNAVAILABLE, message: error.message }),
        )
        .finally(() => {
          unanswered--;
          if (ended && unanswered === 0) call.end();
        });
    });
    call.on("end", () => {
      ended = true;
      if (unanswered === 0) call.end();
    });
  },
});

server.bindAsync(
  process.env["GRPC_LISTEN"] ?? "127.0.0.1:50051",
  grpc.ServerCredentials.createInsecure(),
  (error, port) => {
    if (error) throw error;
    console.error(JSON.stringify({ msg: "ready", grpc: `127.0.0.1:${port}` }));
  },
);
