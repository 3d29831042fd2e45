import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Lane, type LaneEntry } from "../../src/spool/lane.ts";
import { SegmentState } from "../../src/spool/segment-state.ts";

test("a lane is a queue whose entries are done in any order", () => {
  const action = fc.oneof(
    fc.record({ type: fc.constant("push" as const), count: fc.nat(5000) }),
    fc.record({ type: fc.constant("take" as const), count: fc.nat(50) }),
    fc.record({ type: fc.constant("done" as const), count: fc.nat(2000) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 30 }), (actions) => {
      const segment = new SegmentState("/dir", 1, 1, 0);
      const lane = new Lane("clicks", 0);
      const waiting: LaneEntry[] = [];
      const taken = new Map<number, LaneEntry>();
      let sequence = 1;
      for (const { type, count } of actions) {
        for (let i = 0; i < count % (type === "push" ? 600 : 500); i++) {
          if (type === "push") {
            const entry = {
              order: sequence * 2,
              sequence,
              persistedAtMs: 1e12 + sequence,
              segment,
              position: sequence * 7,
              bytes: (sequence * 31) % 999,
              count: (sequence % 9) + 1,
            };
            sequence++;
            lane.push(entry);
            waiting.push(entry);
          } else if (type === "take") {
            assert.deepEqual(lane.peek(), waiting[0]);
            const entry = waiting.shift();
            if (entry !== undefined) taken.set(lane.take(), entry);
          } else {
            const keys = [...taken.keys()];
            const index = keys[(i * 7919 + count) % Math.max(1, keys.length)];
            if (index === undefined) break;
            taken.delete(index);
            lane.setDone(index);
          }
        }
        const open = [...taken.values(), ...waiting];
        assert.equal(lane.waiting, waiting.length);
        assert.equal(lane.backlog, open.length);
        assert.equal(lane.oldestOrder, Math.min(Infinity, ...open.map(({ order }) => order)));
        assert.equal(lane.oldestPersistedAtMs, Math.min(Infinity, ...open.map(({ persistedAtMs }) => persistedAtMs)));
        assert.equal(lane.nextOrder, waiting[0]?.order ?? Infinity);
        assert.equal([...lane.entries()].length, waiting.length);
      }
    }),
    { numRuns: 60 },
  );
});
