import assert from "node:assert/strict";
import test from "node:test";
import type { Bottleneck, LiveSnapshot } from "../../../src/admin/live/model.ts";
import { bottleneckBox } from "../../../src/admin/live/view/status.ts";

const NOTHING: Bottleneck = {
  stage: "none",
  sentence: "nothing is held up: nothing is coming in",
  broker: null,
  worker: null,
  notes: [],
};

/** What the box looks at. */
function snapshot(ready: boolean, bottleneck: Bottleneck): LiveSnapshot {
  return { service: { ready }, bottleneck } as unknown as LiveSnapshot;
}

test("a service that takes events says where they are held up, or that nothing is", () => {
  const none = bottleneckBox(snapshot(true, NOTHING)).toString();
  assert.match(none, /stage-none/);
  assert.match(none, /Nothing is held up.*nothing is coming in/s);
});

test("a service that is not ready does not say that nothing is held up", () => {
  const box = bottleneckBox(snapshot(false, NOTHING)).toString();
  assert.doesNotMatch(box, /Nothing is held up|stage-none/);
  assert.match(box, /Not ready/);
});

test("a service that is not ready still says where events are held up", () => {
  const held = { ...NOTHING, stage: "produce", sentence: "produce: no broker is connected" } as const;
  assert.match(bottleneckBox(snapshot(false, held)).toString(), /Held up: produce/);
});
