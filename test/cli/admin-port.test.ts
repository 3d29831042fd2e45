import assert from "node:assert/strict";
import test from "node:test";
import { certificate } from "../support/certificate.ts";
import { FakeAdmin } from "./fake-admin.ts";
import { Files, run } from "./support.ts";

const TOKEN = "0123456789abcdef-token";

test("the token comes from the environment or from a file, and nowhere else", async () => {
  using files = new Files();
  await using admin = await FakeAdmin.start(() => ({ body: "x" }));
  const sent = async (args: readonly string[], env: Readonly<Record<string, string>>) => {
    const ran = await run(["profile", ...args], { env: { ...admin.env, ...env } });
    return ran.code === 0 ? admin.asked.at(-1)?.headers.authorization : ran.stderr;
  };
  assert.equal(await sent([], {}), undefined);
  assert.equal(await sent([], { ADMIN_TOKEN: TOKEN }), `Bearer ${TOKEN}`);
  const file = files.write("token", `${TOKEN}2\n`);
  assert.equal(await sent(["--token-file", file], { ADMIN_TOKEN: TOKEN }), `Bearer ${TOKEN}2`);
  assert.match((await sent(["--token-file", `${file}x`], {})) ?? "", /--token-file: .* cannot be read/);
});

test("a service that speaks TLS is known by its very certificate, or by who signed it", async () => {
  using files = new Files();
  const [own, other] = [certificate(), certificate()];
  await using admin = await FakeAdmin.start(() => ({ body: "x" }), { cert: own.cert, key: own.key });
  const [certFile, keyFile, otherFile] = [
    files.write("cert.pem", own.cert),
    files.write("key.pem", own.key),
    files.write("other.pem", other.cert),
  ];
  const tls = (ADMIN_TLS_CERT_FILE: string) => ({ ...admin.env, ADMIN_TLS_CERT_FILE, ADMIN_TLS_KEY_FILE: keyFile });
  assert.equal((await run(["profile"], { env: tls(certFile) })).stderr, "");
  const wrong = await run(["profile"], { env: tls(otherFile) });
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /cannot be asked/);
  assert.equal((await run(["profile", "--tls-ca", certFile], { env: admin.env })).stderr, "");
  assert.equal((await run(["profile", "--tls-ca", otherFile], { env: admin.env })).code, 1);
  const plain = await run(["profile"], { env: admin.env });
  assert.equal(plain.code, 1);
  assert.match(plain.stderr, /may speak TLS; give --tls-ca FILE/);
  assert.equal(admin.asked.length, 2);
});

test("what does not fit in TLS is told with what to give instead", async () => {
  using files = new Files();
  const dayMs = 86_400_000;
  const named = certificate({ names: ["events.example"] });
  const old = certificate({ validFromMs: Date.now() - 2 * dayMs, validToMs: Date.now() - dayMs });
  await using plain = await FakeAdmin.start(() => ({ body: "x" }));
  await using elsewhere = await FakeAdmin.start(() => ({ body: "x" }), { cert: named.cert, key: named.key });
  await using late = await FakeAdmin.start(() => ({ body: "x" }), { cert: old.cert, key: old.key });
  const [ca, oldCa, other] = [
    files.write("ca.pem", named.cert),
    files.write("old.pem", old.cert),
    files.write("other.pem", certificate().cert),
  ];
  const own = (file: string) => ({ ADMIN_TLS_CERT_FILE: file, ADMIN_TLS_KEY_FILE: file });
  const cases: [FakeAdmin, readonly string[], Readonly<Record<string, string>>, RegExp][] = [
    [plain, ["--tls-ca", ca], {}, /it speaks plaintext, and this command TLS; leave --tls-ca out, /],
    [plain, [], own(ca), /it speaks plaintext, .*; start the service with ADMIN_TLS_CERT_FILE, /],
    [
      elsewhere,
      ["--tls-ca", ca],
      {},
      /it has a certificate for events\.example, and not for 127\.0\.0\.1; address the service by a name .* with --admin$/,
    ],
    [elsewhere, ["--tls-ca", other], {}, /signed by no authority of --tls-ca \(.*; give the one that signed it/],
    [elsewhere, [], own(other), /not the one in ADMIN_TLS_CERT_FILE; give the service's ADMIN_TLS_CERT_FILE, /],
    [late, ["--tls-ca", oldCa], {}, /not valid now \(CERT_HAS_EXPIRED\); renew it/],
    [late, [], own(files.write("none.pem", "")), /ADMIN_TLS_CERT_FILE: there is no certificate in .*; give the PEM/],
  ];
  for (const [admin, args, env, line] of cases) {
    const { code, stdout, stderr } = await run(["profile", ...args], { env: { ...admin.env, ...env } });
    assert.deepEqual([code, stdout, stderr.trimEnd().split("\n").length], [1, "", 1], stderr);
    assert.match(stderr.trimEnd(), line);
    assert.equal(admin.asked.length, 0);
  }
});

test("whoever is not let in is told what the service says, and how this command is given credentials", async () => {
  const said = "this is served to its own host only, and to others with credentials: give the token of ADMIN_TOKEN";
  for (const status of [401, 403]) {
    await using admin = await FakeAdmin.start(() => ({ status, body: `${said}\n` }));
    const { code, stderr } = await run(["profile"], { env: admin.env });
    assert.equal(code, 1);
    assert.equal(
      stderr,
      `sluice profile: the service at ${admin.env["ADMIN_LISTEN"]} does not let this command in (${status}): ${said}; give its token with ADMIN_TOKEN or --token-file, or a client certificate with --tls-cert and --tls-key\n`,
    );
    const wrong = await run(["profile"], { env: { ...admin.env, ADMIN_TOKEN: TOKEN } });
    assert.match(
      wrong.stderr,
      /; give its token, which is not the one that was given, with ADMIN_TOKEN or --token-file/,
    );
    assert.doesNotMatch(wrong.stderr, new RegExp(TOKEN));
  }
});

test("a client certificate without its key is a mistake on the command line of every command that asks", async () => {
  for (const command of [["profile"], ["incidents", "list"], ["doctor"], ["dead-letters", "drop", "0-1", "--yes"]]) {
    const { code, stderr } = await run([...command, "--tls-key", "file.pem"], {});
    assert.equal(code, 2);
    assert.match(stderr, /: --tls-cert: missing, but --tls-key is given; give its certificate, too\n$/);
  }
  const { code, stderr } = await run(["dead-letters", "retry", "0-1", "--admin-tls-cert", "file.pem"], {});
  assert.equal(code, 2);
  assert.match(stderr, /: --admin-tls-key: missing, but --admin-tls-cert is given; /);
});
