// Which fault comes when: rounds of all faults, each in an order that the seed gives, until the time is over.
//
// The first round is always completed, because a run that left some faults out would look like one that met them all. Each
// fault begins in a calm world, with every replica in sync: two faults at once are a fault of their own, with a name.

import type { Fault } from "./fault.ts";
import type { World } from "./world.ts";

export interface FaultRun {
  readonly name: string;
  readonly atMs: number;
  /** From its begin until the world was calm again. */
  readonly seconds: number;
  readonly seen: string;
}

/** The load between two faults, as long as a factor of 1 holds. */
const CALM_MS = 5_000;

export async function runSchedule(
  world: World,
  faults: readonly Fault[],
  { durationMs, log }: { readonly durationMs: number; readonly log: (line: string) => void },
): Promise<FaultRun[]> {
  const endMs = performance.now() + durationMs;
  const runs: FaultRun[] = [];
  await world.calm();
  await world.hold(CALM_MS);
  for (let round = 1; round === 1 || performance.now() < endMs; round++) {
    for (const fault of shuffled(faults, world)) {
      if (round > 1 && performance.now() >= endMs) break;
      runs.push(await runFault(world, fault, log));
      await world.hold(CALM_MS);
    }
    if (faults.length === 0) await world.hold(durationMs);
  }
  return runs;
}

async function runFault(world: World, fault: Fault, log: (line: string) => void): Promise<FaultRun> {
  const atMs = Date.now();
  log(`${fault.name}: ${fault.about}`);
  let seen = "";
  try {
    seen = await fault.run(world);
  } finally {
    // A run that was interrupted takes its world down as it is.
    if (!world.signal.aborted) await fault.heal(world);
  }
  await world.calm();
  const seconds = (Date.now() - atMs) / 1000;
  log(`${fault.name}: healed after ${seconds.toFixed(1)} s; ${seen}`);
  return { name: fault.name, atMs, seconds, seen };
}

function shuffled<T>(items: readonly T[], world: World): T[] {
  const rest = [...items];
  const order: T[] = [];
  while (rest.length > 0) {
    const next = world.pick(rest);
    rest.splice(rest.indexOf(next), 1);
    order.push(next);
  }
  return order;
}
