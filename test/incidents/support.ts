// What the tests of incidents share: sources that answer with what a test can see again, and a state without incidents.

import type { IncidentState } from "../../src/admin/state.ts";
import type { IncidentSources } from "../../src/incidents/sources.ts";

export const noIncidents: IncidentState = {
  incidents: () => [],
  incident: () => undefined,
  incidentFile: () => undefined,
  incidentArchive: async () => undefined,
  forceIncident: async () => undefined,
};

/** Each answer names what it was asked. */
export function fakeSources(changes: Partial<IncidentSources> = {}): IncidentSources {
  return {
    cpuProfile: async (fromMs, toMs) => Buffer.from(`cpu ${fromMs} ${toMs}`),
    heapProfile: async (worker) => Buffer.from(`heap ${worker}`),
    pastHeapProfile: async (worker, toMs) => Buffer.from(`heap ${worker} ${toMs}`),
    inspect: async (question) => ({ "0": question }),
    history: (fromMs, toMs) => ({ fromMs, toMs }),
    logLines: () => ['{"msg":"a line"}'],
    ledger: () => ({ received: 5 }),
    versions: () => ({ sluice: "1" }),
    config: () => ({ kafkaSaslPassword: "[redacted]" }),
    ...changes,
  };
}
