// Clients that give their dynamic table another size. We put nothing into it, but nghttp2, which is node:http2, insists on being
// told when it is made smaller.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import test from "node:test";
import { native, startSubject } from "../interop/subjects.ts";

async function statusOf(session: ReturnType<typeof connect>, path: string): Promise<number | undefined> {
  const stream = session.request({ ":path": path });
  const [headers] = (await once(stream, "response")) as [Readonly<Record<string, number>>];
  stream.resume();
  await once(stream, "close");
  return headers[":status"];
}

for (const headerTableSize of [0, 1, 100, 4_095, 4_096, 65_536]) {
  test(`a client with a dynamic table of ${headerTableSize} bytes reads its answers`, async () => {
    await using server = await startSubject(native);
    const session = connect(`http://127.0.0.1:${server.port}`, { settings: { headerTableSize } });
    try {
      for (const path of ["/a", "/b", "/c"]) assert.equal(await statusOf(session, path), 405);
    } finally {
      session.destroy();
    }
  });
}

test("a client that makes its dynamic table smaller, larger and smaller on the way reads its answers", async () => {
  await using server = await startSubject(native);
  const session = connect(`http://127.0.0.1:${server.port}`);
  try {
    assert.equal(await statusOf(session, "/a"), 405);
    for (const headerTableSize of [100, 8_192, 0, 4_096, 10]) {
      const told = once(session, "localSettings");
      session.settings({ headerTableSize });
      await told;
      assert.equal(await statusOf(session, `/${headerTableSize}`), 405);
    }
  } finally {
    session.destroy();
  }
});
