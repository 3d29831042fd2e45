import assert from "node:assert/strict";
import test from "node:test";
import { ledgerMistakes, readLedger } from "../../src/cli/ledger.ts";

const METRICS = `# HELP sluice_events_received_total Events of batches that were admitted.
# TYPE sluice_events_received_total counter
sluice_events_received_total{topic="a",worker="0"} 10
sluice_events_received_total{topic="a",worker="1"} 5
sluice_events_received_total{topic="b \\"x\\"",worker="0"} 1
sluice_events_stored_total{topic="a",durability="persisted",worker="0"} 9
sluice_events_stored_total{topic="a",durability="replicated",worker="1"} 3
sluice_events_failed_total{topic="a",reason="too_large",worker="1"} 2
sluice_events_in_flight{topic="a",worker="0"} 1
sluice_events_in_flight{topic="b \\"x\\"",worker="0"} 1
sluice_events_recovered{topic="a",worker="0"} 6
sluice_events_forwarded_total{topic="a",worker="0"} 10
sluice_events_dead_lettered_total{topic="a",worker="0"} 2
sluice_events_spooled{topic="a",worker="0"} 3
sluice_stage_seconds_bucket{le="+Inf",stage="admit"} 7
`;

test("a ledger is the sum over workers, of one topic or of all", () => {
  const a = {
    received: 15,
    stored: 12,
    failed: 2,
    inFlight: 1,
    persisted: 9,
    recovered: 6,
    forwarded: 10,
    deadLettered: 2,
    spooled: 3,
  };
  assert.deepEqual(readLedger(METRICS, "a"), a);
  assert.deepEqual(readLedger(METRICS), { ...a, received: 16, inFlight: 2 });
  assert.equal(readLedger(METRICS, "none").received, 0);
});

test("a ledger that agrees has no mistakes, and each equation is one", () => {
  const ledger = readLedger(METRICS, "a");
  assert.deepEqual(ledgerMistakes(ledger), []);
  assert.deepEqual(ledgerMistakes({ ...ledger, received: 16, spooled: 2 }), [
    "received 16 is not stored 12 + failed 2 + in flight 1",
    "persisted 9 + recovered 6 is not forwarded 10 + dead-lettered 2 + spooled 2",
  ]);
});
