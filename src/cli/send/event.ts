// An event from a record: the record's bytes are the value, its fields may be the key and the timestamp.

import type { EventInit } from "../../client/index.ts";
import { parseTimestamp, TIMESTAMP_FORMATS } from "./timestamp.ts";

export interface EventFields {
  /** The field that is the key. */
  readonly key?: string;
  /** The field that is the timestamp. */
  readonly timestamp?: string;
}

/** A record that is one. */
export interface InputRecord {
  /** Where it begins, from 1. */
  readonly line: number;
  /** Its bytes, as they are sent. */
  readonly value: Buffer;
  readonly json: unknown;
}

/** The event of a record, or why there is none. */
export function eventOf({ value, json }: InputRecord, fields: EventFields): EventInit | string {
  const event: { -readonly [K in keyof EventInit]: EventInit[K] } = { value };
  if (fields.key !== undefined) {
    const key = fieldOf(json, fields.key);
    if (key === undefined) return `there is no field ${JSON.stringify(fields.key)} for --key`;
    if (key !== null) event.key = typeof key === "string" ? key : JSON.stringify(key);
  }
  if (fields.timestamp !== undefined) {
    const given = fieldOf(json, fields.timestamp);
    if (given === undefined) return `there is no field ${JSON.stringify(fields.timestamp)} for --timestamp`;
    if (given !== null) {
      const timestamp = parseTimestamp(given);
      if (timestamp === undefined)
        return `${JSON.stringify(fields.timestamp)} is ${shown(given)}, which is no timestamp; give ${TIMESTAMP_FORMATS}`;
      event.timestamp = timestamp;
    }
  }
  return event;
}

/** The field with this name, or the one at the end of a path with dots. */
function fieldOf(json: unknown, name: string): unknown {
  if (typeof json !== "object" || json === null) return undefined;
  if (Object.hasOwn(json, name)) return (json as Record<string, unknown>)[name];
  const dot = name.indexOf(".");
  if (dot === -1 || !Object.hasOwn(json, name.slice(0, dot))) return undefined;
  return fieldOf((json as Record<string, unknown>)[name.slice(0, dot)], name.slice(dot + 1));
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
