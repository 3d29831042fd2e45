// Why a gRPC server cannot listen, and what to do about it.

import { Code, IngestError } from "../errors.ts";

const REMEDIES: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is taken: stop whoever has it, or set GRPC_LISTEN to another",
  EACCES: "this user may not listen on it: set GRPC_LISTEN to a port from 1024 on",
  EADDRNOTAVAIL: "this machine has no such address: set GRPC_LISTEN to one that it has",
};

/** @param thrown says the system's code somewhere in its message. */
export function bindError(host: string, port: number, thrown: unknown): IngestError {
  const { message } = thrown instanceof Error ? thrown : new Error(String(thrown));
  const remedy = Object.entries(REMEDIES).find(([code]) => message.includes(code))?.[1] ?? message;
  const bracketed = host.includes(":") ? `[${host}]` : host;
  return new IngestError(Code.FAILED_PRECONDITION, `cannot listen on ${bracketed}:${port}: ${remedy}`, {
    cause: thrown,
  });
}
