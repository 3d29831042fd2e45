// The last minutes, put together from what the service tells: all of it at first, then a second at a time.

import {
  BROKER_SERIES,
  type LiveHistory,
  PROCESS_SERIES,
  SERVICE_SERIES,
  type Values,
} from "../../admin/live/model.ts";

type Table<K extends string> = Readonly<Record<string, Readonly<Record<K, Values>>>>;

/**
 * What is known with what is new: seconds that were told before are not told twice, and only the last ones are kept.
 * What is new of a broker or a process is `null` for the time before, and so is what is gone for the time after.
 */
export function appendHistory(known: LiveHistory, next: LiveHistory, secondsMax: number): LiveHistory {
  const lastMs = known.t.at(-1) ?? -Infinity;
  // The service's clock was set back: what is known is of another time.
  if ((next.t.at(-1) ?? Infinity) < lastMs) return next;
  const from = next.t.findIndex((ms) => ms > lastMs);
  const skip = from === -1 ? next.t.length : from;
  const t = [...known.t, ...next.t.slice(skip)].slice(-secondsMax);
  const blank = (length: number): Values => Array.from({ length }, () => null);
  const join = (before: Values = blank(known.t.length), after: Values = blank(next.t.length)): Values =>
    [...before, ...after.slice(skip)].slice(-secondsMax);
  const all = <K extends string>(keys: readonly K[], before: Table<K>, after: Table<K>): Table<K> => {
    const names = new Set([...Object.keys(before), ...Object.keys(after)]);
    const joined = Array.from(names, (name) => [name, each(keys, before[name], after[name])] as const);
    return Object.fromEntries(joined.filter(([, series]) => keys.some((key) => series[key].some((v) => v !== null))));
  };
  const each = <K extends string>(
    keys: readonly K[],
    before: Readonly<Record<K, Values>> | undefined,
    after: Readonly<Record<K, Values>> | undefined,
  ): Record<K, Values> =>
    Object.fromEntries(keys.map((key) => [key, join(before?.[key], after?.[key])])) as Record<K, Values>;
  return {
    t,
    service: each(SERVICE_SERIES, known.service, next.service),
    brokers: all(BROKER_SERIES, known.brokers, next.brokers),
    processes: all(PROCESS_SERIES, known.processes, next.processes),
  };
}
