// Adds up pprof profiles, over time and over processes, as exactly as `go tool pprof` does.
//
// pprof-format reads and writes profiles but does not merge them. Each input has its own numbers for strings, functions and
// locations; here they get common ones, and samples with the same stack and the same labels become one. Mappings and
// addresses are left out: V8's profiles have none. Like Go's merge it drops samples whose values are all zero, adds the
// durations up, and takes the earliest time.

import {
  Profile,
  StringTable,
  type FunctionInput,
  type LabelInput,
  type LocationInput,
  type SampleInput,
  type ValueType,
  type ValueTypeInput,
} from "pprof-format";

type Numeric = number | bigint;

export interface MergeInput {
  readonly profile: Profile;
  /** Labels that each of its samples gets, for example the worker it comes from. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** Numbers distinct things from 1 on, in the order in which they are first seen. */
class Numbering<T> {
  readonly items: T[] = [];
  readonly #numbers = new Map<string, number>();

  of(key: string, make: (id: number) => T): number {
    let id = this.#numbers.get(key);
    if (id === undefined) {
      id = this.items.length + 1;
      this.#numbers.set(key, id);
      this.items.push(make(id));
    }
    return id;
  }
}

/** Adds up profiles one by one; `mergeProfiles` does it in one go. */
export class Merger {
  readonly #strings = new StringTable();
  readonly #functions = new Numbering<FunctionInput>();
  readonly #locations = new Numbering<LocationInput>();
  readonly #samples = new Numbering<SampleInput & { value: number[] }>();
  readonly #comments = new Set<number>();
  #sampleType: ValueTypeInput[] | undefined;
  #periodType: ValueTypeInput | undefined;
  #defaultSampleType = 0;
  #period = 0;
  #timeNanos = Infinity;
  #durationNanos = 0;

  /** @throws if its sample types are not those of the ones before. */
  add({ profile, labels = {} }: MergeInput): void {
    const { strings } = profile.stringTable;
    const text = (index: Numeric) => strings[Number(index)] ?? "";
    const string = (index: Numeric) => this.#strings.dedup(text(index));
    const valueType = ({ type, unit }: ValueType) => ({ type: string(type), unit: string(unit) });

    const sampleType = profile.sampleType.map(valueType);
    this.#sampleType ??= sampleType;
    if (JSON.stringify(sampleType) !== JSON.stringify(this.#sampleType))
      throw new Error(
        `profiles of different sample types cannot be merged: ${this.#typeNames(this.#sampleType)} and ${this.#typeNames(sampleType)}`,
      );
    if (profile.periodType !== undefined) this.#periodType ??= valueType(profile.periodType);
    this.#defaultSampleType ||= string(profile.defaultSampleType);
    this.#period = Math.max(this.#period, Number(profile.period));
    this.#timeNanos = Math.min(this.#timeNanos, Number(profile.timeNanos));
    this.#durationNanos += Number(profile.durationNanos);
    for (const comment of profile.comment) this.#comments.add(string(comment));

    const functionIds = new Map(
      profile.function.map((f) => {
        const parts = { name: string(f.name), systemName: string(f.systemName), filename: string(f.filename) };
        const key = [parts.name, parts.systemName, parts.filename, f.startLine].join();
        return [Number(f.id), this.#functions.of(key, (id) => ({ id, ...parts, startLine: f.startLine }))];
      }),
    );
    const locationIds = new Map(
      profile.location.map((location) => {
        const line = location.line.map(({ functionId, line, column }) => ({
          functionId: functionIds.get(Number(functionId)) ?? 0,
          line,
          column,
        }));
        const key = line.map((part) => Object.values(part).join(":")).join();
        return [Number(location.id), this.#locations.of(key, (id) => ({ id, line }))];
      }),
    );
    const added = Object.entries(labels).map(([key, str]) => this.#label({ key, str }));
    for (const sample of profile.sample) {
      const value = sample.value.map(Number);
      if (value.every((each) => each === 0)) continue;
      const locationId = sample.locationId.map((id) => locationIds.get(Number(id)) ?? 0);
      const label: LabelInput[] = sample.label
        .map(({ key, str, num, numUnit }) => ({ key: string(key), str: string(str), num, numUnit: string(numUnit) }))
        .concat(added);
      this.#addSample(locationId, label, value);
    }
  }

  /** The sum so far. Nothing may be added after it. */
  result(): Profile {
    return new Profile({
      sampleType: this.#sampleType ?? [],
      sample: this.#samples.items,
      location: this.#locations.items,
      function: this.#functions.items,
      stringTable: this.#strings,
      timeNanos: this.#timeNanos === Infinity ? 0 : this.#timeNanos,
      durationNanos: this.#durationNanos,
      ...(this.#periodType === undefined ? {} : { periodType: this.#periodType }),
      period: this.#period,
      comment: [...this.#comments],
      defaultSampleType: this.#defaultSampleType,
    });
  }

  #addSample(locationId: number[], label: LabelInput[], value: number[]): void {
    const labelKey = label.map((part) => Object.values(part).join(":")).sort();
    let isNew = false;
    const id = this.#samples.of(`${locationId.join()}|${labelKey.join()}`, () => {
      isNew = true;
      return { locationId, label, value };
    });
    if (isNew) return;
    const sum = this.#samples.items[id - 1]!.value;
    for (const [i, each] of value.entries()) sum[i]! += each;
  }

  #label({ key, str }: { readonly key: string; readonly str: string }) {
    return { key: this.#strings.dedup(key), str: this.#strings.dedup(str), num: 0 as Numeric, numUnit: 0 };
  }

  #typeNames(types: readonly ValueTypeInput[]): string {
    return types.map(({ type }) => this.#strings.strings[Number(type)]).join("/");
  }
}

/**
 * The sum of the profiles.
 * @throws if their sample types differ.
 */
export function mergeProfiles(inputs: Iterable<MergeInput>): Profile {
  const merger = new Merger();
  for (const input of inputs) merger.add(input);
  return merger.result();
}
