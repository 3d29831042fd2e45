// What a comparison found in one topic, in events, and what of that is not allowed.

export interface TopicResult {
  readonly topic: string;
  acknowledged: number;
  /** Records that are there. */
  read: number;
  missing: number;
  /** Acknowledged, and deleted with the topic. */
  gone: number;
  /** Not acknowledged, and there. */
  unacknowledged: number;
  retried: number;
  replayed: number;
  recreated: number;
  possible: number;
  duplicated: number;
  reordered: number;
  moved: number;
  misplaced: number;
  alien: number;
  /** The first few of what is not allowed, for people. */
  readonly examples: string[];
}

export const EXAMPLES_MAX = 10;
const FORBIDDEN = ["missing", "duplicated", "replayed", "reordered", "misplaced", "alien"] as const;

export function emptyResult(topic: string): TopicResult {
  return {
    topic,
    acknowledged: 0,
    read: 0,
    missing: 0,
    gone: 0,
    unacknowledged: 0,
    retried: 0,
    replayed: 0,
    recreated: 0,
    possible: 0,
    duplicated: 0,
    reordered: 0,
    moved: 0,
    misplaced: 0,
    alien: 0,
    examples: [],
  };
}

/** What of the comparison is not allowed. */
export function judge(topics: readonly TopicResult[]): string[] {
  return topics.flatMap(({ topic, examples, ...counts }) => {
    const wrong = FORBIDDEN.filter((kind) => counts[kind] > 0).map((kind) => `${counts[kind]} ${kind}`);
    return wrong.length === 0 ? [] : [`${topic}: ${wrong.join(", ")}`, ...examples.map((each) => `${topic}: ${each}`)];
  });
}
