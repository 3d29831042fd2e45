import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { assertNoCanary, CANARY_KEY, SECRETS } from "./canaries.ts";

test("a canary is found as it is, as hex, within base64, and within gzip", () => {
  const password = SECRETS.KAFKA_SASL_PASSWORD;
  const hidden = [
    Buffer.from(`{"a":"${CANARY_KEY}-3"}`),
    Buffer.from(Buffer.from(password).toString("hex")),
    ...["", "a", "ab"].map((before) => Buffer.from(Buffer.from(`${before}${password}z`).toString("base64"))),
    gzipSync(`before ${password} after`),
  ];
  for (const bytes of hidden) assert.throws(() => assertNoCanary(bytes, "it"), /it has canary-in-a-(key|password)/);
  assertNoCanary(Buffer.from("a canary-in-a-mine"), "it");
});
