// What the supervisor counts of incidents.

import { INCIDENT_KINDS } from "../incidents/incident.ts";
import { Define } from "../telemetry/catalogue/define.ts";
import { incidentFamilies } from "../telemetry/catalogue/supervisor.ts";

export function createIncidentMetrics() {
  const families = incidentFamilies(new Define());
  for (const kind of INCIDENT_KINDS) families.incidents.with(kind);
  return families;
}

export type IncidentMetrics = ReturnType<typeof createIncidentMetrics>;
