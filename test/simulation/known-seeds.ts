// Seeds that found something, with what it was. They are run in every full test run.
//
// A seed means the same world only as long as plan.ts and troubles.ts ask for the same numbers in the same order; after a
// change there, an old one is a seed like any other.

export const KNOWN_SEEDS: readonly (readonly [seed: number, found: string])[] = [
  [63, "the problem of a broker that nobody needs any more stayed in health()"],
  [162, "the problem of a topic that was missing stayed in health() after live traffic had found it"],
  [869, "a full spool whose done segments could not be deleted once stayed full for ever"],
  [957, "a batch whose answer was lost, then denied, was stored twice, and nothing counted it"],
  [992, "a batch without a partition was overtaken by the next one when a part of it had to be sent again"],
  [1434, "a lookup that failed after live traffic had found the topic stayed a problem in health()"],
  [3270, "a spooled batch that was read while an earlier one failed was sent in front of it"],
  [20163, "the leftover of a segment that could not be written made a start tell of a loss that was none"],
  [41508, "a spooled batch that was denied was overtaken by one that had been in flight behind it"],
  [21700, "the spool's directories, made by a process that died before syncing them, were never synced"],
  [500_706, "an epoch that was in use came back, and its sequences were used again for other records: loss"],
  [503_015, "after a crash a bump led into an epoch of the dead process, whose sequences were bound: loss"],
];
