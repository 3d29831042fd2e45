// Incidents on the axis of time, above the charts: each is a link to its page.

import { processName } from "../../pages/process-name.ts";
import type { LiveIncident } from "../model.ts";

/** An incident of the second that is not over yet. */
const SOON_MS = 2_000;

export class Strip {
  readonly #root: HTMLElement;
  readonly #links = new Map<string, HTMLAnchorElement>();
  readonly #ends = [document.createElement("span"), document.createElement("span")] as const;

  constructor(root: HTMLElement) {
    this.#root = root;
    root.append(...this.#ends);
  }

  /** @param from where the time that is shown begins, in seconds since the epoch. */
  update(incidents: readonly LiveIncident[], from: number, to: number): void {
    const shown = incidents.filter(({ atMs }) => atMs >= from * 1000 && atMs <= to * 1000 + SOON_MS);
    for (const [id, link] of this.#links) {
      if (shown.some((incident) => incident.id === id)) continue;
      link.remove();
      this.#links.delete(id);
    }
    for (const { id, title, atMs, worker, why } of shown) {
      let link = this.#links.get(id);
      if (link === undefined) {
        link = document.createElement("a");
        link.href = `/debug/incidents/${id}`;
        const when = new Date(atMs).toLocaleTimeString("en-GB");
        link.setAttribute("aria-label", `${title}, ${when}`);
        link.title = `${when} ${worker === "all" ? "" : `${processName(worker)}: `}${why}`;
        this.#links.set(id, link);
        this.#root.append(link);
      }
      // Between the times at both ends.
      const share = Math.min(1, (atMs / 1000 - from) / (to - from));
      link.style.left = `calc(4.5rem + (100% - 9rem) * ${share.toFixed(4)})`;
    }
    for (const [i, seconds] of [from, to].entries())
      this.#ends[i]!.textContent = new Date(seconds * 1000).toLocaleTimeString("en-GB");
    this.#root.hidden = shown.length === 0;
  }
}
