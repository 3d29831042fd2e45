// Texts that are planted where secrets and events are, and that must not turn up where people look: in bundles and logs.

import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";

export const CANARY_VALUE = "canary-in-a-payload-7c1d";
export const CANARY_KEY = "canary-in-a-key-93ab";
const CANARY_PASSWORD = "canary-in-a-password-51fe";
const CANARY_TOKEN = "canary-in-a-token-e08b-0123456789abcdef";

const CANARIES = [CANARY_VALUE, CANARY_KEY, CANARY_PASSWORD, CANARY_TOKEN];

/** Secrets of a service, as its environment has them. */
export const SECRETS = {
  KAFKA_SASL_MECHANISM: "PLAIN",
  KAFKA_SASL_USERNAME: "somebody",
  KAFKA_SASL_PASSWORD: CANARY_PASSWORD,
  ADMIN_TOKEN: CANARY_TOKEN,
} as const;

/** A header that opens the admin port. */
export const AUTHORIZATION = { authorization: `Bearer ${CANARY_TOKEN}` } as const;

function forms(canary: string): Buffer[] {
  const bytes = Buffer.from(canary);
  // As base64 has the whole text in the middle of something: what lies at its ends depends on what is around.
  const base64 = [0, 1, 2].map((before) =>
    Buffer.concat([Buffer.alloc(before), bytes])
      .toString("base64")
      .slice(4, -4),
  );
  return [bytes, Buffer.from(bytes.toString("hex")), ...base64.map((text) => Buffer.from(text))];
}

const FORMS = CANARIES.flatMap((canary) => forms(canary).map((form) => ({ canary, form })));

/** Fails if there is a canary in the bytes, as it is, as hex or base64, gzipped or not. */
export function assertNoCanary(bytes: Uint8Array, where: string): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const plain = buffer.length > 2 && buffer.readUInt16BE(0) === 0x1f8b ? gunzipSync(buffer) : buffer;
  const found = FORMS.find(({ form }) => plain.includes(form));
  assert.equal(found, undefined, `${where} has ${found?.canary}`);
}
