// The refused events of a letter, out of its record batch.

import type { EventInit } from "../../client/index.ts";
import { type DeadLetter, isRefused } from "../../spool/letter.ts";
import { decodeRecords, type Record } from "../../wire/record-batch.ts";
import { messageOf } from "../io.ts";

/** The records that the letter is about, or, in a sentence, why they cannot be read. */
export function refusedRecords(letter: DeadLetter): Record[] | string {
  const { bytes, events } = letter;
  if (bytes.length === 0) return "nothing of the events was readable when they were refused";
  try {
    const records = Array.from(decodeRecords(bytes)).filter((_, index) => isRefused(letter, index));
    return records.length === events ? records : `the record batch holds ${records.length} of the ${events} events`;
  } catch (error) {
    return `the record batch cannot be read: ${messageOf(error)}`;
  }
}

/** As it is published again. A partition that was never known, and that of another topic, is left to the service. */
export function eventOf({ key, value, headers, timestamp }: Record, partition: number | undefined): EventInit {
  return {
    key,
    value,
    headers: headers.map((header) => ({ key: header.key, value: header.value ?? "" })),
    ...(timestamp < 0 ? {} : { timestamp }),
    ...(partition === undefined || partition < 0 ? {} : { partition }),
  };
}

/** About what an event takes in a message, in bytes. */
export function eventBytes({ key, value, headers }: Record): number {
  const length = (bytes: Buffer | null) => bytes?.length ?? 0;
  return headers.reduce(
    (sum, header) => sum + Buffer.byteLength(header.key) + length(header.value) + 16,
    length(key) + length(value) + 32,
  );
}
