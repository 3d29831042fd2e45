// The real service as a process on one of the servers, and what judges need to publish to it.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { readLedger } from "../../../src/cli/ledger.ts";
import {
  type PublishResponse,
  PublishResponseSchema,
  PublishRequestSchema,
} from "../../../src/gen/sluice/v1/ingest_pb.js";
import { eventually, logLines, type RunningService, startService } from "../../support/service.ts";

export const TOPIC = "judged";
export const PUBLISH_PATH = "/sluice.v1.EventIngest/Publish";

/** @param server as in GRPC_SERVER. */
export async function startJudged(server: string, env: Readonly<Record<string, string>> = {}): Promise<RunningService> {
  const service = await startService({ env: { GRPC_SERVER: server, ...env } });
  const listens = logLines(service.stderr()).find(({ msg }) => msg === "gRPC listens");
  if (listens?.["server"] !== server) {
    await service.stop();
    throw new Error(`${server} is to be judged, and ${String(listens?.["server"])} listens`);
  }
  return service;
}

/** Resolves when the ledger has so many events as stored, all of them in the spool; the ledger's sums hold then. */
export async function storedExactly(service: RunningService, events: number): Promise<void> {
  const ledger = await eventually(`${events} events are stored`, async () => {
    const now = readLedger(await (await fetch(`${service.adminUrl}/metrics`)).text(), TOPIC);
    return now.spooled >= events ? now : undefined;
  });
  const { received, stored, spooled } = ledger;
  if (received !== events || stored !== events || spooled !== events)
    throw new Error(`not ${events} events: ${JSON.stringify(ledger)}`);
}

/** A PublishRequest of so many events as one message of gRPC's framing: a flag, a length of 4 bytes, the message. */
export function framedRequest(events: number, how: { readonly gzip?: boolean } = {}): Buffer {
  const request = create(PublishRequestSchema, {
    sequence: 7n,
    topic: TOPIC,
    events: Array.from({ length: events }, (_, i) => ({ value: Buffer.from(`value ${i} `.repeat(20)) })),
  });
  const plain = toBinary(PublishRequestSchema, request);
  const bytes = how.gzip === true ? gzipSync(plain) : plain;
  const head = Buffer.alloc(5);
  head[0] = how.gzip === true ? 1 : 0;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** The one message of an answer's body. @throws if it is not exactly one, uncompressed. */
export function publishResponse(body: Buffer): PublishResponse {
  if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5)
    throw new Error(`not one message: ${body.subarray(0, 64).toString("hex")}`);
  return fromBinary(PublishResponseSchema, body.subarray(5));
}

/** Writes a framed request for a tool that sends files. */
export async function requestFile(
  folder: string,
  events: number,
  how: { readonly gzip?: boolean } = {},
): Promise<string> {
  const path = join(folder, "request.bin");
  await writeFile(path, framedRequest(events, how));
  return path;
}
