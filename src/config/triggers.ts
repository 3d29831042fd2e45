// INCIDENT_TRIGGERS: which values make an incident by themselves, and how they are tuned.
//
//   text    = "default" | "none" | trigger *("," trigger)
//   trigger = name "=" ("off" | setting *(";" setting))
//   setting = ("min" | "abs") ":" number | "diff" ":" number | ("hold" | "cooldown") ":" duration ; abs and diff may be "off"
//
// What is not given stays as it is by default. The defaults stay silent on a service that is healthy, under full load, too.

import { duration, type Kind, type Wrong } from "./kinds.ts";

export const TRIGGER_KINDS = [
  /** CPU of a worker, in cores. */
  "cpu",
  /** The longest turn of an event loop within a second, in seconds. */
  "event_loop",
  /** Resident memory of all processes without the files that they share, as a share of the control group's limit or the host's memory. */
  "rss",
  /** V8's heap of a process, as a share of its limit. */
  "heap",
  /** File descriptors of a process, as a share of their limit. */
  "fds",
  /** Connections of a worker, as a share of GRPC_CONNECTIONS_MAX. */
  "connections",
  /** Open streams of the busiest connection, as a share of GRPC_STREAMS_MAX. */
  "streams",
  /** The 99th percentile of the time from received to answered, in seconds. */
  "acknowledged_p99",
  /** Bytes with the Kafka client, as a share of ADMITTED_BYTES_MAX. */
  "kafka_queue",
  /** Batches refused or events failed, as a share of all. */
  "error_rate",
] as const;
export type TriggerKind = (typeof TRIGGER_KINDS)[number];

/** Fires if the value is at least `min`, and at least `abs` or so much more than its mean as `diff` says, for `holdMs`. */
export interface TriggerSetting {
  /** Below it, nothing fires. */
  readonly min: number;
  /** 0.5: half as much again as the mean of the last five minutes. Undefined: the mean does not matter. */
  readonly diff: number | undefined;
  /** Undefined: only the difference counts. */
  readonly abs: number | undefined;
  readonly holdMs: number;
  /** How long it stays silent after it has fired. */
  readonly coolDownMs: number;
}

/** Undefined: off. */
export type TriggerSettings = Readonly<Record<TriggerKind, TriggerSetting | undefined>>;

const TEN_MINUTES = 600_000;

const setting = (min: number, diff: number | undefined, abs: number | undefined, holdMs: number): TriggerSetting => ({
  min,
  diff,
  abs,
  holdMs,
  coolDownMs: TEN_MINUTES,
});

/** Why these: docs/operations.md, "What makes an incident". */
export const DEFAULT_TRIGGERS: TriggerSettings = {
  cpu: setting(0.7, 0.5, undefined, 5_000),
  event_loop: setting(0.4, 4, 1.5, 3_000),
  rss: setting(0.5, 0.4, 0.9, 3_000),
  heap: setting(0.4, 1, 0.85, 3_000),
  fds: setting(0.5, 0.5, 0.85, 3_000),
  connections: setting(0.5, 0.5, 0.85, 3_000),
  streams: setting(0.6, 1, 0.9, 3_000),
  acknowledged_p99: setting(1, 2, 3, 3_000),
  kafka_queue: setting(0.5, 2, 0.9, 5_000),
  error_rate: setting(0.1, 2, 0.5, 3_000),
};

const OFF = Object.fromEntries(TRIGGER_KINDS.map((kind) => [kind, undefined])) as Record<TriggerKind, undefined>;

const VALUES = "default, none or name=settings,...";
const EXAMPLE = "for example cpu=off,rss=min:0.5;diff:0.4;abs:0.9;hold:3s;cooldown:10m";
const hold = duration(0, 3_600_000);
const coolDown = duration(1_000, 24 * 3_600_000);

/** Says what is right about the first thing that is wrong. */
class Mistake extends Error {}

export const triggers: Kind<TriggerSettings> = {
  placeholder: "TRIGGERS",
  values: VALUES,
  right: `${VALUES}, ${EXAMPLE}`,
  suffix: "",
  parse: (text): { readonly value: TriggerSettings } | Wrong => {
    if (text === "default") return { value: DEFAULT_TRIGGERS };
    if (text === "none") return { value: OFF };
    try {
      return { value: { ...DEFAULT_TRIGGERS, ...Object.fromEntries(text.split(",").map(readTrigger)) } };
    } catch (thrown) {
      if (thrown instanceof Mistake) return { right: `${thrown.message}, ${EXAMPLE}` };
      throw thrown;
    }
  },
};

function readTrigger(text: string): [TriggerKind, TriggerSetting | undefined] {
  const at = text.indexOf("=");
  const name = text.slice(0, at < 0 ? undefined : at).trim();
  const kind = TRIGGER_KINDS.find((known) => known === name);
  if (kind === undefined) throw new Mistake(`one of ${TRIGGER_KINDS.join(", ")} instead of ${JSON.stringify(name)}`);
  const settings = at < 0 ? "" : text.slice(at + 1).trim();
  if (settings === "") throw new Mistake(`${name}=off, or settings of ${name}`);
  if (settings === "off") return [kind, undefined];
  let result = DEFAULT_TRIGGERS[kind]!;
  for (const part of settings.split(";")) result = { ...result, ...readSetting(name, part.trim()) };
  return [kind, result];
}

function readSetting(trigger: string, text: string): Partial<TriggerSetting> {
  const [name = "", value = ""] = text.split(/:(.*)/s);
  switch (name) {
    case "min":
      return { min: readNumber(trigger, name, value) };
    case "diff":
      return { diff: value === "off" ? undefined : readNumber(trigger, name, value) };
    case "abs":
      return { abs: value === "off" ? undefined : readNumber(trigger, name, value) };
    case "hold":
      return { holdMs: readDuration(trigger, name, value, hold) };
    case "cooldown":
      return { coolDownMs: readDuration(trigger, name, value, coolDown) };
    default:
      throw new Mistake(
        `min, diff, abs, hold or cooldown with a value for ${trigger} instead of ${JSON.stringify(text)}`,
      );
  }
}

function readNumber(trigger: string, name: string, text: string): number {
  if (!/^\d{1,12}(\.\d{1,6})?$/.test(text))
    throw new Mistake(`a number of 0 or more for ${name} of ${trigger} instead of ${JSON.stringify(text)}`);
  return Number(text);
}

function readDuration(trigger: string, name: string, text: string, kind: Kind<number>): number {
  const read = kind.parse(text);
  if ("value" in read) return read.value;
  throw new Mistake(`${read.right} for ${name} of ${trigger} instead of ${JSON.stringify(text)}`);
}
