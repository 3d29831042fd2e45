// Incidents on the axis of time, above the charts: each is a link to its page.

import { processName } from "../../pages/process-name.ts";
import type { LiveIncident } from "../model.ts";

/** The axis of the charts begins here, in pixels; the strip is of the whole width of the page. */
export class Strip {
  readonly #root: HTMLElement;
  readonly #links = new Map<string, HTMLAnchorElement>();

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  /** @param toMs the end of the time that is shown. @param spanSeconds how much of it. */
  update(incidents: readonly LiveIncident[], toMs: number, spanSeconds: number): void {
    const fromMs = toMs - spanSeconds * 1000;
    const shown = incidents.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs + 2_000);
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
      // A mark is as wide as a finger; it stays within the strip.
      const share = Math.min(1, (atMs - fromMs) / (spanSeconds * 1000));
      link.style.left = `calc(.8rem + (100% - 1.6rem) * ${share.toFixed(4)})`;
    }
    this.#root.hidden = shown.length === 0;
  }
}
