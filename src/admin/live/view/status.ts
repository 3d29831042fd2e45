// Whether the service takes events, where they are held up, and what else is wrong.

import { html, type Html } from "../../pages/html.ts";
import { processName } from "../../pages/process-name.ts";
import type { Bottleneck, LiveSnapshot } from "../model.ts";

/** `ready`, in a word. */
export function statusBadge({ service }: LiveSnapshot): Html {
  const { ready, problems, workers, workersUp } = service;
  const [kind, word] = !ready
    ? (["bad", "not ready"] as const)
    : problems.length > 0
      ? (["warn", "ready, with problems"] as const)
      : (["good", "ready"] as const);
  return html`<span class="badge ${kind}">${word}</span>
    <span class="soft">${workersUp} of ${workers} ${workers === 1 ? "worker" : "workers"} up</span>`;
}

const TITLES: Readonly<Record<Bottleneck["stage"], string>> = {
  none: "Nothing is held up",
  admit: "Held up: admit",
  queue: "Held up: queue",
  produce: "Held up: produce",
  worker: "Held up: a worker",
};

/** The sentence without the stage that the title has already. */
function detail({ stage, sentence }: Bottleneck): string {
  const rest = stage === "none" ? sentence.replace(/^nothing is held up: /, "") : sentence.replace(`${stage}: `, "");
  return rest;
}

export function bottleneckBox({ service, bottleneck }: LiveSnapshot): Html {
  // Where nothing is taken, nothing is held up; saying so would sound as if all were well.
  if (!service.ready && bottleneck.stage === "none") {
    return html`<p class="not-ready"><strong>Not ready</strong> <span>events are not taken now</span></p>`;
  }
  return html`<p class="stage-${bottleneck.stage}">
      <strong>${TITLES[bottleneck.stage]}</strong> <span>${detail(bottleneck)}</span>
    </p>
    ${bottleneck.notes.map((note) => html`<p class="also">${note}</p>`)}`;
}

const PROBLEMS_MAX = 8;

export function problemList({ service: { problems } }: LiveSnapshot): Html {
  if (problems.length === 0) return html``;
  const items = problems
    .slice(0, PROBLEMS_MAX)
    .map(({ worker, reason }) => html`<li>${worker === null ? "" : `${processName(worker)}: `}${reason}</li>`);
  const more = problems.length - PROBLEMS_MAX;
  return html`<ul class="problems">
    ${items}${more > 0 ? html`<li>and ${more} more: <a href="/readyz">/readyz</a></li>` : undefined}
  </ul>`;
}

/** One sentence of it all, for those who hear the page. */
export function spokenSummary({ service, bottleneck, history }: LiveSnapshot): string {
  const now = (values: readonly (number | null)[]) => values.at(-1) ?? null;
  const events = now(history.service.eventsPerSecond);
  const p99 = now(history.service.acknowledgeP99);
  return [
    service.ready ? "Ready." : "Not ready.",
    `${bottleneck.sentence}.`,
    events === null ? "" : `${Math.round(events)} events a second.`,
    p99 === null ? "" : `99 percent of answers within ${Math.round(p99 * 1000)} milliseconds.`,
  ]
    .filter((part) => part !== "")
    .join(" ");
}
