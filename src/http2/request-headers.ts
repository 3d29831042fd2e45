// From a header list to a request's headers, or to what is wrong with it: RFC 9113 sections 8.2 and 8.3.
//
// What is malformed ends the stream, never the connection, and no handler sees it. All rules are in here, so that a handler can
// take names, values and lengths for what they claim to be. Two are no MUST of the RFC but what nghttp2 does as well: a path
// begins with a slash (or is the asterisk of OPTIONS), and an authority holds no user information.
//
// Runs for each request whose block is new, which is each request of a client that sends deadlines: one pass, no Map.

import { ErrorCode, StreamError } from "./error-code.ts";
import { isAuthority, isFieldName, isFieldValue, isToken } from "./field.ts";
import type { HeaderList } from "./hpack/header-list.ts";
import type { RequestHeaders } from "./request.ts";

const COLON = 0x3a;
const SLASH = 0x2f;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const SCHEME = /^[a-z][a-z0-9+.-]*$/i;

/**
 * A request's headers.
 *
 * @param list not too large. Its `memo` is the caller's.
 * @returns the headers, or a StreamError that says which rule is broken.
 */
export function requestOf(list: HeaderList): RequestHeaders | StreamError {
  const { fields } = list;
  let method: string | undefined;
  let scheme: string | undefined;
  let path: string | undefined;
  let authority: string | undefined;
  let at = 0;
  for (; at < fields.length; at += 2) {
    const name = fields[at]!;
    const value = fields[at + 1]!;
    if (name.charCodeAt(0) !== COLON) break;
    switch (name) {
      case ":method":
        if (method !== undefined) return twice(name);
        if (!isToken(value)) return invalid(name);
        method = value;
        break;
      case ":scheme":
        if (scheme !== undefined) return twice(name);
        if (value !== "http" && value !== "https" && !SCHEME.test(value)) return invalid(name);
        scheme = value;
        break;
      case ":path":
        if (path !== undefined) return twice(name);
        if (value === "" || !isFieldValue(value)) return invalid(name);
        path = value;
        break;
      case ":authority":
        if (authority !== undefined) return twice(name);
        if (!isAuthority(value)) return invalid(name);
        authority = value;
        break;
      default:
        return malformed(`the pseudo-header field ${shown(name)} is none of a request`);
    }
  }
  if (method === undefined) return missing(":method");
  if (method === "CONNECT") {
    // RFC 9113 section 8.5. Whether there is such a thing as a tunnel is the handler's to say.
    if (scheme !== undefined) return malformed(":scheme in a CONNECT request");
    if (path !== undefined) return malformed(":path in a CONNECT request");
    if (authority === undefined || authority === "") return missing(":authority");
  } else {
    if (scheme === undefined) return missing(":scheme");
    if (path === undefined) return missing(":path");
    if (path.charCodeAt(0) !== SLASH && !(path === "*" && method === "OPTIONS") && isHttp(scheme))
      return invalid(":path");
  }

  const pseudoEnd = at;
  let host: string | undefined;
  let contentLength: number | undefined;
  for (; at < fields.length; at += 2) {
    const name = fields[at]!;
    const value = fields[at + 1]!;
    const broken = checkField(name, value);
    if (broken !== undefined) return broken;
    if (name === "host") {
      if (host !== undefined) return twice(name);
      if (!isAuthority(value)) return invalid(name);
      host = value;
    } else if (name === "content-length") {
      const length = lengthOf(value);
      if (length === undefined) return invalid(name);
      if (contentLength !== undefined && contentLength !== length)
        return malformed("content-length twice, and not the same");
      contentLength = length;
    }
  }
  if (host !== undefined && authority !== undefined && host !== authority) {
    if (host.toLowerCase() !== authority.toLowerCase()) return malformed("host is not the same as :authority");
  }
  return {
    method,
    scheme: scheme ?? "",
    path: path ?? "",
    authority: authority ?? host,
    contentLength,
    fields: fields.slice(pseudoEnd),
    memo: undefined,
  };
}

/** What is wrong with a request's trailers, if anything is. @param list not too large. */
export function checkTrailers(list: HeaderList): StreamError | undefined {
  const { fields } = list;
  for (let i = 0; i < fields.length; i += 2) {
    const broken = checkField(fields[i]!, fields[i + 1]!);
    if (broken !== undefined) return broken;
  }
  return undefined;
}

/** The rules for every regular field. */
function checkField(name: string, value: string): StreamError | undefined {
  if (!isFieldName(name)) {
    if (name.charCodeAt(0) !== COLON) return malformed(`${shown(name)} is no name of a header field`);
    return malformed(`the pseudo-header field ${shown(name)} where only regular fields may be`);
  }
  if (!isFieldValue(value)) return invalid(name);
  // By length first: most names have to be compared with nothing.
  switch (name.length) {
    case 2:
      if (name === "te" && value !== "trailers" && value.toLowerCase() !== "trailers") return invalid(name);
      break;
    case 7:
      if (name === "upgrade") return connectionSpecific(name);
      break;
    case 10:
      if (name === "connection" || name === "keep-alive") return connectionSpecific(name);
      break;
    case 16:
      if (name === "proxy-connection") return connectionSpecific(name);
      break;
    case 17:
      if (name === "transfer-encoding") return connectionSpecific(name);
      break;
  }
  return undefined;
}

/** The number that `content-length` says; undefined where it is none. */
function lengthOf(text: string): number | undefined {
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < DIGIT_0 || code > DIGIT_9) return undefined;
    length = length * 10 + (code - DIGIT_0);
    if (length > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return text === "" ? undefined : length;
}

function isHttp(scheme: string): boolean {
  if (scheme === "http" || scheme === "https") return true;
  const lower = scheme.toLowerCase();
  return lower === "http" || lower === "https";
}

function malformed(message: string): StreamError {
  return new StreamError(ErrorCode.PROTOCOL_ERROR, message);
}

function twice(name: string): StreamError {
  return malformed(`${name} twice`);
}

function missing(name: string): StreamError {
  return malformed(`no ${name}`);
}

function invalid(name: string): StreamError {
  return malformed(`the value of ${shown(name)} is not valid`);
}

function connectionSpecific(name: string): StreamError {
  return malformed(`${name} belongs to HTTP/1.1`);
}

const SHOWN_MAX = 64;

/** A name that the client chose, as printable ASCII and not too long. */
function shown(name: string): string {
  const printable = name.slice(0, SHOWN_MAX).replaceAll(/[^\x21-\x7e]/g, "?");
  return name.length > SHOWN_MAX ? `"${printable}..."` : `"${printable}"`;
}
