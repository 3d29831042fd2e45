// What all connections of a worker share, and each part of a connection takes from what it needs.

import type { Clock } from "../clock.ts";
import type { Http2Observer } from "./observer.ts";
import type { Http2Options } from "./options.ts";
import type { PagePool } from "./page-pool.ts";
import type { RequestHandler } from "./request.ts";
import type { Turn } from "./turn.ts";

export interface WorkerContext {
  readonly handler: RequestHandler;
  readonly observer: Http2Observer;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly options: Http2Options;
  readonly pages: PagePool;
  readonly turn: Turn;
}
