// What a load generator prints: one line of JSON. The load client writes it, the bench reads it, and another load generator
// whose line has these fields can take the client's place.

/** Rates are of the measured time; the server's are of its whole process tree. */
export interface LoadResult {
  readonly requests_per_s: number;
  readonly events_per_s: number;
  readonly mb_per_s: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly p999_ms: number;
  /** Requests that ended without an answer that stores. */
  readonly errors: number;
  /** Events that answers listed as failed. */
  readonly failed: number;
  readonly first_error: string | null;
  readonly client_cores: number;
  readonly server_cores: number;
  readonly rss_mb: number;
  readonly events_per_cpu_s: number;
  readonly requests_per_cpu_s: number;
}

const NUMBERS = [
  "requests_per_s",
  "events_per_s",
  "mb_per_s",
  "p50_ms",
  "p99_ms",
  "p999_ms",
  "errors",
  "failed",
  "client_cores",
  "server_cores",
  "rss_mb",
  "events_per_cpu_s",
  "requests_per_cpu_s",
] as const satisfies readonly (keyof LoadResult)[];

/** Reads the last line of a load generator's output; rates per CPU-second may be missing and are 0 then. */
export function parseLoadResult(output: string): LoadResult {
  const line = output.trim().split("\n").at(-1) ?? "";
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(line) as Record<string, unknown>;
  } catch (cause) {
    throw new Error(`the load generator's last line is not JSON: ${JSON.stringify(line.slice(0, 200))}`, { cause });
  }
  const numbers = Object.fromEntries(
    NUMBERS.map((name) => {
      const optional = name.endsWith("_cpu_s") && fields[name] === undefined;
      const value = optional ? 0 : Number(fields[name] ?? Number.NaN);
      if (Number.isNaN(value)) throw new Error(`the load generator's answer has no number "${name}": ${line}`);
      return [name, value];
    }),
  ) as Omit<LoadResult, "first_error">;
  const firstError = fields["first_error"];
  return { ...numbers, first_error: typeof firstError === "string" ? firstError : null };
}
