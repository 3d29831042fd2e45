import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import test from "node:test";
import { crc32c as reference } from "@node-rs/crc32";
import fc from "fast-check";
import { crc32c } from "../../src/wire/crc32c.ts";

test("the check value of CRC-32C", () => {
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  assert.equal(crc32c(Buffer.alloc(0)), 0);
});

test("any bytes at any place of a buffer have the checksum that another library gives, from any seed", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 20_000, size: "max" }),
      fc.nat(100),
      fc.nat(0xffffffff),
      (bytes, from, seed) => {
        const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).subarray(from);
        assert.equal(crc32c(view, seed), reference(view, seed));
      },
    ),
  );
});

test("it goes on from where it was interrupted", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), fc.nat(2_000), (bytes, at) => {
      const whole = Buffer.from(bytes);
      assert.equal(crc32c(whole.subarray(at), crc32c(whole.subarray(0, at))), crc32c(whole));
    }),
  );
});

test("of its package only the checksums are loaded", () => {
  const script = `
    await import(${JSON.stringify(import.meta.resolve("../../src/wire/crc32c.ts"))});
    const { createRequire } = await import("node:module");
    console.log(JSON.stringify(Object.keys(createRequire(import.meta.url).cache)));
  `;
  const loaded = JSON.parse(
    execFileSync(process.execPath, ["--input-type=module", "--eval", script], {
      encoding: "utf8",
      cwd: import.meta.dirname,
    }),
  ) as string[];
  const inPackage = loaded.map((file) =>
    file
      .split("/node_modules/")
      .at(-1)!
      .replace(/bin\/[^/]+/, "bin/PLATFORM"),
  );
  assert.deepEqual(inPackage.toSorted(), [
    "aws-crt/dist/bin/PLATFORM/aws-crt-nodejs.node",
    "aws-crt/dist/native/binding.js",
    "aws-crt/dist/native/checksums.js",
  ]);
});
