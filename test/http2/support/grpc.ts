// gRPC over the frames of the tests: a call's header block, its messages, and what came back.

import { type Field, literals } from "./hpack.ts";

/** The fields that every gRPC client sends. */
export function callFields(path: string, extra: readonly Field[] = []): Field[] {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "localhost"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
    ...extra,
  ];
}

export const callBlock = (path: string, extra: readonly Field[] = []): Buffer => literals(callFields(path, extra));

/** Length-Prefixed-Message → Compressed-Flag Message-Length Message */
export function message(bytes: Uint8Array | string, compressed = false, announced?: number): Buffer {
  const content = Buffer.from(bytes as Uint8Array);
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed ? 1 : 0;
  prefix.writeUInt32BE(announced ?? content.length, 1);
  return Buffer.concat([prefix, content]);
}

/** Takes an answer's body apart. @throws Error where it is not made of whole messages. */
export function messagesOf(body: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  let at = 0;
  while (at < body.length) {
    const end = body.length - at < 5 ? Infinity : at + 5 + body.readUInt32BE(at + 1);
    if (end > body.length) throw new Error(`an answer's body ends inside a message: ${body.toString("hex")}`);
    messages.push(body.subarray(at + 5, end));
    at = end;
  }
  return messages;
}
