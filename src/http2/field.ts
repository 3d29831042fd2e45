// Which names and values a header field may have (RFC 9113 section 8.2.1, RFC 9110 section 5.6.2).
//
// Characters are looked up in a table rather than matched by a regular expression: entering one costs as much as a short
// field.

const LOWER_TOKEN = 1;
const TOKEN = 2;
const AUTHORITY = 4;

/** What each character may be part of. */
const KINDS = new Uint8Array(256);
for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
  KINDS[char.charCodeAt(0)] = LOWER_TOKEN | TOKEN;
for (const char of "ABCDEFGHIJKLMNOPQRSTUVWXYZ") KINDS[char.charCodeAt(0)] = TOKEN;
// What is visible, and not where another part of a URI begins.
for (let code = 0x21; code < 0x7f; code++)
  if (!'@/?#\\"<>^`{|}'.includes(String.fromCharCode(code))) KINDS[code]! |= AUTHORITY;

/** Whether it is a token without upper-case letters, as HTTP/2 asks of names. A pseudo-header field's name is none. */
export function isFieldName(text: string): boolean {
  return isMadeOf(text, LOWER_TOKEN);
}

/** Whether it is a token, as methods are. */
export function isToken(text: string): boolean {
  return isMadeOf(text, TOKEN);
}

/** Whether it can be a URI's host and port (RFC 3986 section 3.2), without user information. May be empty. */
export function isAuthority(text: string): boolean {
  return text.length === 0 || isMadeOf(text, AUTHORITY);
}

function isMadeOf(text: string, kind: number): boolean {
  const { length } = text;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff || (KINDS[code]! & kind) === 0) return false;
  }
  return length > 0;
}

const NUL = 0x00;
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;

/** Whether it has no NUL, CR or LF, no white space at its ends, and one byte a character. */
export function isFieldValue(text: string): boolean {
  const { length } = text;
  if (length === 0) return true;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if ((code <= CR && (code === NUL || code === LF || code === CR)) || code > 0xff) return false;
  }
  return !isSpace(text.charCodeAt(0)) && !isSpace(text.charCodeAt(length - 1));
}

function isSpace(code: number): boolean {
  return code === SPACE || code === TAB;
}
