// The header blocks of answers. Those of nearly every call are encoded once, when the process starts.
//
//   Response-Headers := HTTP-Status [Message-Encoding] [Message-Accept-Encoding] Content-Type *Custom-Metadata
//   Trailers         := Status [Status-Message] *Custom-Metadata
//   Trailers-Only    := HTTP-Status Content-Type Trailers

import { Code } from "../../errors.ts";
import { encodeHeaders } from "../../http2/hpack/encoder.ts";
import type { Metadata, Status } from "../server.ts";
import { ACCEPTED_ENCODINGS } from "./encodings.ts";
import { base64, type Field, metadataFields } from "./metadata.ts";
import { encodeStatusMessage } from "./status-message.ts";

/** Clients may refuse more. In bytes, with 32 for each field, as RFC 9113 section 6.5.2 counts. */
const TRAILERS_BYTES_MAX = 8 << 10;
/** What the rest of a trailers-only answer takes of it at most, and `grpc-message` without its value. */
const OVERHEAD_BYTES = 512;
const FIELD_OVERHEAD_BYTES = 32;

const CONTENT_TYPE: Field = ["content-type", "application/grpc"];
const HTTP_OK: Field = [":status", "200"];
const HEAD: readonly Field[] = [HTTP_OK, CONTENT_TYPE];
const ACCEPT_ENCODING: Field = ["grpc-accept-encoding", ACCEPTED_ENCODINGS];
const GZIP: Field = ["grpc-encoding", "gzip"];

const PLAIN_HEADERS = encodeHeaders(HEAD);
const GZIP_HEADERS = encodeHeaders([...HEAD, GZIP]);
const ACCEPTING_HEADERS = encodeHeaders([...HEAD, ACCEPT_ENCODING]);
const ACCEPTING_GZIP_HEADERS = encodeHeaders([...HEAD, GZIP, ACCEPT_ENCODING]);

const OK_TRAILERS = encodeHeaders([["grpc-status", "0"]]);
const OK_TRAILERS_ONLY = encodeHeaders([...HEAD, ["grpc-status", "0"]]);

/**
 * Response-Headers without custom metadata.
 *
 * @param gzip messages may be compressed.
 * @param accepting says which encodings requests may have: a client that compresses its messages is told.
 */
export function headersBlock(gzip: boolean, accepting: boolean): Buffer {
  if (accepting) return gzip ? ACCEPTING_GZIP_HEADERS : ACCEPTING_HEADERS;
  return gzip ? GZIP_HEADERS : PLAIN_HEADERS;
}

/** Response-Headers with custom metadata. @throws for metadata that cannot be sent. */
export function customHeadersBlock(metadata: Metadata, gzip: boolean, accepting: boolean): Buffer {
  const fields = [...HEAD];
  if (gzip) fields.push(GZIP);
  if (accepting) fields.push(ACCEPT_ENCODING);
  return encodeHeaders([...fields, ...metadataFields(metadata)]);
}

/** @param only nothing was sent before. @throws for trailers that cannot be sent. */
export function trailersBlock(status: Status, only: boolean): Buffer {
  const { code, message, details, trailers } = status;
  if (code === Code.OK && message === "" && details === undefined && trailers === undefined)
    return only ? OK_TRAILERS_ONLY : OK_TRAILERS;
  const fields = trailerFields(status);
  return encodeHeaders(only ? [...HEAD, ...fields] : fields);
}

/** The head of an answer to what is no call. */
export function foreignHeadersBlock(httpStatus: "405" | "415"): Buffer {
  const fields: Field[] = [
    [":status", httpStatus],
    ["content-type", "text/plain; charset=utf-8"],
  ];
  if (httpStatus === "405") fields.push(["allow", "POST"]);
  return encodeHeaders(fields);
}

/** Tells which encodings there are, as an answer to another one. */
export function unknownEncodingBlock(status: Status): Buffer {
  return encodeHeaders([...HEAD, ACCEPT_ENCODING, ...trailerFields(status)]);
}

/**
 * What is too large for a client is cut, the message first: custom trailers are the handler's own choice, and details that do
 * not fit are left out whole, since a part of them is nothing.
 */
function trailerFields({ code, message, details, trailers = [] }: Status): Field[] {
  const fields: Field[] = [["grpc-status", String(code)]];
  const custom = metadataFields(trailers);
  let left = TRAILERS_BYTES_MAX - OVERHEAD_BYTES;
  for (const [name, value] of custom) left -= name.length + value.length + FIELD_OVERHEAD_BYTES;
  let encodedDetails: Field | undefined;
  if (details !== undefined) {
    encodedDetails = ["grpc-status-details-bin", base64(details)];
    const bytes = encodedDetails[0].length + encodedDetails[1].length + FIELD_OVERHEAD_BYTES;
    if (bytes <= left) left -= bytes;
    else encodedDetails = undefined;
  }
  if (message !== "") fields.push(["grpc-message", encodeStatusMessage(message, Math.max(0, left))]);
  if (encodedDetails !== undefined) fields.push(encodedDetails);
  return [...fields, ...custom];
}
