// Seeds that found something, with what it was. They are run in every full test run.
//
// A seed means the same world only as long as plan.ts and troubles.ts ask for the same numbers in the same order; after a
// change there, an old one is a seed like any other.

export const KNOWN_SEEDS: readonly (readonly [seed: number, found: string])[] = [
  [18, "the problem of a topic that was missing stayed in health() after live traffic had found it"],
  [230, "a batch whose answer was lost, then denied, was stored twice, and nothing counted it"],
  [4051, "a full spool whose done segments could not be deleted once stayed full for ever"],
  [6058, "the problem of a broker that nobody needs any more stayed in health()"],
];
