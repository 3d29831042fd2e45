// grpc-message: any text, percent-encoded, of bounded length.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeStatusMessage } from "../../../src/grpc/native/status-message.ts";

test("printable ASCII passes as it is, but for the percent sign and a space at either end", () => {
  assert.equal(encodeStatusMessage("a (b) ~!", 100), "a (b) ~!");
  assert.equal(encodeStatusMessage("100%", 100), "100%25");
  assert.equal(encodeStatusMessage(" a b ", 100), "%20a b%20");
  assert.equal(encodeStatusMessage(" ", 100), "%20");
  assert.equal(encodeStatusMessage("", 100), "");
});

test("everything else is the bytes of its UTF-8", () => {
  assert.equal(
    encodeStatusMessage("\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n", 1_000),
    "%09%0Atest with whitespace%0D%0Aand Unicode BMP %E2%98%BA and non-BMP %F0%9F%98%88%09%0A",
  );
});

test("any text comes back, or a beginning of it when it is cut, always as a legal field value of at most the length asked for", () => {
  const texts = fc.string({ unit: "grapheme", maxLength: 60 });
  fc.assert(
    fc.property(texts, fc.nat(200), (text, bytesMax) => {
      const encoded = encodeStatusMessage(text, bytesMax);
      assert.ok(encoded.length <= bytesMax);
      assert.match(encoded, /^$|^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/);
      const decoded = decodeURIComponent(encoded);
      if (decoded !== text) assert.ok(encoded === "" || text.startsWith(decoded.slice(0, -3)), encoded);
      if (encodeStatusMessage(text, 10_000).length <= bytesMax) assert.equal(decoded, text);
    }),
    { numRuns: 500 },
  );
});
