// What every page shares: its head, its headers, and the way back.
//
// Pages show what came from outside (topics, log lines, functions), so beside escaping there is a policy under which nothing
// but our own stylesheet and pictures would be loaded, and no script would run.

import type { FastifyInstance, FastifyReply } from "fastify";
import { INCIDENTS_PATH } from "../paths.ts";
import { html, type Html } from "./html.ts";
import { STYLESHEET } from "./stylesheet.ts";

const STYLESHEET_PATH = "/debug/pages.css";

/** No script, no style within the page, nothing from elsewhere; nobody frames it, no form leaves it. */
const PAGE_POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "img-src 'self' data:",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

export interface Crumb {
  readonly href: string;
  readonly text: string;
}

export const CRUMBS = {
  home: { href: "/", text: "sluice" },
  incidents: { href: INCIDENTS_PATH, text: "Incidents" },
  profiles: { href: "/debug/pprof/", text: "Profiles" },
} as const;

/** @param crumbs where one came from, outermost first. */
export function documentOf(title: string, crumbs: readonly Crumb[], main: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} · sluice</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="${STYLESHEET_PATH}" />
      </head>
      <body>
        <nav aria-label="Pages">${crumbs.map(({ href, text }) => html`<a href="${href}">${text}</a>`)}</nav>
        <main>
          <h1>${title}</h1>
          ${main}
        </main>
      </body>
    </html> `.toString();
}

export async function sendPage(reply: FastifyReply, page: string): Promise<void> {
  await reply
    .type("text/html; charset=utf-8")
    .header("content-security-policy", PAGE_POLICY)
    .header("x-content-type-options", "nosniff")
    .header("referrer-policy", "no-referrer")
    .header("cache-control", "no-store")
    .send(page);
}

export function stylesheetRoute(app: FastifyInstance): void {
  app.get(STYLESHEET_PATH, async (_request, reply) => {
    await reply.type("text/css; charset=utf-8").header("cache-control", "private, max-age=300").send(STYLESHEET);
  });
}
