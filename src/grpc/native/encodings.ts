// The encodings of messages (grpc-encoding): identity and gzip.
//
// Every message is compressed on its own and says by a flag whether it is. Answers are compressed in place: the service itself
// asks for it nowhere, since its answers are a few bytes, and so order and the count of unsent bytes need no thought.

import { constants, gzipSync } from "node:zlib";

/** For `grpc-accept-encoding`. */
export const ACCEPTED_ENCODINGS = "identity,gzip";

export function isKnownEncoding(encoding: string): boolean {
  return encoding === "identity" || encoding === "gzip";
}

/** Does the list of `grpc-accept-encoding` have gzip? */
export function acceptsGzip(list: string): boolean {
  return list.split(",").some((encoding) => encoding.trim() === "gzip");
}

export function gzip(message: Uint8Array): Buffer {
  return gzipSync(message, { level: constants.Z_BEST_SPEED });
}
