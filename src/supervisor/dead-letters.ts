// Which worker drops which dead letters: the one that holds their log. Logs of workers that are gone are held by worker
// j modulo workers, as spoolDirectories has it.

import type { LetterDrop, LettersDropped } from "../admin/state.ts";
import type { WorkerSlot } from "./slot.ts";

type Slot = Pick<WorkerSlot, "name" | "dropLetters">;

export async function dropFromSlots(slots: readonly Slot[], drop: LetterDrop): Promise<LettersDropped> {
  const slotOf = (worker: string) => slots[Number(worker) % slots.length];
  const parts = slots
    .map((slot) => ({
      slot,
      letters: drop.letters.filter((id) => slotOf(id.split("-")[0]!) === slot),
      logs: Object.fromEntries(Object.entries(drop.logs).filter(([worker]) => slotOf(worker) === slot)),
    }))
    .filter(({ letters, logs }) => letters.length > 0 || Object.keys(logs).length > 0);
  const outcomes = await Promise.all(
    parts.map(async ({ slot, letters, logs }): Promise<LettersDropped> => {
      try {
        return { ...(await slot.dropLetters({ ...drop, letters, logs })), problems: [] };
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        return { dropped: [], events: 0, missing: [], problems: [`worker ${slot.name}: ${why}`] };
      }
    }),
  );
  const known = new Set(parts.flatMap(({ letters }) => letters));
  const strange = drop.letters.filter((id) => !known.has(id));
  return {
    dropped: outcomes.flatMap(({ dropped }) => dropped),
    events: outcomes.reduce((sum, { events }) => sum + events, 0),
    missing: outcomes.flatMap(({ missing }) => missing),
    problems: [
      ...outcomes.flatMap(({ problems }) => problems),
      ...strange.map((id) => `${JSON.stringify(id)} is not the id of a dead letter`),
    ],
  };
}
