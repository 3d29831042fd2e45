import assert from "node:assert/strict";
import test from "node:test";
import { CommitQueue } from "../../src/spool/commit-queue.ts";
import type { SegmentWriter } from "../../src/spool/segment-writer.ts";
import { ManualClock, settle } from "./support/manual-clock.ts";

test("what is scheduled while the queue prepares for the last time is not forgotten", async () => {
  const waiting: (() => void)[] = [];
  const queue = new CommitQueue(
    { clock: new ManualClock(), writer: {} as SegmentWriter },
    { dir: "/", spoolId: Buffer.alloc(16), nextSequence: 1 },
    {
      preparing: () => new Promise((resolve) => waiting.push(resolve)),
      written: () => {},
      abandoned: () => {},
      account: () => {},
    },
  );
  queue.schedule();
  await settle();
  assert.equal(waiting.length, 1);
  queue.schedule();
  waiting[0]!();
  await settle();
  assert.equal(waiting.length, 2, "it prepares again");
  waiting[1]!();
  await queue.idle();
  await settle();
  assert.equal(waiting.length, 2);
});
