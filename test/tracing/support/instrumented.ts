// @opentelemetry/instrumentation-grpc with an SDK of its own, as whoever runs a service or a client may have it: to be loaded
// before grpc-js is. It exports to OTEL_EXPORTER_OTLP_ENDPOINT.
//
// The instrumentation patches grpc-js' prototypes when it sees the module required; who imports it afterwards has them.

import { createRequire } from "node:module";
import { context, propagation, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { registerInstrumentations } from "@opentelemetry/instrumentation";
import { GrpcInstrumentation } from "@opentelemetry/instrumentation-grpc";
import { SimpleSpanProcessor, StackContextManager, TracerProvider } from "@opentelemetry/sdk-trace";

const exporter = new OTLPTraceExporter();
export const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
trace.setGlobalTracerProvider(provider);
// Calls are opened synchronously; one over AsyncLocalStorage would do as well.
context.setGlobalContextManager(new StackContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
registerInstrumentations({ instrumentations: [new GrpcInstrumentation()] });
createRequire(import.meta.url)("@grpc/grpc-js");
