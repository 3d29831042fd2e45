// The parameters of a URL, read strictly: what is not known here is a mistake, because the answer would be to another question.

/** The client's mistake, for the person who typed the URL; the message names the parameter. */
export class BadParameter extends Error {
  override readonly name = "BadParameter";
}

export type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The parameters of one request. */
export class Parameters {
  readonly #query: Query;

  /** @throws BadParameter if there is one that is not known. */
  constructor(query: Query, known: readonly string[]) {
    for (const name of Object.keys(query))
      if (!known.includes(name)) throw new BadParameter(`${name}: not known here; known are ${known.join(", ")}`);
    this.#query = query;
  }

  has(name: string): boolean {
    return this.#query[name] !== undefined;
  }

  /** Each text of a parameter that may be given more than once. */
  all(name: string): readonly string[] {
    const value = this.#query[name];
    return value === undefined ? [] : typeof value === "string" ? [value] : value;
  }

  /** @throws BadParameter if it is given more than once. */
  text(name: string): string | undefined {
    const all = this.all(name);
    if (all.length > 1) throw new BadParameter(`${name}: given more than once`);
    return all[0];
  }

  /** @throws BadParameter if it is no whole number of that range. */
  integer(name: string, min: number, max: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new BadParameter(`${name}: ${JSON.stringify(text)} is not a whole number from ${min} to ${max}`);
  }

  /** @throws BadParameter if it is none of them. */
  oneOf<const T extends string>(name: string, values: readonly T[]): T | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = values.find((each) => each === text);
    if (value !== undefined) return value;
    throw new BadParameter(`${name}: ${JSON.stringify(text)} is none of ${values.join(", ")}`);
  }

  /** @throws BadParameter if both are given. */
  exclude(one: string, other: string): void {
    if (this.has(one) && this.has(other)) throw new BadParameter(`${one}: not together with ${other}`);
  }
}
