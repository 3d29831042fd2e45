// How long triggers are silent after they have fired, by kind and process.
//
// While the trouble stays, or comes back within the shortest silence, each silence is twice as long as the one before: what
// everybody knows shall not put the bundles of other incidents out.

import type { TriggerKind, TriggerSetting } from "../config/triggers.ts";

/** The most that a silence grows to. */
const SILENCE_MAX_MS = 24 * 3_600_000;

interface Silence {
  untilMs: number;
  /** How long the next one is. */
  nextMs: number;
  /** When it would have fired, or did, the last time. */
  neededMs: number;
}

export class Silences {
  readonly #silences = new Map<string, Silence>();

  /** Whether one of this kind has fired lately; if not, it does now. @param nowMs monotonic. */
  isSilent(kind: TriggerKind, worker: string, nowMs: number, { coolDownMs }: TriggerSetting): boolean {
    const key = `${kind} ${worker}`;
    let silence = this.#silences.get(key);
    if (silence === undefined) {
      silence = { untilMs: -Infinity, nextMs: coolDownMs, neededMs: nowMs };
      this.#silences.set(key, silence);
    }
    // Whatever was good for as long as the shortest silence is over.
    if (nowMs - silence.neededMs >= coolDownMs) silence.nextMs = coolDownMs;
    silence.neededMs = nowMs;
    if (nowMs < silence.untilMs) return true;
    silence.untilMs = nowMs + silence.nextMs;
    silence.nextMs = Math.max(coolDownMs, Math.min(2 * silence.nextMs, SILENCE_MAX_MS));
    return false;
  }
}
