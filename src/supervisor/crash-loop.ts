// When to start a worker again after it died, and when to stop trying.
//
// A worker that lives a minute is sound: what killed it was rare, and the count begins anew. One that dies again and again
// waits twice as long each time. Five deaths within 30 s, none after a sound minute, mean that starting it once more only
// hides the fault, so the whole ends and whoever runs it (an init system, Kubernetes) decides.

const SOUND_MS = 60_000;
const WINDOW_MS = 30_000;
const DEATHS_MAX = 5;
const DELAY_MIN_MS = 100;
const DELAY_MAX_MS = 5_000;

export type Verdict = { readonly giveUp: false; readonly delayMs: number } | { readonly giveUp: true };

/** One worker slot's deaths. */
export class CrashLoop {
  /** The limits in words, for the message. */
  static readonly limits = `${DEATHS_MAX} times within ${WINDOW_MS / 1000} s`;

  #deaths = 0;
  #recentMs: number[] = [];

  /**
   * @param nowMs when it died, on any clock that never goes back.
   * @param readyForMs how long it had been ready; 0 if it never was.
   */
  died(nowMs: number, readyForMs: number): Verdict {
    if (readyForMs >= SOUND_MS) {
      this.#deaths = 0;
      this.#recentMs = [];
    }
    this.#deaths += 1;
    this.#recentMs = [...this.#recentMs.filter((deathMs) => deathMs > nowMs - WINDOW_MS), nowMs];
    if (this.#recentMs.length >= DEATHS_MAX) return { giveUp: true };
    return { giveUp: false, delayMs: Math.min(DELAY_MIN_MS * 2 ** (this.#deaths - 1), DELAY_MAX_MS) };
  }
}
