// GET /debug/incidents: what was recorded, as pages for browsers and as JSON for programs; POST records one now.
//
//   GET  /debug/incidents                          { "incidents": [Incident, …] }, the newest first; or the page
//   GET  /debug/incidents/<id>                     one Incident; or the page
//   GET  /debug/incidents/<id>/files/<name>        one file as it is; of a profile also other formats (incident-profile.ts)
//   GET  /debug/incidents/<id>.tar.gz              all of them
//   POST /debug/incidents?why=…                    202 with the Incident that began
//
// Invariants: ids and names are looked up among what is there, never taken for paths. Who may ask is not decided here
// (access.ts).

import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { isProfile, profileOf, readBundleView } from "./incident-profile.ts";
import type { Query } from "./parameters.ts";
import { INCIDENTS_PATH } from "./paths.ts";
import { pprofErrors } from "./pprof.ts";
import { sendProfile } from "./profile-view.ts";
import { sendPage, stylesheetRoute } from "./pages/document.ts";
import { incidentListPage } from "./pages/incident-list.ts";
import { incidentPage } from "./pages/incident-page.ts";
import type { AdminState } from "./state.ts";

const WHY_LENGTH_MAX = 200;
const WHY_DEFAULT = "somebody asked for it";

const TYPES: readonly (readonly [ending: string, type: string])[] = [
  [".json", "application/json; charset=utf-8"],
  [".ndjson", "application/x-ndjson; charset=utf-8"],
  [".txt", "text/plain; charset=utf-8"],
];

async function fail(reply: FastifyReply, code: number, message: string): Promise<void> {
  await reply.code(code).type("text/plain; charset=utf-8").send(`${message}\n`);
}

/** What somebody says is one line, and has no control characters: it is logged and shown. */
function readWhy(why: unknown): string {
  if (typeof why !== "string") return WHY_DEFAULT;
  const line = why
    .replaceAll(/\p{C}+/gu, " ")
    .trim()
    .slice(0, WHY_LENGTH_MAX);
  return line === "" ? WHY_DEFAULT : line;
}

async function sendFile(state: AdminState, reply: FastifyReply, id: string, name: string): Promise<void> {
  const path = state.incidentFile(id, name);
  // It may be put out at any moment, to make room for another.
  const size = path === undefined ? undefined : await stat(path).catch(() => undefined);
  if (path === undefined || size === undefined) {
    await fail(reply, 404, "there is no such file of an incident; /debug/incidents lists them");
    return;
  }
  const type = TYPES.find(([ending]) => name.endsWith(ending))?.[1];
  await reply
    .type(type ?? "application/octet-stream")
    .header("content-length", size.size)
    .header("x-content-type-options", "nosniff")
    .send(createReadStream(path));
}

/** Undefined if it is not there, or not there any more. */
async function fileOf(state: AdminState, id: string, name: string): Promise<Buffer | undefined> {
  const path = state.incidentFile(id, name);
  return path === undefined ? undefined : await readFile(path).catch(() => undefined);
}

/** A profile in another view, which viewers and differences need. */
async function sendView(
  state: AdminState,
  request: FastifyRequest,
  reply: FastifyReply,
  { id, name }: { readonly id: string; readonly name: string },
): Promise<void> {
  const view = readBundleView(request.query as Query);
  const bytes = await fileOf(state, id, name);
  const base = view.base === undefined ? undefined : await fileOf(state, id, view.base);
  if (bytes === undefined || (view.base !== undefined && base === undefined)) {
    await fail(reply, 404, "there is no such profile of an incident; /debug/incidents lists them");
    return;
  }
  await sendProfile(request, reply, await profileOf(bytes, base, view), view, name.replace(/\..*$/, ""));
}

/** Browsers name HTML; whoever takes anything, as curl does, gets what programs read. */
function wantsPage({ headers }: FastifyRequest): boolean {
  return headers.accept?.includes("text/html") ?? false;
}

async function sendArchive(state: AdminState, reply: FastifyReply, id: string): Promise<void> {
  const archive = await state.incidentArchive(id);
  if (archive === undefined) {
    await fail(reply, 404, "there is no such incident; /debug/incidents lists them");
    return;
  }
  await reply
    .type("application/gzip")
    .header("content-disposition", `attachment; filename="${id}.tar.gz"`)
    .send(archive);
}

export function incidentRoutes(app: FastifyInstance, state: AdminState): void {
  void app.register(async (routes) => {
    pprofErrors(routes);
    stylesheetRoute(routes);
    routes.get(`${INCIDENTS_PATH}/`, async (_request, reply) => {
      await reply.redirect(INCIDENTS_PATH);
    });
    routes.get(INCIDENTS_PATH, async (request, reply) => {
      const incidents = state.incidents();
      if (wantsPage(request)) await sendPage(reply, incidentListPage(incidents));
      else await reply.send({ incidents });
    });
    routes.get<{ Params: { readonly id: string } }>(`${INCIDENTS_PATH}/:id`, async (request, reply) => {
      const { id } = request.params;
      if (id.endsWith(".tar.gz")) {
        await sendArchive(state, reply, id.slice(0, -".tar.gz".length));
        return;
      }
      const incident = state.incident(id);
      if (incident === undefined) await fail(reply, 404, "there is no such incident; /debug/incidents lists them");
      else if (wantsPage(request))
        await sendPage(reply, await incidentPage(incident, async (name) => await fileOf(state, id, name)));
      else await reply.send(incident);
    });
    routes.get<{ Params: { readonly id: string; readonly name: string } }>(
      `${INCIDENTS_PATH}/:id/files/:name`,
      async (request, reply) => {
        const { id, name } = request.params;
        const isView = isProfile(name) && Object.keys(request.query as Query).length > 0;
        if (isView) await sendView(state, request, reply, request.params);
        else await sendFile(state, reply, id, name);
      },
    );
    routes.post<{ Querystring: { readonly why?: unknown } }>(INCIDENTS_PATH, async ({ query }, reply) => {
      const incident = await state.forceIncident(readWhy(query.why));
      if (incident === undefined)
        await fail(reply, 409, "no incident began: one is being recorded already, or none can be; the log says why");
      else await reply.code(202).header("location", `${INCIDENTS_PATH}/${incident.id}`).send(incident);
    });
  });
}
