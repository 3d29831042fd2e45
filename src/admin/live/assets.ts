// GET /debug/assets/…: the page's script, styles and charts.
//
//   /debug/assets/live/client/main.ts      a file of src/admin, under its own name
//   /debug/assets/uplot.js, uplot.css      what the npm package `uplot` carries
//   /debug/assets/live.css
//
// The script is TypeScript without a build step: run from the repository its types are stripped when a file is first asked for,
// as Node.js does with the service itself; the published package holds compiled JavaScript, under the same paths but for the
// ending. Files import each other by these paths, so the browser finds them where Node.js does. Rejected: a bundler, which
// would have to run before the first start from the repository.
//
// Invariants: what is served is listed at the start, and no path of a request is ever joined to a directory. Nothing of it is
// secret, but it is guarded with the page all the same.

import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FastifyInstance } from "fastify";
import { STYLESHEET } from "./stylesheet.ts";

export const ASSETS_PATH = "/debug/assets/";
/** `.ts` in the repository, `.js` in the package. */
const ENDING = extname(import.meta.filename);
const ADMIN = join(import.meta.dirname, "..");

export const ENTRY_PATH = `${ASSETS_PATH}live/client/main${ENDING}`;
export const STYLESHEETS = [`${ASSETS_PATH}uplot.css`, `${ASSETS_PATH}live.css`] as const;
export const CHARTS_PATH = `${ASSETS_PATH}uplot.js`;

/** Folders whose files all run in the browser, and the single files that they share with pages. */
const FOLDERS = ["live/client", "live/view"];
const SHARED = ["pages/html", "pages/units", "pages/process-name"];

type Load = () => Promise<string>;

const JAVASCRIPT = "text/javascript; charset=utf-8";
const CSS = "text/css; charset=utf-8";

function stripped(code: string): string {
  // It says once that it may change. That is for whoever upgrades Node.js, not for the log of a service.
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = () => {};
  try {
    return stripTypeScriptTypes(code);
  } finally {
    process.emitWarning = emitWarning;
  }
}

async function script(file: string): Promise<string> {
  const code = await readFile(join(ADMIN, file), "utf8");
  return ENDING === ".ts" ? stripped(code) : code;
}

const uplot =
  (name: string): Load =>
  () =>
    readFile(fileURLToPath(import.meta.resolve(`uplot/dist/${name}`)), "utf8");

interface Asset {
  readonly type: string;
  readonly load: Load;
}

/** Every file by its path below ASSETS_PATH. */
function assets(): Map<string, Asset> {
  const inFolders = FOLDERS.flatMap((folder) =>
    readdirSync(join(ADMIN, folder))
      .filter((name) => name.endsWith(ENDING) && !name.endsWith(".d.ts"))
      .map((name) => `${folder}/${name}`),
  );
  const scripts = [...inFolders, ...SHARED.map((name) => name + ENDING)];
  return new Map<string, Asset>([
    ...scripts.map((file): [string, Asset] => [file, { type: JAVASCRIPT, load: () => script(file) }]),
    ["uplot.js", { type: JAVASCRIPT, load: uplot("uPlot.iife.min.js") }],
    ["uplot.css", { type: CSS, load: uplot("uPlot.min.css") }],
    ["live.css", { type: CSS, load: async () => STYLESHEET }],
  ]);
}

/** The modules, which the page names so that they are fetched at once and not one after the other. */
export function modulePaths(): string[] {
  return [...assets().keys()]
    .filter((path) => path.endsWith(ENDING))
    .map((path) => ASSETS_PATH + path)
    .filter((path) => path !== CHARTS_PATH);
}

export function assetRoutes(app: FastifyInstance): void {
  for (const [path, { type, load }] of assets()) {
    let loaded: Promise<{ readonly text: string; readonly etag: string }> | undefined;
    app.get(ASSETS_PATH + path, async (request, reply) => {
      loaded ??= load().then((text) => ({
        text,
        etag: `"${createHash("sha256").update(text).digest("base64url")}"`,
      }));
      const { text, etag } = await loaded;
      reply.headers({ etag, "cache-control": "private, no-cache" });
      if (request.headers["if-none-match"] === etag) await reply.code(304).send();
      else await reply.type(type).send(text);
    });
  }
}
