// The placements of an answer, which are linked, as rows.

import type { Placement } from "../../src/wire/publish-response.ts";

export type PlacementRow = readonly [topic: string, partition: number, firstOffset: number, count: number];

export function placementRows(first: Placement | undefined): PlacementRow[] {
  const rows: PlacementRow[] = [];
  for (let placement = first; placement !== undefined; placement = placement.next) {
    const { topic, partition, firstOffset, count } = placement;
    rows.push([topic, partition, firstOffset, count]);
  }
  return rows;
}

export function linkPlacements(rows: readonly PlacementRow[]): Placement | undefined {
  return rows.reduceRight<Placement | undefined>(
    (next, [topic, partition, firstOffset, count]) => ({ topic, partition, firstOffset, count, next }),
    undefined,
  );
}
