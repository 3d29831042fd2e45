// Balance: do all workers work, and all pods, or has a load balancer given everything to one of them?
//
// A gRPC connection lives long, and all its calls go where it went. Whoever balances connections, or opens one only, pins the
// load. Events say it best; where hardly any come, streams do. Of workers the service counts the load of ten seconds itself, which
// says more than two scrapes: these may see one push of metrics more of one worker than of another.

import { plural } from "../table.ts";
import { type Finding, ok, warning } from "./finding.ts";
import type { ServiceFacts } from "./service-facts.ts";

/** One worker, or one pod. */
export interface Share {
  /** `worker 0`, or a pod's address. */
  readonly name: string;
  readonly events: number;
  /** Its share of the load over the mean, where the service counts it. */
  readonly load?: number | undefined;
  readonly streams: number;
  readonly connections: number;
}

/** Fewer events between the scrapes say nothing about shares. */
const EVENTS_MIN = 500;
/** The largest share over the mean. */
const RATIO_MAX = 1.6;
/** Whoever has this share of all has everything. */
const PINNED = 0.9;

const total = (shares: readonly Share[], key: "events" | "streams" | "connections"): number =>
  shares.reduce((sum, share) => sum + share[key], 0);

/** @param noun `worker` or `pod`. */
export function judgeBalance(subject: string, noun: string, shares: readonly Share[], elapsedMs: number): Finding[] {
  if (shares.length < 2) return [];
  const events = total(shares, "events");
  const streams = total(shares, "streams");
  const isBusy = events >= EVENTS_MIN;
  // One stream is somewhere.
  if (!isBusy && streams < 2 * shares.length) return [];
  const isCounted = shares.every(({ load }) => load !== undefined);
  const weights = shares.map((share) => (isBusy ? (isCounted ? share.load! : share.events) : share.streams));
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  if (all === 0) return [];
  const most = Math.max(...weights);
  const top = shares[weights.indexOf(most)]!;
  const share = most / all;
  const ratio = share * shares.length;
  const check = `uneven-${noun}s`;
  const of = isBusy ? `${plural(events, "event")} in ${(elapsedMs / 1000).toFixed(1)} s` : plural(streams, "stream");
  const spread = shares.map(({ name }, i) => `${name} ${Math.round((weights[i]! / all) * 100)} %`).join(", ");
  if (ratio < RATIO_MAX && share < PINNED) return [{ ...ok(subject, `${noun}s share ${of} evenly: ${spread}`), check }];
  const connections = total(shares, "connections");
  const ofConnections = connections === 0 ? "" : ` and ${top.connections} of ${plural(connections, "connection")}`;
  return [
    {
      ...warning(
        subject,
        `${top.name} has ${Math.round(share * 100)} % of ${of}${ofConnections}, ${share >= PINNED ? "so the others idle" : `${ratio.toFixed(1)} times its share`}: ${spread}`,
        remedyOf(noun, shares, top, connections),
      ),
      why: `one ${noun} is the limit of all, however many there are`,
      check,
    },
  ];
}

function remedyOf(noun: string, shares: readonly Share[], top: Share, connections: number): string {
  if (connections > 0 && connections < shares.length)
    return `a connection stays where it went: let clients open at least ${shares.length} connections`;
  const hasMostConnections = connections === 0 || top.connections / connections >= RATIO_MAX / shares.length;
  if (noun === "pod" && hasMostConnections)
    return "balance by request (a proxy that speaks HTTP/2) or in the client over a headless Service, and lower GRPC_CONNECTION_AGE_MAX so that connections move";
  return hasMostConnections
    ? "let clients open more connections, and lower GRPC_CONNECTION_AGE_MAX so that connections move"
    : "some connections carry more than others: let clients spread their streams over several connections";
}

/** Of the workers of each service, and of the services among each other. */
export function judgeBalances(
  services: readonly { readonly subject: string; readonly facts: ServiceFacts }[],
): Finding[] {
  const workers = services.flatMap(({ subject, facts }) =>
    judgeBalance(
      subject,
      "worker",
      facts.workers.map(({ worker, ...share }) => ({ name: `worker ${worker}`, ...share })),
      facts.elapsedMs,
    ),
  );
  const pods = services.map(({ facts: { where, workers: own } }) => ({
    name: where,
    events: own.reduce((sum, { events }) => sum + events, 0),
    streams: own.reduce((sum, { streams }) => sum + streams, 0),
    connections: own.reduce((sum, each) => sum + each.connections, 0),
  }));
  const elapsedMs = Math.max(0, ...services.map(({ facts }) => facts.elapsedMs));
  return [...workers, ...judgeBalance("services", "pod", pods, elapsedMs)];
}
