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
