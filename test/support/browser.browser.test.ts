import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { browserTest, overflows, PHONE } from "./browser.ts";

const PAGES: Readonly<Record<string, string>> = {
  "/good": "<!doctype html><title>good</title><link rel=icon href=data:,><p>fine",
  "/bad":
    "<!doctype html><title>bad</title><link rel=icon href=data:,><script>throw new Error('oops')</script>" +
    "<img src=/missing.png><img src=http://example.com/x.png><p style='width:2000px'>wide",
};

browserTest("a page that works has no complaints, and one that does not has one for each mistake", async (browser) => {
  const server = createServer(({ url = "" }, response) => {
    const body = PAGES[url];
    response.writeHead(body === undefined ? 404 : 200, {
      "content-type": "text/html",
      "content-security-policy":
        "default-src 'self'; img-src 'self' data: http://example.com; style-src 'unsafe-inline'",
    });
    response.end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const good = await browser.open(`${url}/good`);
    assert.deepEqual(good.complaints, []);
    await good.page.setViewport(PHONE);
    assert.equal(await overflows(good.page), false);

    const bad = await browser.open(`${url}/bad`);
    const complaints = bad.complaints.join("\n");
    for (const sign of [/Content Security Policy/, /missing\.png is answered with 404/, /example\.com\/x\.png failed/])
      assert.match(complaints, sign);
    assert.equal(await overflows(bad.page), true);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
