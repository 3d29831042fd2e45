import assert from "node:assert/strict";
import { hostname } from "node:os";
import test from "node:test";
import { Access, type AccessOptions, type Asking } from "../../src/admin/access.ts";

const TOKEN = "0123456789abcdef-secret";
const OTHER_HOST = "192.0.2.7";
const basic = (pair: string) => `Basic ${Buffer.from(pair).toString("base64")}`;

type Given = Partial<Pick<Asking, "method" | "headers">> & { readonly from?: string; readonly authorized?: boolean };

function ask(options: AccessOptions, { method = "GET", headers = {}, from = OTHER_HOST, authorized = false }: Given) {
  const socket = { remoteAddress: from, authorized };
  return new Access(options).refusal({ method, headers: { host: "127.0.0.1:9464", ...headers }, socket });
}

test("this host's own peers need nothing, by whatever they call it", () => {
  for (const host of [
    "127.0.0.1:9464",
    "[::1]:9464",
    "localhost:9464",
    "LocalHost",
    "sluice.localhost:80",
    "10.1.2.3",
    hostname(),
    undefined,
  ])
    assert.equal(ask({}, { from: "127.0.0.1", headers: { host } }), undefined, host);
  assert.equal(ask({}, { from: "::1" }), undefined);
  assert.equal(ask({ token: TOKEN, mutualTls: true }, { from: "::ffff:127.0.0.1" }), undefined);
});

test("a name that others can point to this host is not this host's own: its pages would read everything", () => {
  for (const host of ["evil.example:9464", "localhost.evil.example", "127.0.0.1.nip.io", "1.2.3"]) {
    const refusal = ask({}, { from: "127.0.0.1", headers: { host } });
    assert.equal(refusal?.status, 403, host);
    assert.match(refusal.message, /is neither an address nor localhost, and this is served to its own host only: run/);
  }
  assert.equal(
    ask({ token: TOKEN }, { from: "127.0.0.1", headers: { host: "evil.example", authorization: `Bearer ${TOKEN}` } }),
    undefined,
  );
});

test("what a proxy on this host passes on is not this host's own", () => {
  for (const headers of [
    { "x-forwarded-for": "192.0.2.1" },
    { "x-forwarded-proto": "https" },
    { forwarded: "for=192.0.2.1" },
    { via: "1.1 proxy" },
  ])
    assert.equal(ask({}, { from: "127.0.0.1", headers })?.status, 403, JSON.stringify(headers));
});

test("without a token or a certificate to come with, another host is refused and told every way in", () => {
  const { status, message } = ask({}, {})!;
  assert.equal(status, 403);
  for (const way of ["kubectl exec", "ssh -L", "port-forward", "ADMIN_TOKEN", "ADMIN_TLS_CLIENT_CA_FILE"])
    assert.ok(message.includes(way), way);
  assert.equal(ask({}, { headers: { authorization: "Bearer undefined" } })?.status, 403);
  assert.equal(ask({}, { headers: { authorization: "Bearer " } })?.status, 403);
  assert.equal(ask({}, { authorized: true })?.status, 403, "no certificates are asked for");
});

test("the token opens to another host, as Bearer and as the password of Basic", () => {
  for (const authorization of [
    `Bearer ${TOKEN}`,
    `bearer   ${TOKEN}`,
    basic(`sluice:${TOKEN}`),
    basic(`:${TOKEN}`),
    `BASIC ${Buffer.from(`x:${TOKEN}`).toString("base64")}`,
  ])
    assert.equal(ask({ token: TOKEN }, { headers: { authorization } }), undefined, authorization);
});

test("anything else does not open, and the remedy does not tell the token", () => {
  for (const authorization of [
    undefined,
    "",
    "Bearer",
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(0, -1)}`,
    `Bearer ${TOKEN.toUpperCase()}`,
    `Bearer ${TOKEN} ${TOKEN}`,
    `Digest ${TOKEN}`,
    TOKEN,
    basic(TOKEN),
    basic(`${TOKEN}:`),
    basic(`sluice:x:${TOKEN}`),
    "Basic %%%",
  ]) {
    const refusal = ask({ token: TOKEN }, { headers: { authorization } });
    assert.equal(refusal?.status, 403, authorization);
    assert.ok(refusal.message.includes("Authorization: Bearer TOKEN") && !refusal.message.includes(TOKEN));
    assert.equal(refusal.message.includes("(what was given is wrong)"), authorization !== undefined, authorization);
  }
});

test("a browser is asked for the token, where there is one", () => {
  const headers = { accept: "text/html,*/*;q=0.8" };
  assert.equal(ask({ token: TOKEN }, { headers })?.status, 401);
  const ofStyles = { accept: "text/css,*/*;q=0.1", "user-agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0" };
  assert.equal(ask({ token: TOKEN }, { headers: ofStyles })?.status, 401);
  assert.equal(ask({ token: TOKEN }, { headers: { ...ofStyles, "user-agent": "Go-http-client/1.1" } })?.status, 403);
  assert.equal(ask({}, { headers })?.status, 403);
  assert.equal(ask({ mutualTls: true }, { headers })?.status, 403);
});

test("a certificate opens where the port checks them", () => {
  assert.equal(ask({ mutualTls: true }, { authorized: true }), undefined);
  const refusal = ask({ mutualTls: true }, {});
  assert.equal(refusal?.status, 403);
  assert.match(refusal.message, /certificate .*ADMIN_TLS_CLIENT_CA_FILE/);
  assert.doesNotMatch(refusal.message, /ADMIN_TOKEN/);
  const either = ask({ token: TOKEN, mutualTls: true }, {})?.message ?? "";
  assert.ok(either.includes("ADMIN_TOKEN") && either.includes("ADMIN_TLS_CLIENT_CA_FILE"));
});

test("the page of another site changes nothing, whoever has it open", () => {
  const site = (origin: string, host = "127.0.0.1:9464") => ({
    method: "POST",
    from: "127.0.0.1",
    headers: { origin, host },
  });
  for (const origin of ["https://evil.example", "null", "http://127.0.0.1:8080", "http://localhost:9464"])
    assert.equal(ask({}, site(origin))?.status, 403, origin);
  const asked = site("https://evil.example");
  assert.equal(
    ask({ token: TOKEN }, { ...asked, headers: { ...asked.headers, authorization: `Bearer ${TOKEN}` } })?.status,
    403,
  );
  assert.equal(ask({}, site("http://127.0.0.1:9464")), undefined);
  assert.equal(ask({}, { ...site("https://evil.example"), method: "GET" }), undefined, "it cannot read the answer");
});
