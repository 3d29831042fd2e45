// Clocks: does this host's agree with the brokers' and with the service's?
//
// Pure judgements of readings: of the active controller's clock, of the newest timestamps in topics (kafka-clock.ts), and of a
// service's clock (`Date` of an answer of its admin port, to a second). All compare with the host that the doctor runs on: if
// that one is wrong, everything else looks wrong.

import { plural } from "../table.ts";
import { error, type Finding, ok, warning } from "./finding.ts";

/** A clock as it was read. */
export interface ClockReading {
  /** Whose, for example `the active controller (node 1)`. */
  readonly whose: string;
  readonly atMs: number;
  /** This host's time when it was asked, and when the answer came. */
  readonly askedMs: number;
  readonly answeredMs: number;
  /** The reading is in steps of this. */
  readonly stepMs: number;
}

/** What a topic says of time. */
export interface TopicClock {
  readonly name: string;
  /** The newest timestamp in it, in milliseconds since the epoch; -1: it is empty. */
  readonly newestMs: number;
  readonly nowMs: number;
}

/** Clocks that are kept by NTP differ by milliseconds. */
const SKEW_MAX_MS = 1_000;
export const CLOCK_CHECK = "clock-skew";
const WHY =
  "timestamps decide when events are deleted, how consumers find a time, and whether a broker takes them (message.timestamp.after.max.ms)";
const REMEDY = "let NTP or chrony keep the clocks of all hosts (`timedatectl` shows whether it does)";

/**
 * Of one clock.
 * @param afterMaxMs the least message.timestamp.after.max.ms of the topics that were looked at; Infinity: none refuses.
 */
export function judgeClock(reading: ClockReading, afterMaxMs: number): Finding {
  const { whose, atMs, askedMs, answeredMs, stepMs } = reading;
  // Whatever lies between question and answer may be right; beyond that nothing is.
  const ahead = Math.max(0, atMs - answeredMs);
  const behind = Math.max(0, askedMs - (atMs + stepMs));
  const skewMs = Math.max(ahead, behind);
  const subject = "clock";
  if (skewMs <= SKEW_MAX_MS)
    return {
      ...ok(subject, `${whose} and this host agree to ${seconds(Math.max(skewMs, SKEW_MAX_MS))}`),
      check: CLOCK_CHECK,
    };
  const message = `${whose} is ${seconds(skewMs)} ${ahead > 0 ? "ahead of" : "behind"} this host`;
  // Events that are stamped here lie in that broker's future.
  if (behind > afterMaxMs)
    return {
      ...error(subject, `${message}, and topics refuse timestamps more than ${seconds(afterMaxMs)} ahead`, REMEDY),
      why: "events that are stamped here are refused for good",
      check: CLOCK_CHECK,
    };
  return { ...warning(subject, message, REMEDY), why: WHY, check: CLOCK_CHECK };
}

/** Of the topics whose newest event is from the future. */
export function judgeTopicClock({ name, newestMs, nowMs }: TopicClock): Finding[] {
  if (newestMs - nowMs <= SKEW_MAX_MS) return [];
  return [
    {
      ...warning(
        `topic ${name}`,
        `its newest timestamp is ${seconds(newestMs - nowMs)} ahead of this host's clock`,
        "look at the clocks of whoever writes to it, or at what they write as timestamp",
      ),
      why: "such events are deleted that much later, with everything that lies in the same segment",
      check: CLOCK_CHECK,
    },
  ];
}

const seconds = (ms: number): string => (ms >= 120_000 ? plural(ms / 60_000, "minute") : `${(ms / 1000).toFixed(1)} s`);
