// A status message as the value of `grpc-message`.
//
//   Percent-Encoded        := 1*( Percent-Byte-Unencoded / Percent-Byte-Encoded )
//   Percent-Byte-Unencoded := 1*( %x20-24 / %x26-7E )        ; space and VCHAR, except %
//   Percent-Byte-Encoded   := "%" 2HEXDIGIT                  ; of the bytes of UTF-8
//
// A space at either end is encoded as well, because HTTP/2 forbids it there.

const PLAIN = /^(?! )[\x20-\x24\x26-\x7e]*(?<! )$/;
const CUT = "...";

/** @param bytesMax of the result: a longer one is cut between two characters, and says so. */
export function encodeStatusMessage(message: string, bytesMax: number): string {
  if (message.length <= bytesMax && PLAIN.test(message)) return message;
  let encoded = "";
  /** What fits together with the mark of a cut. */
  let cut = "";
  const end = message.length - 1;
  let at = 0;
  for (const character of message) {
    const outer = character === " " && (at === 0 || at === end);
    encoded += isPlain(character) && !outer ? character : escape(character);
    at += character.length;
    if (encoded.length > bytesMax) return bytesMax < CUT.length ? "" : `${cut}${CUT}`;
    if (encoded.length + CUT.length <= bytesMax) cut = encoded;
  }
  return encoded;
}

function isPlain(character: string): boolean {
  return character >= " " && character <= "~" && character !== "%";
}

function escape(character: string): string {
  let escaped = "";
  for (const byte of Buffer.from(character)) escaped += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return escaped;
}
