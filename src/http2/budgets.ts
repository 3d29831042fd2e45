// What a client may do that is legal and useless: each kind of it has a token bucket, and an empty one ends the connection.
//
// One frame of these costs the client nothing and the server something. No single limit in the protocol forbids them, so what
// is counted is the rate, far above what honest clients do: grpc-go probes its bandwidth with a PING per answer, a client that
// loses its patience cancels a thousand calls at once. Rejected: counting over a connection's life, which in the end cuts everybody.

import type { Attack } from "./error-code.ts";

interface Rate {
  readonly attack: Attack;
  /** How many at once, */
  readonly burst: number;
  /** and how many a second from then on. */
  readonly perSecond: number;
}

/** Indices into RATES. */
export const Budget = {
  RESETS: 0,
  PROVOKED_RESETS: 1,
  REFUSED_STREAMS: 2,
  PINGS: 3,
  SETTINGS: 4,
  PRIORITIES: 5,
  WINDOW_UPDATES: 6,
  EMPTY_FRAMES: 7,
  UNKNOWN_FRAMES: 8,
  TABLE_SIZES: 9,
  LARGE_HEADER_LISTS: 10,
} as const;
export type Budget = (typeof Budget)[keyof typeof Budget];

const RATES: readonly Rate[] = [
  { attack: "rapid_reset", burst: 1_000, perSecond: 100 },
  { attack: "made_you_reset", burst: 100, perSecond: 10 },
  { attack: "streams_over_limit", burst: 1_000, perSecond: 100 },
  { attack: "ping_flood", burst: 100, perSecond: 10 },
  { attack: "settings_flood", burst: 100, perSecond: 10 },
  { attack: "priority_flood", burst: 1_000, perSecond: 100 },
  { attack: "window_update_flood", burst: 10_000, perSecond: 1_000 },
  { attack: "empty_frame_flood", burst: 1_000, perSecond: 100 },
  { attack: "unknown_frame_flood", burst: 1_000, perSecond: 100 },
  { attack: "hpack_table_churn", burst: 100, perSecond: 10 },
  { attack: "header_list_too_large", burst: 100, perSecond: 10 },
];

export class Budgets {
  readonly #tokens = Float64Array.from(RATES, ({ burst }) => burst);
  readonly #takenAtMs = new Float64Array(RATES.length);

  /** Takes one. @returns undefined, or what is too much of. @param nowMs of a clock that never goes back. */
  take(budget: Budget, nowMs: number): Rate | undefined {
    const rate = RATES[budget]!;
    const gained = ((nowMs - this.#takenAtMs[budget]!) * rate.perSecond) / 1000;
    const tokens = Math.min(rate.burst, this.#tokens[budget]! + gained) - 1;
    this.#takenAtMs[budget] = nowMs;
    this.#tokens[budget] = Math.max(0, tokens);
    return tokens < 0 ? rate : undefined;
  }

  /** Earns some back. */
  give(budget: Budget, count: number): void {
    this.#tokens[budget] = Math.min(RATES[budget]!.burst, this.#tokens[budget]! + count);
  }
}
