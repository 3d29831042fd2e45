// How a test makes a fake broker misbehave: a hook sees each request before anything happens and may answer with a fault.

import type { ProduceBody, ProducePartition, RecordError } from "./produce.ts";
import type { ApiName } from "./versions.ts";

export interface RequestInfo {
  readonly nodeId: number;
  readonly api: ApiName;
  readonly version: number;
  readonly correlationId: number;
  readonly clientId: string | null;
  /** Counts the connections of the cluster, from 1. */
  readonly connection: number;
  /** When it was taken up, on the cluster's clock (`Clock.monotonic`), in milliseconds. */
  readonly atMs: number;
}

export interface ProduceRequest extends RequestInfo, ProduceBody {}

interface Timing {
  /** Answer (or disconnect) so many milliseconds later; the connection's next requests wait, as in a real broker. */
  readonly delayMs?: number;
  /** Answer with this throttle time, and take nothing more from the connection for that long (KIP-219). */
  readonly throttleMs?: number;
}

export type Fault =
  | ({
      /** Answer with this code instead of doing it, or with `when: "after"`, although it is done. */
      readonly action: "error";
      readonly code: number;
      readonly when?: "before" | "after";
      /** The partitions of a Produce request that it hits; default: all. */
      readonly only?: (partition: ProducePartition) => boolean;
      /** `error_message` and `record_errors` of a Produce response. */
      readonly message?: string;
      readonly recordErrors?: readonly RecordError[];
    } & Timing)
  /** Do it, but answer neither this nor anything later on this connection: the way back is dead. */
  | ({ readonly action: "drop-response" } & Timing)
  | ({ readonly action: "disconnect"; readonly when: "before" | "after" } & Timing)
  | ({ readonly action?: undefined } & Timing);

export type ProduceHook = (request: ProduceRequest) => Fault | undefined;
export type RequestHook = (request: RequestInfo) => Fault | undefined;

/** Why the records of a partition are never taken, or undefined. */
export type AppendHook = (partition: ProducePartition) => Refusal | undefined;

export interface Refusal {
  readonly code: number;
  readonly message?: string;
  readonly recordErrors?: readonly RecordError[];
}

export interface Hooks {
  onProduce: ProduceHook | undefined;
  /** For every API but Produce. */
  onRequest: RequestHook | undefined;
  /** Asked about each partition that would be appended to, where a broker validates records: before it looks at sequences. */
  onAppend: AppendHook | undefined;
}

/** A hook that answers the first `count` requests (that `matches`) with the fault. */
export function times<R extends RequestInfo>(
  count: number,
  fault: Fault,
  matches: (request: R) => boolean = () => true,
): (request: R) => Fault | undefined {
  let left = count;
  return (request) => {
    if (left === 0 || !matches(request)) return undefined;
    left -= 1;
    return fault;
  };
}

export function once<R extends RequestInfo>(
  fault: Fault,
  matches?: (request: R) => boolean,
): (request: R) => Fault | undefined {
  return times(1, fault, matches);
}
