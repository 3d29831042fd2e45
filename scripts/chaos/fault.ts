// A fault: what it does to the world, what it wants to have seen there, and how the world is put right again.

import type { World } from "./world.ts";

export interface Fault {
  readonly name: string;
  /** For people: what happens. */
  readonly about: string;
  /** Resolves when the fault has lasted long enough, with what it met, for people. */
  run(world: World): Promise<string>;
  /** Called in any case, also when `run` was cut short; has to be harmless where nothing is broken. */
  heal(world: World): Promise<void>;
}
