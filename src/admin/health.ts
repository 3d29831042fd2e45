// GET /healthz and /readyz, for whoever restarts this and whoever sends it traffic.
//
// They differ on purpose: alive is the supervisor, which answers here and restarts its workers itself; ready is every worker.
// A liveness probe that fails because Kafka is away would only kill what waits for it.

import type { FastifyInstance } from "fastify";
import type { AdminState } from "./state.ts";

export function healthRoutes(app: FastifyInstance, state: AdminState): void {
  app.get("/healthz", async (_request, reply) => {
    await reply.type("text/plain; charset=utf-8").send("ok\n");
  });
  app.get("/readyz", async (_request, reply) => {
    const { ready, problems } = state.readiness();
    await reply.code(ready ? 200 : 503).send({ ready, problems });
  });
}
