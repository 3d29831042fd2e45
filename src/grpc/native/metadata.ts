// Custom metadata as header fields, both ways.
//
//   Custom-Metadata := Binary-Header / ASCII-Header
//   Binary-Header   := {Header-Name "-bin"} {base64, with or without padding; several joined by ","}
//   ASCII-Header    := Header-Name 1*( %x20-%x7E )
//   Header-Name     := 1*( %x30-39 / %x61-7A / "_" / "-" / "." )

import { assert } from "../../errors.ts";
import { fieldOf, type RequestHeaders } from "../../http2/request.ts";
import type { Metadata } from "../server.ts";

export type Field = readonly [name: string, value: string];

const NAME = /^[0-9a-z_.-]+$/;
const ASCII_VALUE = /^[\x20-\x7e]*$/;
const BASE64 = /^[0-9A-Za-z+/]*={0,2}$/;

/** Names that are not the application's: HTTP/2 forbids them, or the answer has them already. `grpc-` is reserved as well. */
const RESERVED: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "content-type",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

/** The first value of this name; undefined where there is none, or it is nothing that gRPC calls a value. */
export function asciiValue(headers: RequestHeaders, name: string): string | undefined {
  const value = fieldOf(headers, name);
  return value !== undefined && ASCII_VALUE.test(value) ? value : undefined;
}

/** The first value of this name; undefined where there is none, or it is not base64. */
export function binaryValue(headers: RequestHeaders, name: string): Uint8Array | undefined {
  const value = fieldOf(headers, name);
  if (value === undefined) return undefined;
  const comma = value.indexOf(",");
  const first = (comma < 0 ? value : value.slice(0, comma)).trim();
  return BASE64.test(first) ? Buffer.from(first, "base64") : undefined;
}

/** @throws for a name or value that cannot be sent: a bug of the handler's. */
export function metadataFields(metadata: Metadata): Field[] {
  return metadata.map(([name, value]) => {
    assert(NAME.test(name) && !name.startsWith("grpc-") && !RESERVED.has(name), `"${name}" is no name for metadata`);
    if (typeof value === "string") {
      assert(!name.endsWith("-bin"), `the value of "${name}" has to be bytes`);
      assert(ASCII_VALUE.test(value), `the value of "${name}" is not printable ASCII`);
      // HTTP/2 takes no space at either end.
      return [name, value.trim()];
    }
    assert(name.endsWith("-bin"), `the value of "${name}" has to be a string: only names ending in -bin have bytes`);
    return [name, base64(value)];
  });
}

/** Without padding. */
export function base64(bytes: Uint8Array): string {
  const padded = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
  const padding = padded.indexOf("=");
  return padding < 0 ? padded : padded.slice(0, padding);
}
