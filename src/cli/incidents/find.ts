// The incident that a command line means.

import { INCIDENTS_PATH } from "../../admin/paths.ts";
import type { Incident } from "../../incidents/incident.ts";
import type { AdminPort } from "../admin-port.ts";
import { CliError } from "../io.ts";

export const LATEST = "latest";

/** The newest first. */
export async function readIncidents(port: AdminPort): Promise<readonly Incident[]> {
  const { incidents } = await port.getJson<{ readonly incidents: readonly Incident[] }>(INCIDENTS_PATH);
  return incidents;
}

/** The mistake in what names an incident; undefined: there is none. */
export function idMistake(ids: readonly string[]): string | undefined {
  if (ids.length === 1 && ids[0] !== "") return undefined;
  return `which incident? Give one id as \`sluice incidents list\` shows it, its beginning, or ${LATEST}`;
}

/** The one whose id it is or begins. Throws a CliError if it is none, or several. */
export async function findIncident(port: AdminPort, given: string): Promise<Incident> {
  const all = await readIncidents(port);
  if (given === LATEST) {
    if (all[0] !== undefined) return all[0];
    throw new CliError("there are no incidents");
  }
  const exact = all.find(({ id }) => id === given);
  if (exact !== undefined) return exact;
  const [first, ...others] = all.filter(({ id }) => id.startsWith(given));
  if (first === undefined)
    throw new CliError(`there is no incident ${given}; \`sluice incidents list\` shows those that are there`);
  if (others.length > 0)
    throw new CliError(
      `${given} begins ${others.length + 1} ids: ${[first, ...others].map(({ id }) => id).join(", ")}`,
    );
  return first;
}
