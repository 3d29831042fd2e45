// What people call a dead letter by: the number of the worker whose log it lies in, and its own number there.
//
//   id := worker "-" sequence        0-17
//
// Neither changes while the letter exists: a log keeps its directory when its worker is gone, and gives no number twice.

export interface LetterId {
  readonly worker: number;
  readonly sequence: number;
}

export function formatLetterId({ worker, sequence }: LetterId): string {
  return `${worker}-${sequence}`;
}

/** Undefined if the text is no id. */
export function parseLetterId(text: string): LetterId | undefined {
  const match = /^(0|[1-9]\d{0,8})-([1-9]\d{0,14})$/.exec(text);
  return match === null ? undefined : { worker: Number(match[1]), sequence: Number(match[2]) };
}
