// GET /metrics: one scrape of all processes.

import type { FastifyInstance } from "fastify";
import type { AdminState } from "./state.ts";

/** Prometheus offers OpenMetrics first, with a weight; a browser and curl do not, and get the classic text. */
function wantsOpenMetrics(accept: string | undefined): boolean {
  return accept?.includes("application/openmetrics-text") ?? false;
}

export function metricsRoute(app: FastifyInstance, state: AdminState): void {
  app.get("/metrics", async (request, reply) => {
    const { contentType, body } = await state.renderMetrics(wantsOpenMetrics(request.headers.accept));
    await reply.type(contentType).send(body);
  });
}
