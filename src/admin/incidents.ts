// GET /debug/incidents: what was recorded, for programs; POST records one now.
//
//   GET  /debug/incidents?format=json              { "incidents": [Incident, …] }, the newest first
//   GET  /debug/incidents/<id>?format=json         one Incident
//   GET  /debug/incidents/<id>/files/<name>        one file as it is
//   GET  /debug/incidents/<id>.tar.gz              all of them
//   POST /debug/incidents?why=…                    202 with the Incident that began
//
// Invariants: ids and names are looked up among what is there, never taken for paths. Profiles and stacks show the code's
// insides, so only this host's own processes are answered; a POST that a browser sends, which every page could make it send, is
// not heard at all.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { isLoopback } from "./loopback.ts";
import type { AdminState } from "./state.ts";

export const INCIDENTS_PATH = "/debug/incidents";
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
    routes.addHook("onRequest", async (request: FastifyRequest, reply) => {
      if (request.method === "POST" && request.headers.origin !== undefined)
        await fail(reply, 403, "an incident is not recorded for a page: ask for it with curl -X POST");
      else if (!isLoopback(request.socket.remoteAddress))
        await fail(
          reply,
          403,
          "/debug is served to this host only: run the command there (ssh, kubectl exec), or forward the port (ssh -L, kubectl port-forward)",
        );
    });
    routes.get(INCIDENTS_PATH, async (_request, reply) => {
      await reply.send({ incidents: state.incidents() });
    });
    routes.get<{ Params: { readonly id: string } }>(`${INCIDENTS_PATH}/:id`, async ({ params: { id } }, reply) => {
      if (id.endsWith(".tar.gz")) {
        await sendArchive(state, reply, id.slice(0, -".tar.gz".length));
        return;
      }
      const incident = state.incident(id);
      if (incident === undefined) await fail(reply, 404, "there is no such incident; /debug/incidents lists them");
      else await reply.send(incident);
    });
    routes.get<{ Params: { readonly id: string; readonly name: string } }>(
      `${INCIDENTS_PATH}/:id/files/:name`,
      async ({ params: { id, name } }, reply) => {
        await sendFile(state, reply, id, name);
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
