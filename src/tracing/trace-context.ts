// W3C Trace Context: what a client says of the trace that its request belongs to, and what records say of it.
//
//   traceparent := "00-" trace-id:32 hex "-" span-id:16 hex "-" flags:2 hex
//
// A context that is not what the specification asks for counts as none. A tracestate is passed on as it is, up to the 512 bytes
// that everybody has to pass on: it is written into each record, and a client must not make each of its events that much larger.

import { type SpanContext, TraceFlags } from "@opentelemetry/api";
import { parseTraceParent, TraceState } from "@opentelemetry/core";
import { encodeHeaders } from "../wire/added-headers.ts";

const TRACEPARENT = "traceparent";
export const TRACESTATE = "tracestate";

const TRACESTATE_BYTES_MAX = 512;

/** Sampled, and that the trace id is random. What else a client says must not be passed on: nobody knows what it means. */
const KNOWN_FLAGS = 0b11;

/** Undefined if there is none, or no legal one. */
export function parentOf(traceparent: string, tracestate: string | undefined): SpanContext | undefined {
  const parent = parseTraceParent(traceparent);
  if (parent === null) return undefined;
  const kept = keptState(tracestate);
  const traceFlags = parent.traceFlags & KNOWN_FLAGS;
  return { ...parent, traceFlags, isRemote: true, ...(kept !== undefined && { traceState: new TraceState(kept) }) };
}

export function isSampled({ traceFlags }: SpanContext): boolean {
  return (traceFlags & TraceFlags.SAMPLED) !== 0;
}

/** The context's headers, as Kafka encodes them, and how many they are. */
export function headersOf(context: SpanContext): { readonly headers: Buffer; readonly headerCount: number } {
  const { traceId, spanId, traceFlags, traceState } = context;
  const traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
  const state = keptState(traceState?.serialize());
  if (state === undefined) return { headers: encodeHeaders([[TRACEPARENT, traceparent]]), headerCount: 1 };
  const headers = encodeHeaders([
    [TRACEPARENT, traceparent],
    [TRACESTATE, state],
  ]);
  return { headers, headerCount: 2 };
}

function keptState(tracestate: string | undefined): string | undefined {
  const kept = tracestate !== undefined && tracestate !== "" && tracestate.length <= TRACESTATE_BYTES_MAX;
  return kept ? tracestate : undefined;
}
