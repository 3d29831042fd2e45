import assert from "node:assert/strict";
import test from "node:test";
import { ErrorCode, StreamError } from "../../src/http2/error-code.ts";
import type { HeaderList } from "../../src/http2/hpack/header-list.ts";
import { fieldOf, type RequestHeaders } from "../../src/http2/request.ts";
import { checkTrailers, requestOf } from "../../src/http2/request-headers.ts";

type Field = readonly [name: string, value: string];

function listOf(...fields: readonly Field[]): HeaderList {
  return { fields: fields.flat(), tooLarge: false, memo: undefined };
}

const METHOD: Field = [":method", "POST"];
const SCHEME: Field = [":scheme", "http"];
const PATH: Field = [":path", "/pkg.Service/Method"];
const AUTHORITY: Field = [":authority", "example.com:50051"];
const REQUEST = [METHOD, SCHEME, PATH, AUTHORITY];

function accepted(...fields: readonly Field[]): RequestHeaders {
  const request = requestOf(listOf(...fields));
  if (request instanceof StreamError) assert.fail(request.message);
  return request;
}

function refused(...fields: readonly Field[]): string {
  const error = requestOf(listOf(...fields));
  assert.ok(error instanceof StreamError, `accepted: ${JSON.stringify(fields)}`);
  assert.equal(error.code, ErrorCode.PROTOCOL_ERROR);
  return error.message;
}

function refusedTrailers(...fields: readonly Field[]): string {
  const error = checkTrailers(listOf(...fields));
  assert.ok(error instanceof StreamError, `accepted: ${JSON.stringify(fields)}`);
  assert.equal(error.code, ErrorCode.PROTOCOL_ERROR);
  return error.message;
}

test("a gRPC request's headers are taken apart", () => {
  const request = accepted(
    ...REQUEST,
    ["content-type", "application/grpc"],
    ["te", "trailers"],
    ["x-a", "1"],
    ["x-a", "2"],
  );
  assert.deepEqual(request, {
    method: "POST",
    scheme: "http",
    path: "/pkg.Service/Method",
    authority: "example.com:50051",
    contentLength: undefined,
    fields: ["content-type", "application/grpc", "te", "trailers", "x-a", "1", "x-a", "2"],
    memo: undefined,
  });
  assert.equal(fieldOf(request, "x-a"), "1");
  assert.equal(fieldOf(request, "x-b"), undefined);
});

test("pseudo-header fields may come in any order", () => {
  assert.equal(accepted(...REQUEST.toReversed()).path, "/pkg.Service/Method");
});

test("each of :method, :scheme and :path has to be there, once, and to have a value", () => {
  for (const field of [METHOD, SCHEME, PATH]) {
    const [name] = field;
    const rest = REQUEST.filter((other) => other !== field);
    assert.equal(refused(...rest), `no ${name}`);
    assert.equal(refused(...REQUEST, field), `${name} twice`);
    assert.equal(refused([name, ""], ...rest), `the value of "${name}" is not valid`);
  }
  assert.equal(refused(...REQUEST, AUTHORITY), ":authority twice");
  assert.equal(refused(), "no :method");
});

test("other pseudo-header fields are refused, wherever they stand", () => {
  for (const name of [":status", ":protocol", ":unknown", ":", ":Method"]) {
    assert.match(refused(...REQUEST, [name, "200"]), new RegExp(`"${name}" is none of a request`));
  }
});

test("a pseudo-header field after a regular one is refused", () => {
  assert.match(refused(METHOD, SCHEME, ["x-a", "1"], PATH, AUTHORITY), /^no :path$/);
  assert.match(refused(...REQUEST, ["x-a", "1"], [":status", "200"]), /":status" where only regular fields/);
});

test("a method is a token, a scheme is a scheme, and a path begins with a slash", () => {
  for (const method of ["GET", "M-SEARCH", "x"])
    assert.equal(accepted([":method", method], SCHEME, PATH).method, method);
  for (const method of ["G T", "GET\n", "é", "a:b"])
    assert.match(refused([":method", method], SCHEME, PATH), /:method/);
  for (const scheme of ["https", "HTTP", "coap+tcp"]) {
    assert.equal(accepted(METHOD, [":scheme", scheme], PATH).scheme, scheme);
  }
  for (const scheme of ["1http", "ht tp", "http:", "é"])
    assert.match(refused(METHOD, [":scheme", scheme], PATH), /:scheme/);
  for (const path of ["/", "/a?b=c", "/\xff"]) assert.equal(accepted(METHOD, SCHEME, [":path", path]).path, path);
  for (const path of ["a/b", "*", "/a\nb", "/a\0", "/a ", " /a", "/a\r"]) {
    assert.match(refused(METHOD, SCHEME, [":path", path]), /:path/);
  }
  assert.equal(accepted([":method", "OPTIONS"], SCHEME, [":path", "*"]).path, "*");
  assert.equal(accepted(METHOD, [":scheme", "urn"], [":path", "a"]).path, "a");
});

test("CONNECT has an authority, and neither scheme nor path", () => {
  const connect: Field = [":method", "CONNECT"];
  const { scheme, path, authority } = accepted(connect, AUTHORITY);
  assert.deepEqual({ scheme, path, authority }, { scheme: "", path: "", authority: "example.com:50051" });
  assert.match(refused(connect, AUTHORITY, SCHEME), /:scheme/);
  assert.match(refused(connect, AUTHORITY, PATH), /:path/);
  assert.match(refused(connect), /no :authority/);
  assert.match(refused(connect, [":authority", ""]), /no :authority/);
});

test("names are tokens in lower case", () => {
  for (const name of ["x", "x-a", "grpc-timeout", "a!#$%&'*+-.^_`|~9"]) {
    assert.deepEqual(accepted(...REQUEST, [name, "1"]).fields, [name, "1"]);
  }
  const bad = [
    "",
    "X-A",
    "x-A",
    "x a",
    " x",
    "x\t",
    "x\n",
    "x\0",
    "x:y",
    "x\x7f",
    "x\x80",
    "x\xff",
    "x(y)",
    'x"',
    "x/y",
    "x@",
  ];
  for (const name of bad) {
    assert.match(refused(...REQUEST, [name, "1"]), /is no name of a header field$/, JSON.stringify(name));
    assert.match(refusedTrailers([name, "1"]), /is no name of a header field$/, JSON.stringify(name));
  }
});

test("an error shows a name as printable ASCII, and not all of a long one", () => {
  assert.equal(refused(...REQUEST, ["x\r\n\x1b[2Jü", "1"]), '"x???[2J?" is no name of a header field');
  assert.ok(refused(...REQUEST, ["X".repeat(10_000), "1"]).length < 120);
});

test("values have no NUL, CR or LF, and no white space at their ends", () => {
  for (const value of ["", "a b", "a\tb", "\x01", "\x7f", "\x80\xff", '"quoted"']) {
    assert.deepEqual(accepted(...REQUEST, ["x-a", value]).fields, ["x-a", value]);
  }
  for (const value of ["a\0b", "a\rb", "a\nb", "\n", " a", "a ", "\ta", "a\t", " "]) {
    assert.equal(refused(...REQUEST, ["x-a", value]), 'the value of "x-a" is not valid', JSON.stringify(value));
    assert.equal(refusedTrailers(["x-a", value]), 'the value of "x-a" is not valid', JSON.stringify(value));
  }
});

test("what belongs to an HTTP/1.1 connection is refused", () => {
  for (const name of ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"]) {
    assert.equal(refused(...REQUEST, [name, "x"]), `${name} belongs to HTTP/1.1`);
    assert.equal(refusedTrailers([name, "x"]), `${name} belongs to HTTP/1.1`);
  }
});

test("te says trailers and nothing else", () => {
  for (const value of ["trailers", "Trailers"]) accepted(...REQUEST, ["te", value]);
  for (const value of ["", "gzip", "trailers, deflate", "trailers;q=0.5"]) {
    assert.equal(refused(...REQUEST, ["te", value]), 'the value of "te" is not valid');
  }
});

test("content-length is a number, and the same number each time", () => {
  const lengthOf = (...values: readonly string[]) =>
    accepted(...REQUEST, ...values.map((value): Field => ["content-length", value])).contentLength;
  assert.equal(lengthOf(), undefined);
  assert.equal(lengthOf("0"), 0);
  assert.equal(lengthOf("0042"), 42);
  assert.equal(lengthOf(String(Number.MAX_SAFE_INTEGER)), Number.MAX_SAFE_INTEGER);
  assert.equal(lengthOf("42", "42", "042"), 42);
  assert.equal(
    refused(...REQUEST, ["content-length", "1"], ["content-length", "2"]),
    "content-length twice, and not the same",
  );
  for (const value of ["", "-1", "+1", "1.0", "1e3", "0x10", "1, 1", "9007199254740992", "9".repeat(400), "²"]) {
    assert.equal(refused(...REQUEST, ["content-length", value]), 'the value of "content-length" is not valid', value);
  }
});

test("host stands in for :authority, and does not contradict it", () => {
  assert.equal(accepted(METHOD, SCHEME, PATH).authority, undefined);
  const { authority, fields } = accepted(METHOD, SCHEME, PATH, ["host", "example.com"], ["x-a", "1"]);
  assert.deepEqual({ authority, fields }, { authority: "example.com", fields: ["host", "example.com", "x-a", "1"] });
  assert.equal(accepted(...REQUEST, ["host", "Example.COM:50051"]).authority, "example.com:50051");
  assert.equal(refused(...REQUEST, ["host", "example.com"]), "host is not the same as :authority");
  assert.equal(refused(...REQUEST, ["host", ""]), "host is not the same as :authority");
  assert.equal(refused(METHOD, SCHEME, PATH, ["host", "a"], ["host", "a"]), "host twice");
});

test("an authority holds no user, no white space and nothing of a path", () => {
  for (const value of ["localhost", "[::1]:50051", "%2Frun%2Fsocket", "a_b.c~d"]) {
    assert.equal(accepted(METHOD, SCHEME, PATH, [":authority", value]).authority, value);
  }
  for (const value of ["user@host", "a b", "a/b", "a?b", "a#b", "a\\b", "a\nb", "é"]) {
    assert.match(refused(METHOD, SCHEME, PATH, [":authority", value]), /:authority/);
    assert.match(refused(METHOD, SCHEME, PATH, ["host", value]), /host/);
  }
});

test("trailers are regular fields", () => {
  assert.equal(checkTrailers(listOf()), undefined);
  assert.equal(checkTrailers(listOf(["x-checksum", "1"], ["x-checksum", "2"])), undefined);
  for (const field of [...REQUEST, [":status", "200"] as const]) {
    assert.match(refusedTrailers(["x-a", "1"], field), /where only regular fields may be$/);
  }
});
