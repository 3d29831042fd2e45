// What people write into a timestamp field, as milliseconds since the epoch.
//
// Rejected: `Date.parse` alone. It reads a date without a zone in the zone of whoever runs the command, so one file would
// give different events on different machines, and it takes "2001/02/30" for the 2nd of March.

const DATE =
  /^(\d{4})[-/](\d{2})[-/](\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d{2}:?\d{2})?)?$/i;
/** As milliseconds it is in 1973, as seconds in 5138: whatever is less is seconds. */
const SECONDS_MAX = 1e11;

/** What a timestamp may look like, for mistakes and for help. */
export const TIMESTAMP_FORMATS = "2001-01-31T00:47:00Z, 2001/01/31 00:47 (UTC), or a number of seconds or milliseconds";

/** Milliseconds since the epoch, or undefined if it is none of TIMESTAMP_FORMATS. */
export function parseTimestamp(value: unknown): number | undefined {
  if (typeof value === "number") return fromNumber(value);
  if (typeof value !== "string") return undefined;
  const text = value.trim();
  if (/^\d+(?:\.\d+)?$/.test(text)) return fromNumber(Number(text));
  const match = DATE.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour = "0", minute = "0", second = "0", fraction = "0", zone = "Z"] = match;
  const ms = Math.floor(Number(`0.${fraction}`) * 1000);
  const local = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
    ms,
  );
  const date = new Date(local);
  // What rolled over into the next month or day did not exist.
  if (date.getUTCMonth() + 1 !== Number(month) || date.getUTCDate() !== Number(day)) return undefined;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  return local - offsetMs(zone);
}

function fromNumber(value: number): number | undefined {
  if (!Number.isFinite(value)) return undefined;
  return Math.floor(value < SECONDS_MAX ? value * 1000 : value);
}

/** Of `Z`, `+02:00` or `-0930`. */
function offsetMs(zone: string): number {
  if (zone.toUpperCase() === "Z") return 0;
  const digits = zone.replace(":", "");
  const minutes = Number(digits.slice(1, 3)) * 60 + Number(digits.slice(3, 5));
  return (zone.startsWith("-") ? -1 : 1) * minutes * 60_000;
}
