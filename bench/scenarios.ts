// The loads that the bench puts on every target. The names are kept over versions, so that runs can be compared.

/** What the load client does to a target. */
export interface Load {
  readonly mode: "unary" | "stream";
  /** Concurrent callers (unary) or streams. */
  readonly callers: number;
  /** Unanswered requests of a stream; 1 for unary callers. */
  readonly window: number;
  /** Events of a request. */
  readonly batch: number;
  /** Bytes of an event's value. */
  readonly valueBytes: number;
  /** Requests per second; 0: as fast as answers come, or --rate. */
  readonly rate: number;
  /** How many topics the requests are for, in turns. */
  readonly topics: number;
  /** Connections of the load client; undefined: --connections. */
  readonly connections?: number;
}

/** A load on one target after the other. */
export interface LoadScenario extends Load {
  readonly kind: "load";
  readonly name: string;
  /** True: the service has no brokers and stores on its spool. */
  readonly persisted: boolean;
}

/** The same load on one service with brokers, PERSISTED and REPLICATED in turns. */
export interface DurabilityScenario extends Omit<LoadScenario, "kind"> {
  readonly kind: "durability";
}

/** What the service takes of a core without any load; with two workers. */
export interface IdleScenario {
  readonly kind: "idle";
  readonly name: string;
}

/** How long the service takes to start; with two workers. */
export interface ReadyScenario {
  readonly kind: "ready";
  readonly name: string;
}

/** What a request costs with more and more connections, and with more and more streams: see curve.ts. */
export interface CurveScenario {
  readonly kind: "curve";
  readonly name: string;
}

export type Scenario = LoadScenario | DurabilityScenario | IdleScenario | ReadyScenario | CurveScenario;

const load = (
  name: string,
  shape: Pick<Load, "mode" | "callers" | "batch" | "valueBytes"> & {
    window?: number;
    rate?: number;
    topics?: number;
  },
) =>
  ({ kind: "load", name, window: 1, rate: 0, topics: 1, persisted: false, ...shape }) as const satisfies LoadScenario;

/** More than this no load has. */
export const TOPICS_MAX = 8;

export const SCENARIOS: readonly Scenario[] = [
  load("streams-100", { mode: "stream", callers: 16, window: 8, batch: 100, valueBytes: 200 }),
  load("unary-100", { mode: "unary", callers: 64, batch: 100, valueBytes: 200 }),
  load("unary-1", { mode: "unary", callers: 200, batch: 1, valueBytes: 200 }),
  load("unary-100-1k", { mode: "unary", callers: 64, batch: 100, valueBytes: 1024 }),
  load("streams-1", { mode: "stream", callers: 16, window: 64, batch: 1, valueBytes: 200 }),
  load("mixed-10", { mode: "unary", callers: 64, batch: 10, valueBytes: 200, topics: TOPICS_MAX }),
  load("open-2000", { mode: "unary", callers: 200, batch: 1, valueBytes: 200, rate: 2000 }),
  { ...load("persisted", { mode: "stream", callers: 16, window: 8, batch: 100, valueBytes: 200 }), persisted: true },
  {
    ...load("durability", { mode: "stream", callers: 16, window: 8, batch: 100, valueBytes: 200 }),
    kind: "durability",
  },
  { kind: "idle", name: "idle" },
  { kind: "ready", name: "ready" },
  { kind: "curve", name: "curve" },
];

/** The scenarios of these names, in the table's order; all, if none is named. */
export function selectScenarios(names: readonly string[]): readonly Scenario[] {
  const unknown = names.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name));
  if (unknown.length > 0) {
    const known = SCENARIOS.map((scenario) => scenario.name).join(", ");
    throw new Error(`--only: there is no scenario "${unknown.join('", "')}"; there are ${known}`);
  }
  return names.length === 0 ? SCENARIOS : SCENARIOS.filter((scenario) => names.includes(scenario.name));
}

/** For people: `16 streams × window 8 × 100 events × 200 B`. */
export function describe(scenario: Scenario): string {
  if (scenario.kind === "idle") return "no load, two workers";
  if (scenario.kind === "ready") return "from spawn to ready, two workers";
  if (scenario.kind === "curve")
    return "1 event × 200 B a request, at one rate over more and more connections and streams";
  const { mode, callers, window, batch, valueBytes, rate, topics, persisted } = scenario;
  const who = mode === "stream" ? `${callers} streams × window ${window}` : `${callers} unary callers`;
  const what = `${batch} event${batch === 1 ? "" : "s"} × ${valueBytes} B${topics === 1 ? "" : ` over ${topics} topics`}`;
  if (rate > 0) return `${rate.toLocaleString("en-US")} requests/s of ${who} × ${what}`;
  if (scenario.kind === "durability") return `${who} × ${what}, PERSISTED and REPLICATED in turns`;
  return `${who} × ${what}${persisted ? ", on the spool without brokers" : ""}`;
}
