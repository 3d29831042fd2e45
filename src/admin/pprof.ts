// GET /debug/pprof/: the paths of Go's net/http/pprof, so that `go tool pprof` and engineers' fingers find them.
//
// Without a `worker` parameter a profile is that of all processes, merged; each sample carries the label `worker`. What Go
// lacks: the past (`past`, `ago`), because the sampler always runs, and differences (`base`) that need no second file. Errors
// are text with X-Go-Pprof: 1, which makes `go tool pprof` show them.
//
//   profile   seconds=30 | past=300 [ago=60], base
//   heap      seconds=30 (what comes in that time) | ago=60, base
//   allocs    501, with the reason
//   threads, eventloop, cmdline
//
// A difference of two windows of CPU is scaled to the length of the later one. In pprof's own format it has what shrank, below
// zero, as `-diff_base` has it; flame graphs cannot show that and have what grew.

import { setTimeout } from "node:timers/promises";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Profile } from "pprof-format";
import { CaptureError, type CaptureRequest } from "../profiling/collect.ts";
import { difference } from "../profiling/select.ts";
import { inspectionRoutes } from "./inspection.ts";
import { BadParameter, Parameters, type Query } from "./parameters.ts";
import { sendPage } from "./pages/document.ts";
import { pprofIndex } from "./pprof-index.ts";
import { NothingFound, readView, sendProfile, VIEW_PARAMETERS } from "./profile-view.ts";
import type { AdminState } from "./state.ts";

/** What `go tool pprof http://host:port` waits for. */
const SECONDS_DEFAULT = 30;
/** A client may not wait for as long as it likes. */
const SECONDS_MAX = 300;
/** How far back may be asked; how much there is, PROFILE_AGE_MAX says. */
const PAST_MAX = 86_400;
const CAPTURES_MAX = 16;

const ALLOCS_REASON = `allocs: this service samples what is alive, because Node.js before 26 does not tell what was allocated and is gone (this is ${process.version}); heap?seconds=30 has what comes to the heap in a while`;
const GC_REASON = "gc: a full collection on demand would stop the event loop, so it is not offered; leave it out";

/** Too much is asked for at the same time. */
class TooMany extends Error {}

/** What is known is not offered here. */
class NotOffered extends Error {}

function statusOf(error: unknown): number {
  if (error instanceof BadParameter) return 400;
  if (error instanceof NothingFound) return 404;
  if (error instanceof TooMany) return 429;
  if (error instanceof NotOffered) return 501;
  return error instanceof CaptureError ? 503 : 500;
}

/** The scale that makes a window of CPU as long as another one. */
function scaleTo(later: Profile, earlier: Profile): number {
  const [wanted, had] = [Number(later.durationNanos), Number(earlier.durationNanos)];
  return wanted > 0 && had > 0 ? wanted / had : 1;
}

function readWorker(parameters: Parameters, { profiled }: AdminState): string | undefined {
  const worker = parameters.text("worker");
  if (worker === undefined || profiled.includes(worker)) return worker;
  throw new BadParameter(`worker: ${JSON.stringify(worker)} is none of ${profiled.join(", ")}`);
}

/** Errors as Go's tool shows them, for every route that is made on `routes`. */
export function pprofErrors(routes: FastifyInstance): void {
  routes.setErrorHandler(async (error, _request, reply) => {
    const message = error instanceof Error ? error.message : String(error);
    await reply
      .code(statusOf(error))
      .header("x-go-pprof", "1")
      .type("text/plain; charset=utf-8")
      .send(`${error instanceof CaptureError ? "no profile: " : ""}${message}\n`);
  });
}

type Asked = FastifyRequest<{ Querystring: Query }>;

class Captures {
  readonly #state: AdminState;
  #running = 0;

  constructor(state: AdminState) {
    this.#state = state;
  }

  async cpu(request: Asked, reply: FastifyReply): Promise<void> {
    const parameters = new Parameters(request.query, ["seconds", "past", "ago", "base", "worker", ...VIEW_PARAMETERS]);
    const worker = readWorker(parameters, this.#state);
    parameters.exclude("past", "seconds");
    parameters.exclude("ago", "seconds");
    const past = parameters.integer("past", 1, PAST_MAX);
    const ago = parameters.integer("ago", 0, PAST_MAX);
    const base = parameters.integer("base", 1, PAST_MAX);
    const seconds = parameters.integer("seconds", 1, SECONDS_MAX) ?? SECONDS_DEFAULT;
    if (ago !== undefined && past === undefined)
      throw new BadParameter("ago: says when a window of the past ended; give past, too");
    const view = readView(parameters);
    const profile = await this.#run(reply, async (signal) => {
      const wanted: CaptureRequest =
        past === undefined ? { kind: "cpu", seconds, worker } : { kind: "cpu", past, ago: ago ?? 0, worker };
      const later = await this.#state.profile(wanted, signal);
      if (base === undefined) return later;
      const before = { kind: "cpu", past: past ?? seconds, ago: (ago ?? 0) + base, worker } as const;
      const earlier = await this.#state.profile(before, signal);
      return difference(later, earlier, scaleTo(later, earlier));
    });
    await sendProfile(request, reply, profile, view, "profile");
  }

  async heap(request: Asked, reply: FastifyReply): Promise<void> {
    const parameters = new Parameters(request.query, ["seconds", "ago", "base", "gc", "worker", ...VIEW_PARAMETERS]);
    const worker = readWorker(parameters, this.#state);
    parameters.exclude("ago", "seconds");
    parameters.exclude("base", "seconds");
    const seconds = parameters.integer("seconds", 1, SECONDS_MAX);
    const ago = parameters.integer("ago", 0, PAST_MAX) ?? 0;
    const base = parameters.integer("base", 1, PAST_MAX);
    const view = readView(parameters);
    if (parameters.oneOf("gc", ["0", "1"]) === "1") throw new NotOffered(GC_REASON);
    const profile = await this.#run(reply, async (signal) => {
      const heapOf = (of: { readonly ago?: number } = {}) =>
        this.#state.profile({ kind: "heap", worker, ...of }, signal);
      if (seconds !== undefined) {
        const earlier = await heapOf();
        // Nobody waits for an answer when the port closes.
        await setTimeout(seconds * 1000, undefined, { ref: false, signal });
        return difference(await heapOf(), earlier);
      }
      const later = await heapOf({ ago });
      if (base === undefined) return later;
      return difference(later, await heapOf({ ago: ago + base }));
    });
    await sendProfile(request, reply, profile, view, "heap");
  }

  /** @param take ends when its signal is aborted, because nobody waits for it any more. */
  async #run(reply: FastifyReply, take: (signal: AbortSignal) => Promise<Profile>): Promise<Profile> {
    if (this.#running >= CAPTURES_MAX)
      throw new TooMany(`${CAPTURES_MAX} profiles are being taken; try again when one has ended`);
    this.#running += 1;
    const client = new AbortController();
    const onClose = () => {
      client.abort(new CaptureError("whoever asked for it hung up"));
    };
    reply.raw.once("close", onClose);
    try {
      return await take(client.signal);
    } finally {
      reply.raw.off("close", onClose);
      this.#running -= 1;
    }
  }
}

export function pprofRoutes(app: FastifyInstance, state: AdminState): void {
  const captures = new Captures(state);
  void app.register(async (debug) => {
    pprofErrors(debug);
    debug.get("/debug/pprof", async (_request, reply) => {
      await reply.redirect("/debug/pprof/");
    });
    debug.get("/debug/pprof/", async (_request, reply) => {
      await sendPage(reply, pprofIndex(state.profiled));
    });
    debug.get<{ Querystring: Query }>("/debug/pprof/profile", (request, reply) => captures.cpu(request, reply));
    debug.get<{ Querystring: Query }>("/debug/pprof/heap", (request, reply) => captures.heap(request, reply));
    debug.get("/debug/pprof/allocs", () => {
      throw new NotOffered(ALLOCS_REASON);
    });
    debug.get("/debug/pprof/cmdline", async (_request, reply) => {
      await reply.type("text/plain; charset=utf-8").send(state.commandLine.join("\0"));
    });
    inspectionRoutes(debug, state);
  });
}
