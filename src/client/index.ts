// The published SDK: what `import ... from "sluice"` gives.

export type { BatchInit, EventInit, HeaderInit } from "./batch.ts";
export { connect, type ConnectOptions, SluiceClient, type UnaryOptions } from "./client.ts";
export { type FieldViolation, type Outcome, type RetryOptions, SluiceError } from "./errors.ts";
export { type PublishOptions, PublishStream, type StreamOptions } from "./stream.ts";
export type { TlsOptions } from "./tls.ts";
export {
  Durability,
  type EventFailure,
  type Placement,
  type PublishResponse,
  Reason,
} from "../gen/sluice/v1/ingest_pb.js";
