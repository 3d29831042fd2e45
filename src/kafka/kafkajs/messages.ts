// The records of a sealed batch as kafkajs wants them.
//
// kafkajs takes headers as an object: headers of one name stay together, in the place of the first of them, and a name that is
// a whole number goes before all others. A null value of a header it cannot write at all.

import type { IHeaders, Message } from "kafkajs";
import { Code, IngestError, Reason } from "../../errors.ts";
import { decodeRecords, type Record } from "../../wire/record-batch.ts";

/** @throws IngestError REJECTED if there is a record that kafkajs cannot write. */
export function messagesOf(batch: Buffer, partition: number): Message[] {
  return Array.from(decodeRecords(batch), ({ key, value, headers, timestamp }) => ({
    partition,
    key,
    value,
    headers: headersOf(headers),
    timestamp: String(timestamp),
  }));
}

function headersOf(headers: Record["headers"]): IHeaders {
  // Without a prototype, so that a header may be called __proto__.
  const byName = Object.create(null) as { [name: string]: Buffer[] };
  for (const { key, value } of headers) {
    if (value === null) {
      throw new IngestError(Code.INVALID_ARGUMENT, `kafkajs cannot write a header without a value: ${key}`, {
        reason: Reason.REJECTED,
        field: "headers",
      });
    }
    (byName[key] ??= []).push(value);
  }
  return byName;
}
