import assert from "node:assert/strict";
import test from "node:test";
import type { LiveSnapshot } from "../../../src/admin/live/model.ts";
import { workerTable } from "../../../src/admin/live/view/tables.ts";
import { snapshotOf } from "../no-live.ts";

/** A worker with twice its share of so many events a second. */
function twiceItsShare(eventsPerSecond: number): LiveSnapshot {
  const snapshot = snapshotOf([1000], 2);
  const { history } = snapshot;
  return {
    ...snapshot,
    history: { ...history, service: { ...history.service, eventsPerSecond: [eventsPerSecond] } },
  };
}

test("a worker with twice its share has it marked, unless there is so little that it is chance", () => {
  assert.match(workerTable(twiceItsShare(500)).toString(), /class="load uneven"/);
  const quiet = workerTable(twiceItsShare(1)).toString();
  assert.match(quiet, /class="load"/);
  assert.doesNotMatch(quiet, /uneven/);
});
