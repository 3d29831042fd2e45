// What one incident is: why it was recorded, where, and what its directory holds. This is incident.json, and what the admin
// port, the pages and the command line show.
//
// An id is the UTC time, the kind and the process, so that names sort by time and say what to expect:
// `20260301T101112.345Z-stuck_loop-0`. It is a directory's name and part of a URL, so nothing but these characters is one.

import { TRIGGER_KINDS } from "../config/triggers.ts";

/** What fires on the history of a worker, and what ends or stops one. */
export const INCIDENT_KINDS = [
  ...TRIGGER_KINDS,
  "forced",
  "crash",
  "fatal_signal",
  "out_of_memory",
  "stuck_loop",
  "unresponsive",
  "supervisor_died",
] as const;
export type IncidentKind = (typeof INCIDENT_KINDS)[number];

/** Stands for the process where an incident is of the whole service. */
export const ALL_PROCESSES = "all";

/** Something that is worth a bundle. */
export interface Cause {
  readonly kind: IncidentKind;
  /** The process, as its `worker` label has it: a worker's number or `supervisor`; undefined: the whole service. */
  readonly worker: string | undefined;
  /** When it happened, in milliseconds since the epoch. */
  readonly atMs: number;
  /** One sentence. */
  readonly why: string;
  /** What was measured, in the unit of its series. */
  readonly value?: number;
  /** What the measured value usually is. */
  readonly mean?: number;
  /** What it was measured against. */
  readonly limit?: number;
}

export interface BundleFile {
  readonly name: string;
  readonly bytes: number;
}

/** A cause that came while the incident was recorded, and got no bundle of its own. */
export interface IncidentNote {
  readonly atMs: number;
  readonly kind: IncidentKind;
  readonly worker: string;
  readonly why: string;
}

export interface Incident {
  readonly id: string;
  readonly kind: IncidentKind;
  /** A worker's number, `supervisor`, or `all`. */
  readonly worker: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly why: string;
  readonly value?: number;
  readonly mean?: number;
  readonly limit?: number;
  /** `recording`: files are still added; `complete`: none will be. */
  readonly state: "recording" | "complete";
  /** The profile to look at first, once there is one. */
  readonly profile?: string;
  /** All but incident.json, by name. */
  readonly files: readonly BundleFile[];
  /** What could not be taken, and why; one sentence each. */
  readonly problems: readonly string[];
  readonly notes: readonly IncidentNote[];
}

const ID = /^\d{8}T\d{6}\.\d{3}Z-[a-z0-9_]{1,32}-(?:\d{1,4}|supervisor|all)(?:\.\d{1,3})?$/;

export function isIncidentId(text: string): boolean {
  return ID.test(text);
}

/** @param attempt tells incidents apart that happened in the same millisecond; 0 for the first. */
export function incidentId({ kind, worker, atMs }: Pick<Cause, "kind" | "worker" | "atMs">, attempt = 0): string {
  const time = new Date(atMs).toISOString().replaceAll(/[-:]/g, "");
  return `${time}-${kind}-${worker ?? ALL_PROCESSES}${attempt === 0 ? "" : `.${attempt}`}`;
}

/** A new incident as it begins. */
export function incidentOf(id: string, cause: Cause): Incident {
  return {
    id,
    ...cause,
    worker: cause.worker ?? ALL_PROCESSES,
    state: "recording",
    files: [],
    problems: [],
    notes: [],
  };
}

/** Whether what lies on disk is an incident; a directory that somebody else filled is not. */
export function isIncident(value: unknown): value is Incident {
  if (typeof value !== "object" || value === null) return false;
  const { id, kind, worker, atMs, why, state, problems, notes } = value as Partial<Record<keyof Incident, unknown>>;
  return (
    typeof id === "string" &&
    INCIDENT_KINDS.some((each) => each === kind) &&
    typeof worker === "string" &&
    typeof atMs === "number" &&
    typeof why === "string" &&
    (state === "recording" || state === "complete") &&
    Array.isArray(problems) &&
    Array.isArray(notes)
  );
}
