// The attributes' names are those of OpenTelemetry's semantic conventions.

import assert from "node:assert/strict";
import test from "node:test";
import * as conventions from "@opentelemetry/semantic-conventions/incubating";
import { ATTRIBUTE } from "../../src/tracing/attributes.ts";

test("every attribute has the name that the conventions give it", () => {
  const known = conventions as unknown as Readonly<Record<string, unknown>>;
  const given = Object.fromEntries(Object.keys(ATTRIBUTE).map((key) => [key, known[`ATTR_${key}`]]));
  assert.deepEqual({ ...ATTRIBUTE }, given);
});
