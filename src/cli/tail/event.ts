// An event as `sluice tail` prints it: one JSON line.

/** An event from wherever it was read. */
export interface TailEvent {
  readonly topic: string;
  /** Undefined: its topic's partitions were not known when it was taken. */
  readonly partition: number | undefined;
  /** Undefined in the spool: Kafka gives it later. */
  readonly offset: bigint | undefined;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[];
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @param jsonValues embed a value that is JSON, instead of quoting it. */
export function eventLine(event: TailEvent, jsonValues: boolean): string {
  const fields = [
    field("topic", event.topic),
    field("partition", event.partition ?? null),
    ...(event.offset === undefined ? [] : [`"offset":${event.offset}`]),
    field("timestamp", isoTime(event.timestamp)),
    field("key", readable(event.key)),
    `"value":${valueText(event.value, jsonValues)}`,
    field(
      "headers",
      event.headers.map(({ key, value }) => ({ key, value: readable(value) })),
    ),
  ];
  return `{${fields.join(",")}}`;
}

function field(name: string, value: unknown): string {
  return `"${name}":${JSON.stringify(value)}`;
}

/** Text where the bytes are UTF-8, else base64 under a name that says so. */
function readable(bytes: Buffer | null): string | { readonly base64: string } | null {
  if (bytes === null) return null;
  try {
    return utf8.decode(bytes);
  } catch {
    return { base64: bytes.toString("base64") };
  }
}

function valueText(bytes: Buffer | null, jsonValues: boolean): string {
  const value = readable(bytes);
  if (jsonValues && typeof value === "string") {
    try {
      // Embedded as it is, so that no number loses a digit; only the line breaks between its tokens have to go.
      const parsed: unknown = JSON.parse(value);
      return /[\r\n]/.test(value) ? JSON.stringify(parsed) : value.trim();
    } catch {
      // It is no JSON.
    }
  }
  return JSON.stringify(value);
}

/** Null for a time that no calendar has, which old producers may write. */
function isoTime(ms: number): string | null {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : null;
}
