// What calls are told that the server ends by itself, before a handler could say anything, or in spite of it.

import { Code, IngestError } from "../../errors.ts";
import type { Status } from "../server.ts";
import { statusOf } from "../status.ts";
import { ACCEPTED_ENCODINGS } from "./encodings.ts";

/** How long a client should wait before it sends what there was no memory for, in milliseconds. */
const RETRY_DELAY_MS = 1_000;

/** How much of what a client has sent is repeated to it, in characters. */
const ECHO_CHARACTERS = 200;

export function unknownMethod(path: string): Status {
  const message = `there is no method ${path.slice(0, ECHO_CHARACTERS)} here; server reflection lists those that there are: grpcurl HOST:PORT list`;
  return { code: Code.UNIMPLEMENTED, message };
}

export function notPost(method: string): Status {
  const message = `gRPC takes POST, not ${method.slice(0, ECHO_CHARACTERS)}`;
  return { code: Code.INTERNAL, message };
}

export function wrongContentType(contentType: string | undefined): Status {
  const given = contentType === undefined ? "is missing" : `is ${contentType.slice(0, ECHO_CHARACTERS)}`;
  return { code: Code.INTERNAL, message: `content-type has to be application/grpc, and ${given}` };
}

export function badTimeout(value: string): Status {
  const message = `grpc-timeout is ${value.slice(0, ECHO_CHARACTERS)}: it has to be at most 8 digits and one of H, M, S, m, u, n`;
  return { code: Code.INTERNAL, message };
}

export function unknownEncoding(encoding: string): Status {
  const message = `grpc-encoding is ${encoding.slice(0, ECHO_CHARACTERS)}, and this server takes ${ACCEPTED_ENCODINGS}`;
  return { code: Code.UNIMPLEMENTED, message };
}

export function badFlag(flag: number): Status {
  return { code: Code.INTERNAL, message: `a message's compressed flag is ${flag}: it has to be 0 or 1` };
}

export const COMPRESSED_WITHOUT_ENCODING: Status = {
  code: Code.INTERNAL,
  message: "a message's compressed flag is set, but grpc-encoding names no compression",
};

export const MALFORMED_GZIP: Status = { code: Code.INTERNAL, message: "a compressed message is not valid gzip" };

export const CUT_MESSAGE: Status = {
  code: Code.INTERNAL,
  message: "the client ended its side of the call inside a message",
};

export const NO_MESSAGE: Status = { code: Code.UNIMPLEMENTED, message: "the method takes one message, and none came" };

export const SECOND_MESSAGE: Status = {
  code: Code.UNIMPLEMENTED,
  message: "the method takes one message, and a second one came",
};

export const DEADLINE_PASSED: Status = {
  code: Code.DEADLINE_EXCEEDED,
  message: "the call's deadline has passed (grpc-timeout)",
};

export const HANDLER_FAILED: Status = {
  code: Code.INTERNAL,
  message: "the server failed at this call; its log says how",
};

/** @param bytes of the message; undefined where all that is known is that it is more than it may be. */
export function messageTooLarge(bytes: number | undefined, bytesMax: number): Status {
  const size = bytes === undefined ? "more, uncompressed" : `${bytes} bytes`;
  const message = `the message has ${size}, and the limit is ${bytesMax} (GRPC_MESSAGE_BYTES_MAX): send smaller batches, or raise it`;
  return { code: Code.RESOURCE_EXHAUSTED, message };
}

export function slowMessage(timeoutMs: number): Status {
  const message = `a message was not complete ${timeoutMs} ms after its first byte (GRPC_MESSAGE_TIMEOUT)`;
  return { code: Code.DEADLINE_EXCEEDED, message };
}

export function noMemory(bytesMax: number): Status {
  return busy(`messages that are not complete or wait take all of the ${bytesMax} bytes there are for them`);
}

export function evicted(bytesMax: number): Status {
  return busy(
    `the memory of this call's unfinished message was needed for others: there are ${bytesMax} bytes for all of them`,
  );
}

function busy(message: string): Status {
  return statusOf(
    new IngestError(Code.RESOURCE_EXHAUSTED, `${message} (GRPC_RECEIVE_BYTES_MAX): try again later, or raise it`, {
      retryable: true,
      retryDelayMs: RETRY_DELAY_MS,
    }),
  );
}
