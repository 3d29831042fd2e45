// An OTLP receiver: takes traces over HTTP as a collector does, and decodes them with protobufjs.

import { createServer, type IncomingMessage } from "node:http";
import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { loadSync, type MethodDefinition } from "@grpc/proto-loader";

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: it begins its trace. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  readonly kind: string;
  /** Nanoseconds since the epoch. */
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly status: { readonly code: string; readonly message: string };
  readonly resource: Readonly<Record<string, string | number | boolean>>;
  readonly scope: string;
}

export interface Collector extends AsyncDisposable {
  /** As OTEL_EXPORTER_OTLP_ENDPOINT takes it. */
  readonly endpoint: string;
  readonly spans: readonly ReceivedSpan[];
  readonly requests: readonly { readonly url: string; readonly headers: IncomingMessage["headers"] }[];
  /** The status that it answers with; 200 at first. `hang`: it does not answer. */
  answer: number | "hang";
}

interface RawKeyValue {
  readonly key: string;
  readonly value: { readonly value: "stringValue" | "boolValue" | "intValue" | "doubleValue" } & Readonly<
    Record<string, string | number | boolean>
  >;
}

interface RawSpan {
  readonly traceId: Buffer;
  readonly spanId: Buffer;
  readonly traceState: string;
  readonly parentSpanId: Buffer;
  readonly name: string;
  readonly kind: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly RawKeyValue[];
  readonly links: readonly { readonly traceId: Buffer; readonly spanId: Buffer }[];
  readonly status: { readonly code: string; readonly message: string } | null;
}

interface ExportRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly RawKeyValue[] };
    readonly scopeSpans: readonly { readonly scope: { readonly name: string }; readonly spans: readonly RawSpan[] }[];
  }[];
}

const options = { longs: String, enums: String, defaults: true, oneofs: true };
const definition = loadSync(join(import.meta.dirname, "otlp.proto"), options)["otlp.TraceService"]!;
const exportMethod = (definition as Record<string, MethodDefinition<ExportRequest, object>>)["Export"]!;

/** What an export's body holds. */
export function decodeExport(body: Buffer): ReceivedSpan[] {
  return exportMethod.requestDeserialize(body).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ scope, spans }) =>
      spans.map((span) => ({
        traceId: span.traceId.toString("hex"),
        spanId: span.spanId.toString("hex"),
        parentSpanId: span.parentSpanId.toString("hex"),
        traceState: span.traceState,
        name: span.name,
        kind: span.kind,
        start: BigInt(span.startTimeUnixNano),
        end: BigInt(span.endTimeUnixNano),
        attributes: attributesOf(span.attributes),
        links: span.links.map((link) => ({
          traceId: link.traceId.toString("hex"),
          spanId: link.spanId.toString("hex"),
        })),
        status: { code: span.status?.code ?? "UNSET", message: span.status?.message ?? "" },
        resource: attributesOf(resource.attributes),
        scope: scope.name,
      })),
    ),
  );
}

function attributesOf(pairs: readonly RawKeyValue[]): Record<string, string | number | boolean> {
  return Object.fromEntries(
    pairs.map(({ key, value }) => {
      const given = value[value.value]!;
      return [key, value.value === "intValue" ? Number(given) : given];
    }),
  );
}

export async function startCollector(): Promise<Collector> {
  const spans: ReceivedSpan[] = [];
  const requests: { url: string; headers: IncomingMessage["headers"] }[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      requests.push({ url: request.url ?? "", headers: request.headers });
      if (collector.answer === "hang") return;
      if (collector.answer === 200) spans.push(...decodeExport(Buffer.concat(chunks)));
      response.writeHead(collector.answer, { "content-type": "application/x-protobuf" }).end();
    });
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const collector: Collector = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    requests,
    answer: 200,
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
  return collector;
}

/** The spans of a trace by name; names that come more than once have the last. */
export function byName(spans: readonly ReceivedSpan[]): Record<string, ReceivedSpan> {
  return Object.fromEntries(spans.map((span) => [span.name, span]));
}
