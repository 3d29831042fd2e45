// GET /debug/speedscope/: flame graphs in the browser, with the static app that the npm package `speedscope` carries.
//
//   /debug/speedscope/#profileURL=%2Fdebug%2Fpprof%2Fprofile%3Fpast%3D300%26format%3Dspeedscope&view=left-heavy
//
// It runs offline, and under a policy that lets it load nothing from elsewhere and send nothing there: what its address names
// is fetched from this port or not at all. Only files of the package's dist/release are served, and only those that were there
// at the start, by their names: no path of a request is ever joined to a directory.
//
// The app is started by a script of ours, because it cannot fetch anything from a page whose URL has the token as its password, as it has
// when it was opened from such a page: browsers refuse what is relative to that. They know the token by then, so the page is opened
// anew without it.
//
// What the policy allows beside the app's own files is what it cannot start without: one <style> element, empty, which it fills
// through the object model (the hash is that of nothing), and compiling WebAssembly, for a demangler of C++ names.

import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FastifyInstance } from "fastify";

export const SPEEDSCOPE_PATH = "/debug/speedscope/";

const EMPTY_STYLE = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  `style-src 'self' '${EMPTY_STYLE}'`,
  "img-src 'self'",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm",
};

const START = "start.js";
const START_SCRIPT = `"use strict";
const url = new URL(document.URL);
if (url.username === "" && url.password === "") {
  const app = document.createElement("script");
  app.src = document.currentScript.dataset.app;
  document.body.append(app);
} else {
  url.username = url.password = "";
  location.replace(url);
}
`;

/** Names of built files carry their content's hash: `speedscope-Y2522XSH.js`. */
const HASHED = /-[0-9A-Z]{8}\.\w+$/;

/** The link that opens a profile. @param profilePath an absolute path on this port, with its query. */
export function flameGraphLink(profilePath: string, title: string): string {
  const hash = [
    `profileURL=${encodeURIComponent(profilePath)}`,
    `title=${encodeURIComponent(title)}`,
    "view=left-heavy",
  ];
  return `${SPEEDSCOPE_PATH}#${hash.join("&")}`;
}

function releaseDirectory(): string {
  return dirname(fileURLToPath(import.meta.resolve("speedscope/dist/release/index.html")));
}

/** The app's page, with our script in the place of the app's. */
function withStart(html: string): string {
  return html.replace(/<script src="(speedscope-[^"]+)">/, `<script src="${START}" data-app="$1">`);
}

export function speedscopeRoutes(app: FastifyInstance): void {
  const directory = releaseDirectory();
  const serve = (name: string, load: () => Promise<Buffer | string>) => {
    app.get(SPEEDSCOPE_PATH + (name === "index.html" ? "" : name), async (_request, reply) => {
      await reply
        .type(TYPES[extname(name)]!)
        .header("content-security-policy", CONTENT_SECURITY_POLICY)
        .header("cache-control", HASHED.test(name) ? "private, max-age=86400" : "no-store")
        .send(await load());
    });
  };
  for (const name of readdirSync(directory)) {
    if (TYPES[extname(name)] === undefined) continue;
    const file = join(directory, name);
    serve(name, async () => (name === "index.html" ? withStart(await readFile(file, "utf8")) : await readFile(file)));
  }
  serve(START, async () => START_SCRIPT);
  app.get(SPEEDSCOPE_PATH.slice(0, -1), async (_request, reply) => {
    await reply.redirect(SPEEDSCOPE_PATH);
  });
}
