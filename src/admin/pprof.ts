// GET /debug/pprof/: the paths of Go's net/http/pprof, so that `go tool pprof` and engineers' fingers find them.
//
// Without a `worker` parameter a profile is that of all processes, merged; each sample carries the label `worker`. Errors are
// text with X-Go-Pprof: 1, which makes `go tool pprof` show them.

import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { CaptureError, type CaptureRequest } from "../profiling/collect.ts";
import { isLoopback } from "./loopback.ts";
import { htmlPage } from "./page.ts";
import type { AdminState } from "./state.ts";

/** What `go tool pprof http://host:port` waits for. */
const SECONDS_DEFAULT = 30;
/** A client may not wait for as long as it likes. */
const SECONDS_MAX = 300;
const CAPTURES_MAX = 16;

const gzipAsync = promisify(gzip);

const INDEX = htmlPage(
  "/debug/pprof/",
  `<table>
<tr><td><a href="profile">profile</a></td><td>CPU and wall time of the next 30 s, of all processes; <code>?seconds=1..${SECONDS_MAX}</code></td></tr>
<tr><td><a href="heap">heap</a></td><td>live objects by where they were allocated</td></tr>
<tr><td><a href="cmdline">cmdline</a></td><td>the command line, separated by NUL</td></tr>
</table>
<p><code>?worker=0</code> (or <code>supervisor</code>) takes one process alone; in a merged profile
<code>go tool pprof -tagfocus='worker=^0$'</code> does.</p>`,
);

/** The client's mistake; the message names the parameter. */
class BadParameter extends Error {}

type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Each known parameter's value; an unknown one is a mistake, because it would be a profile of something else. */
function parameters(query: Query, known: readonly string[]): Readonly<Record<string, string | undefined>> {
  for (const [name, value] of Object.entries(query)) {
    if (!known.includes(name)) throw new BadParameter(`${name}: not known here; known are ${known.join(", ")}`);
    if (typeof value !== "string") throw new BadParameter(`${name}: given more than once`);
  }
  return query as Readonly<Record<string, string | undefined>>;
}

function parseSeconds(text: string | undefined): number {
  if (text === undefined) return SECONDS_DEFAULT;
  const seconds = /^\d+$/.test(text) ? Number(text) : NaN;
  if (seconds >= 1 && seconds <= SECONDS_MAX) return seconds;
  throw new BadParameter(`seconds: ${JSON.stringify(text)} is not a whole number from 1 to ${SECONDS_MAX}`);
}

function checkWorker({ profiled }: AdminState, worker: string | undefined): void {
  if (worker === undefined || profiled.includes(worker)) return;
  throw new BadParameter(`worker: ${JSON.stringify(worker)} is none of ${profiled.join(", ")}`);
}

async function fail(reply: FastifyReply, code: number, message: string): Promise<void> {
  await reply.code(code).header("x-go-pprof", "1").type("text/plain; charset=utf-8").send(`${message}\n`);
}

export function pprofRoutes(app: FastifyInstance, state: AdminState): void {
  let captures = 0;

  async function capture(reply: FastifyReply, request: CaptureRequest): Promise<void> {
    checkWorker(state, request.worker);
    if (captures >= CAPTURES_MAX) {
      await fail(reply, 429, `${CAPTURES_MAX} profiles are being taken; try again when one has ended`);
      return;
    }
    captures += 1;
    try {
      const profile = await gzipAsync((await state.profile(request)).encode());
      const name = request.kind === "cpu" ? "profile" : "heap";
      await reply
        .type("application/octet-stream")
        .header("content-disposition", `attachment; filename="${name}.pb.gz"`)
        .send(profile);
    } catch (error) {
      if (!(error instanceof CaptureError)) throw error;
      await fail(reply, 503, `no profile: ${error.message}`);
    } finally {
      captures -= 1;
    }
  }

  void app.register(async (debug) => {
    debug.addHook("onRequest", async (request: FastifyRequest, reply) => {
      if (isLoopback(request.socket.remoteAddress)) return;
      await fail(
        reply,
        403,
        "/debug is served to this host only: run the command there (ssh, kubectl exec), or forward the port (ssh -L, kubectl port-forward)",
      );
    });
    debug.setErrorHandler(async (error, _request, reply) => {
      const code = error instanceof BadParameter ? 400 : 500;
      await fail(reply, code, error instanceof Error ? error.message : String(error));
    });
    debug.get("/debug/pprof", async (_request, reply) => {
      await reply.redirect("/debug/pprof/");
    });
    debug.get("/debug/pprof/", async (_request, reply) => {
      await reply.type("text/html; charset=utf-8").send(INDEX);
    });
    debug.get<{ Querystring: Query }>("/debug/pprof/profile", async (request, reply) => {
      const { seconds, worker } = parameters(request.query, ["seconds", "worker"]);
      await capture(reply, { kind: "cpu", seconds: parseSeconds(seconds), worker });
    });
    debug.get<{ Querystring: Query }>("/debug/pprof/heap", async (request, reply) => {
      const { worker } = parameters(request.query, ["worker"]);
      await capture(reply, { kind: "heap", worker });
    });
    debug.get("/debug/pprof/cmdline", async (_request, reply) => {
      const line = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
      await reply.type("text/plain; charset=utf-8").send(line.join("\0"));
    });
  });
}
