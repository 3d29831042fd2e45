// What a service tells of itself, second by second, over server-sent events.
//
//   message = [ "id: " id LF ] [ "event: " name LF ] "data: " json LF LF        (src/admin/live/model.ts has the JSON)
//
// A connection that is lost is opened again, from the last second that was told. What no repetition mends ends it: nobody
// listens at the start, or the service does not let in.

import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import type { LiveSnapshot } from "../../admin/live/model.ts";
import { AdminError } from "../admin-error.ts";
import type { AdminPort } from "../admin-port.ts";
import { CliError, messageOf } from "../io.ts";

export const LIVE_PATH = "/debug/live";
const AGAIN_MS = 1_000;

/** A snapshot, or why there is none at the moment. */
export type Told =
  | { readonly snapshot: LiveSnapshot; readonly trouble?: undefined }
  | { readonly snapshot?: undefined; readonly trouble: string };

/**
 * Each second as it ends; the first one comes with the history.
 * @param signal ends it. Throws a CliError.
 */
export async function* tellLive(port: AdminPort, historySeconds: number, signal: AbortSignal): AsyncGenerator<Told> {
  let sinceMs = Date.now() - historySeconds * 1000;
  let begun = false;
  while (!signal.aborted) {
    try {
      for await (const snapshot of messages(port, sinceMs)) {
        begun = true;
        sinceMs = snapshot.atMs;
        yield { snapshot };
      }
      if (!signal.aborted) yield { trouble: `the service at ${port.where} has ended the connection; trying again` };
    } catch (thrown) {
      if (signal.aborted) return;
      if (!begun || !(thrown instanceof CliError) || (thrown instanceof AdminError && thrown.kind === "refused"))
        throw thrown;
      yield { trouble: `${messageOf(thrown)}; trying again` };
    }
    await pause(AGAIN_MS, undefined, { signal }).catch(() => {});
  }
}

async function* messages(port: AdminPort, sinceMs: number): AsyncGenerator<LiveSnapshot> {
  const response = await port.open(`${LIVE_PATH}/events?since=${sinceMs}`);
  const lines = createInterface({ input: response, crlfDelay: Infinity });
  try {
    for await (const line of lines)
      if (line.startsWith("data: ")) yield JSON.parse(line.slice("data: ".length)) as LiveSnapshot;
  } catch (cause) {
    throw new CliError(`the connection to the service at ${port.where} is lost (${messageOf(cause)})`, { cause });
  } finally {
    response.destroy();
  }
}
