// HPACK's static table (RFC 7541 appendix A): entries that both sides have from the start, at indices 1 to 61.
//
// Names and values lie in two arrays at their wire index, so that a lookup makes no object.

// prettier-ignore
const ENTRIES: readonly (readonly [name: string, value: string])[] = [
  [":authority", ""], [":method", "GET"], [":method", "POST"], [":path", "/"], [":path", "/index.html"],
  [":scheme", "http"], [":scheme", "https"], [":status", "200"], [":status", "204"], [":status", "206"],
  [":status", "304"], [":status", "400"], [":status", "404"], [":status", "500"], ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"], ["accept-language", ""], ["accept-ranges", ""], ["accept", ""],
  ["access-control-allow-origin", ""], ["age", ""], ["allow", ""], ["authorization", ""], ["cache-control", ""],
  ["content-disposition", ""], ["content-encoding", ""], ["content-language", ""], ["content-length", ""],
  ["content-location", ""], ["content-range", ""], ["content-type", ""], ["cookie", ""], ["date", ""], ["etag", ""],
  ["expect", ""], ["expires", ""], ["from", ""], ["host", ""], ["if-match", ""], ["if-modified-since", ""],
  ["if-none-match", ""], ["if-range", ""], ["if-unmodified-since", ""], ["last-modified", ""], ["link", ""],
  ["location", ""], ["max-forwards", ""], ["proxy-authenticate", ""], ["proxy-authorization", ""], ["range", ""],
  ["referer", ""], ["refresh", ""], ["retry-after", ""], ["server", ""], ["set-cookie", ""],
  ["strict-transport-security", ""], ["transfer-encoding", ""], ["user-agent", ""], ["vary", ""], ["via", ""],
  ["www-authenticate", ""],
];

/** How many entries there are: the dynamic table begins one above. */
export const STATIC_ENTRIES = ENTRIES.length;

/** Index 0 names nothing. */
export const STATIC_NAMES: readonly string[] = ["", ...ENTRIES.map(([name]) => name)];
export const STATIC_VALUES: readonly string[] = ["", ...ENTRIES.map(([, value]) => value)];

const FIRST_OF_NAME: ReadonlyMap<string, number> = new Map(
  ENTRIES.map(([name], i): [string, number] => [name, i + 1]).reverse(),
);

/** The lowest index with this name; 0 where there is none. */
export function staticNameIndex(name: string): number {
  return FIRST_OF_NAME.get(name) ?? 0;
}

/** The index of the entry with this name and value; 0 where there is none. */
export function staticIndex(name: string, value: string): number {
  // Entries of one name stand together.
  for (let i = staticNameIndex(name); i !== 0 && STATIC_NAMES[i] === name; i++)
    if (STATIC_VALUES[i] === value) return i;
  return 0;
}
