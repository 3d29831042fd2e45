// What the supervisor counts of incidents.

import { INCIDENT_KINDS } from "../incidents/incident.ts";
import { Counter, Family, Gauge, type MetricDefinition } from "../telemetry/instruments.ts";

const own = (type: "counter" | "gauge", name: string, help: string, labels: readonly string[]): MetricDefinition => ({
  name,
  help,
  type,
  labels,
  perWorker: false,
});

export function createIncidentMetrics() {
  const families = {
    incidents: new Family(
      own("counter", "sluice_incidents_total", "Incidents whose recording began, by kind.", ["kind"]),
      () => new Counter(),
    ),
    incidentBytes: new Family(
      own("gauge", "sluice_incident_bytes", "Bytes of the incidents that are kept (INCIDENTS_BYTES_MAX).", []),
      () => new Gauge(),
    ),
  };
  for (const kind of INCIDENT_KINDS) families.incidents.with(kind);
  return families;
}

export type IncidentMetrics = ReturnType<typeof createIncidentMetrics>;
