// The page at /, and what it is fed with: JSON, server-sent events, and the tail of a topic.
//
// How many may watch is bounded: each is a connection and some kilobytes a second. One more is answered with 503.

import { setTimeout as sleep } from "node:timers/promises";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { Parameters, type Query } from "../parameters.ts";
import { pprofErrors } from "../pprof.ts";
import type { AdminState } from "../state.ts";
import { assetRoutes } from "./assets.ts";
import { EventStream } from "./event-stream.ts";
import { LiveEvents, WATCHERS_MAX } from "./events.ts";
import { livePage, PAGE_POLICY } from "./page.ts";
import { TAILS_MAX, tailTopic } from "./tail.ts";

export const LIVE_PATH = "/debug/live";
const SECONDS_MAX = 900;
const TOPIC_LENGTH_MAX = 249;

async function fail(reply: FastifyReply, code: number, message: string): Promise<void> {
  await reply.code(code).type("text/plain; charset=utf-8").send(`${message}\n`);
}

/** Milliseconds since the epoch; undefined: what the text says is no time. */
function timeOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

export function liveRoutes(app: FastifyInstance, state: AdminState): void {
  const events = new LiveEvents(state);
  let tails = 0;
  void app.register(async (routes) => {
    pprofErrors(routes);
    routes.addHook("preClose", async () => {
      events.end();
    });
    assetRoutes(routes);
    routes.get("/", async (_request, reply) => {
      await reply
        .type("text/html; charset=utf-8")
        .header("content-security-policy", PAGE_POLICY)
        .send(livePage(state.live(Date.now() - SECONDS_MAX * 1000)));
    });
    routes.get<{ Querystring: Query }>(LIVE_PATH, async ({ query }, reply) => {
      const seconds = new Parameters(query, ["seconds"]).integer("seconds", 0, SECONDS_MAX) ?? SECONDS_MAX;
      await reply.send(state.live(Date.now() - seconds * 1000));
    });
    routes.get<{ Querystring: Query }>(`${LIVE_PATH}/events`, async ({ query, headers }, reply) => {
      const parameters = new Parameters(query, ["since"]);
      if (events.full) {
        const why = `${WATCHERS_MAX} pages and commands watch already: close or hide one of them`;
        await fail(reply.header("retry-after", "5"), 503, why);
        return;
      }
      const lastEventId = headers["last-event-id"];
      const known = timeOf(typeof lastEventId === "string" ? lastEventId : parameters.text("since"));
      events.add(EventStream.begin(reply), known ?? Date.now() - 1_000);
    });
    routes.get<{ Querystring: Query }>(`${LIVE_PATH}/tail`, async (request, reply) => {
      await tail(request, reply);
    });
  });

  async function tail({ query }: FastifyRequest<{ Querystring: Query }>, reply: FastifyReply): Promise<void> {
    const topic = new Parameters(query, ["topic"]).text("topic") ?? "";
    const read = state.tail;
    if (read === undefined) {
      await fail(reply, 404, "topics are not shown here: start the service with ADMIN_TAIL=true, or use `sluice tail`");
      return;
    }
    if (topic === "" || topic.length > TOPIC_LENGTH_MAX) {
      await fail(reply, 400, `topic: give the name of a topic, of at most ${TOPIC_LENGTH_MAX} characters`);
      return;
    }
    if (tails >= TAILS_MAX) {
      await fail(reply, 503, `${TAILS_MAX} topics are being read already: stop one of them`);
      return;
    }
    tails += 1;
    const pause = async (ms: number, signal: AbortSignal) => {
      await sleep(ms, undefined, { signal }).catch(() => {});
    };
    try {
      await tailTopic({ read, pause, now: () => performance.now() }, topic, EventStream.begin(reply));
    } finally {
      tails -= 1;
    }
  }
}
