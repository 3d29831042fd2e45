// Numbers for people, by what they measure.

export type Unit = "cores" | "seconds" | "bytes" | "count" | "per second" | "share";

const KIB = 1024;

function rounded(value: number): string {
  const magnitude = Math.abs(value);
  if (magnitude >= 100) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

function size(bytes: number): string {
  let value = bytes;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (Math.abs(value) < KIB) return `${rounded(value)} ${unit}`;
    value /= KIB;
  }
  return `${rounded(value)} TiB`;
}

function time(seconds: number): string {
  if (seconds === 0) return "0 s";
  if (Math.abs(seconds) >= 1) return `${rounded(seconds)} s`;
  return Math.abs(seconds) >= 1e-3 ? `${rounded(seconds * 1e3)} ms` : `${rounded(seconds * 1e6)} µs`;
}

/** `0.93 cores`, `12.5 ms`, `94 MiB`, `25 %` */
export function quantityOf(value: number, unit: Unit): string {
  switch (unit) {
    case "cores":
      return value === 1 ? "1 core" : `${rounded(value)} cores`;
    case "seconds":
      return time(value);
    case "bytes":
      return size(value);
    case "count":
      return rounded(value);
    case "per second":
      return `${rounded(value)}/s`;
    case "share":
      return `${rounded(value * 100)} %`;
    default:
      return unit satisfies never;
  }
}

/** Ticks of an axis from 0 to at least `max`: three to six of them, round in their unit. */
export function ticksTo(max: number, unit: Unit): number[] {
  // What is less than nothing measures would need ticks that no number can tell apart.
  const top = max > 1e-9 ? max : 1;
  const base = unit === "bytes" ? KIB ** Math.max(0, Math.floor(Math.log(top) / Math.log(KIB))) : 1;
  const raw = top / base / 3;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= raw * 0.999_999) ?? raw;
  const count = Math.ceil((top / base / step) * 0.999_999);
  return Array.from({ length: count + 1 }, (_, i) => i * step * base);
}

/** `2026-01-01 12:00:00 UTC` */
export function utc(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
