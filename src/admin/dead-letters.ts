// POST /dead-letters/drop: drops letters from the dead-letter logs that the workers hold; `sluice dead-letters` asks for it.
//
//   { "letters": ["0-17"], "logs": { "0": "6f1c…" }, "why": "dropped", "by": "ada" }
//     → { "dropped": ["0-17"], "events": 3, "missing": [], "problems": [] }
//
// It cannot be taken back, so it is for who may look inside (access.ts) and does not ask with a browser, which every page could
// make do it. Rejected: a token in DATA_DIR; who may read that directory may remove it.

import type { FastifyInstance } from "fastify";
import type { AdminState, LetterDrop } from "./state.ts";

export const DROP_PATH = "/dead-letters/drop";
/** Ids are a dozen bytes each. */
const BODY_BYTES_MAX = 1024 * 1024;
const LETTERS_MAX = 8192;

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Undefined if the body is anything else. */
function readDrop(body: unknown): LetterDrop | undefined {
  if (!isObject(body)) return undefined;
  const { letters, logs, why, by } = body;
  if (!Array.isArray(letters) || letters.length > LETTERS_MAX) return undefined;
  if (!letters.every((id): id is string => typeof id === "string")) return undefined;
  if (!isObject(logs) || !Object.values(logs).every((id) => typeof id === "string")) return undefined;
  if ((why !== "dropped" && why !== "retried") || typeof by !== "string") return undefined;
  return { letters, logs: logs as Readonly<Record<string, string>>, why, by: by.slice(0, 200) };
}

export function deadLetterRoutes(app: FastifyInstance, state: AdminState): void {
  void app.register(async (routes) => {
    const text = "text/plain; charset=utf-8";
    routes.addHook("onRequest", async (request, reply) => {
      if (request.headers.origin === undefined) return;
      await reply
        .code(403)
        .type(text)
        .send("dead letters are not dropped by browsers: run `sluice dead-letters drop` on the service's host\n");
    });
    routes.setErrorHandler<Error & { readonly statusCode?: number }>(async (error, _request, reply) => {
      await reply
        .code(error.statusCode ?? 500)
        .type(text)
        .send(`${error.message}\n`);
    });
    routes.post(DROP_PATH, { bodyLimit: BODY_BYTES_MAX }, async (request, reply) => {
      const drop = readDrop(request.body);
      if (drop !== undefined) await reply.send(await state.dropLetters(drop));
      else
        await reply
          .code(400)
          .type(text)
          .send("not a request to drop dead letters; `sluice dead-letters drop` makes them\n");
    });
  });
}
