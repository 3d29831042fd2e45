// Ids of traces and spans: random, as W3C Trace Context wants them.
//
// Rejected: the SDK's generator, which would be all that workers load the SDK for. An id of zeros alone is not legal, and is as
// likely as any other one.

import { randomFillSync } from "node:crypto";

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;

/** The system is asked once for many. */
const random = Buffer.alloc(4_096);
let used = random.length;

function randomHex(bytes: number): string {
  if (used + bytes > random.length) {
    randomFillSync(random);
    used = 0;
  }
  return random.toString("hex", used, (used += bytes));
}

/** 32 hexadecimal digits. */
export function newTraceId(): string {
  return randomHex(TRACE_ID_BYTES);
}

/** 16 hexadecimal digits. */
export function newSpanId(): string {
  return randomHex(SPAN_ID_BYTES);
}
