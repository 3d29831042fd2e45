// The page /debug/incidents/<id>: what happened, its charts, its flame graphs, its files.
//
// It is made of what lies in the bundle, whenever it is asked for, so it shows as much as there is while the incident is being
// recorded, and of one whose recorder died. A file that cannot be read is a sentence on the page and nothing more.

import type { Incident } from "../../incidents/incident.ts";
import { labelValues, withLabels } from "../../profiling/select.ts";
import { stacksOf } from "../../profiling/stacks.ts";
import { decodeProfile } from "../incident-profile.ts";
import { flameGraphLink } from "../speedscope.ts";
import { processName } from "./process-name.ts";
import { CRUMBS, documentOf } from "./document.ts";
import { flameGraph } from "./flame.ts";
import { functionsTable } from "./functions.ts";
import { historyCharts } from "./history.ts";
import { html, type Html } from "./html.ts";
import { badge } from "./incident-list.ts";
import { titleOf, unitOf } from "./kinds.ts";
import { logTable } from "./log-lines.ts";
import { threadTable } from "./thread-table.ts";
import { quantityOf, utc } from "./units.ts";

const FUNCTIONS_MAX = 15;

/** A file of the bundle; undefined: it is not there. */
export type ReadFile = (name: string) => Promise<Buffer | undefined>;

/** The profiles of a bundle in the order in which they are of use: what a stuck thread was seen doing, then what came after. */
const PROFILES: readonly (readonly [name: string, title: string])[] = [
  ["profile-stuck.pb.gz", "CPU while it was stuck"],
  ["profile-after.pb.gz", "CPU of the half minute after"],
  ["profile-before.pb.gz", "CPU of the minutes before"],
  ["heap.pb.gz", "Heap"],
];
const HEAP = "heap.pb.gz";
const AFTER = "profile-after.pb.gz";
const BEFORE = "profile-before.pb.gz";

export async function incidentPage(incident: Incident, read: ReadFile): Promise<string> {
  const has = (name: string) => incident.files.some((file) => file.name === name);
  // Where the memory is what matters, so is the heap.
  const rank = (name: string) => (name === HEAP && incident.profile === HEAP ? 0 : 1);
  const profiles = PROFILES.filter(([name]) => has(name)).sort(([a], [b]) => rank(a) - rank(b));
  const sections: (Html | undefined)[] = [];
  for (const [i, [name, title]] of profiles.entries())
    sections.push(await section(name, () => profileSection(incident, name, title, i === 0, read)));
  const threads = await section("threads.json", async () => threadsOf(incident, await readJson(read, "threads.json")));
  const charts = await section("history.json", async () =>
    historyCharts(incident, await readJson(read, "history.json")),
  );
  const stack = await section("stack.txt", async () => preformatted(await readText(read, "stack.txt")));
  const log = await section("log.ndjson", async () => logTable((await readText(read, "log.ndjson")) ?? ""));
  return documentOf(
    titleOf(incident),
    [CRUMBS.home, CRUMBS.incidents, CRUMBS.profiles],
    html`${facts(incident)} ${actions(incident, has)} ${titled("JavaScript stack", stack)} ${titled("Charts", charts)}
    ${sections.length === 0 ? undefined : titled("Where the time and the memory went", html`${sections}`)}
    ${titled("Last log lines", log)} ${titled("Native threads", threads)} ${titled("Files", filesTable(incident))}`,
  );
}

function titled(title: string, content: Html | undefined): Html | undefined {
  return content === undefined
    ? undefined
    : html`<section>
        <h2>${title}</h2>
        ${content}
      </section>`;
}

/** A file that cannot be read or understood is told, and the page goes on. */
async function section(name: string, make: () => Promise<Html | undefined>): Promise<Html | undefined> {
  try {
    return await make();
  } catch (error) {
    return html`<p class="soft">${name} cannot be shown: ${error instanceof Error ? error.message : String(error)}</p>`;
  }
}

async function readText(read: ReadFile, name: string): Promise<string | undefined> {
  return (await read(name))?.toString("utf8");
}

async function readJson(read: ReadFile, name: string): Promise<unknown> {
  const text = await readText(read, name);
  return text === undefined ? undefined : (JSON.parse(text) as unknown);
}

function preformatted(text: string | undefined): Html | undefined {
  return text === undefined ? undefined : html`<pre tabindex="0">${text}</pre>`;
}

function facts({ id, kind, worker, atMs, why, value, mean, limit, state, problems, notes }: Incident): Html {
  const unit = unitOf(kind) ?? "count";
  const rows: (readonly [string, Html | string])[] = [
    ["When", html`<time datetime="${new Date(atMs).toISOString()}">${utc(atMs)}</time>`],
    ["Process", worker === "all" ? "all" : processName(worker)],
  ];
  if (value !== undefined) rows.push(["Measured", quantityOf(value, unit)]);
  if (mean !== undefined) rows.push(["Mean of the minutes before", quantityOf(mean, unit)]);
  if (limit !== undefined) rows.push(["Measured against", quantityOf(limit, unit)]);
  rows.push(["State", badge(state)], ["Id", html`<span class="code">${id}</span>`]);
  return html`<p class="why">${why}</p>
    <dl class="facts">
      ${rows.map(
        ([term, text]) =>
          html`<dt>${term}</dt>
            <dd>${text}</dd>`,
      )}
    </dl>
    ${state === "recording" ? html`<p>It is still being recorded: the half minute after it is not over. <a href="/debug/incidents/${id}">Look again</a></p>` : undefined}
    ${
      notes.length === 0
        ? undefined
        : html`<p>Meanwhile:</p>
            <ul>
              ${notes.map((note) => html`<li>${utc(note.atMs)}, ${titleOf(note)}: ${note.why}</li>`)}
            </ul>`
    }
    ${
      problems.length === 0
        ? undefined
        : html`<p>What is missing:</p>
            <ul>
              ${problems.map((problem) => html`<li>${problem}</li>`)}
            </ul>`
    }`;
}

function fileLink(id: string, name: string, query = ""): string {
  return `/debug/incidents/${id}/files/${name}${query}`;
}

function flameLink(id: string, name: string, title: string, query: Readonly<Record<string, string>> = {}): string {
  const parameters = new URLSearchParams({ format: "speedscope", ...query });
  return flameGraphLink(fileLink(id, name, `?${parameters.toString()}`), `${title}, ${id}`);
}

function actions({ id, worker }: Incident, has: (name: string) => boolean): Html {
  const links: (readonly [href: string, text: string])[] = [[`/debug/incidents/${id}.tar.gz`, "Download the bundle"]];
  for (const [name, title] of PROFILES.filter(([name]) => has(name)))
    links.push([flameLink(id, name, title), `Flame graph: ${title}`]);
  if (has(AFTER) && has(BEFORE))
    links.push([
      flameLink(id, AFTER, "After minus before", { base: BEFORE }),
      "Flame graph: what is more after than before",
    ]);
  const now = "/debug/pprof/profile?past=300&format=speedscope";
  if (worker !== "all")
    links.push([
      flameGraphLink(`${now}&worker=${worker}`, `Last 5 minutes of ${processName(worker)}`),
      `Flame graph: ${processName(worker)} now, last 5 minutes`,
    ]);
  links.push([flameGraphLink(now, "Last 5 minutes"), "Flame graph: everything now, last 5 minutes"]);
  return html`<ul class="actions">
    ${links.map(([href, text]) => html`<li><a href="${href}">${text}</a></li>`)}
  </ul>`;
}

async function profileSection(
  { id, worker }: Incident,
  name: string,
  title: string,
  open: boolean,
  read: ReadFile,
): Promise<Html | undefined> {
  const bytes = await read(name);
  if (bytes === undefined) return undefined;
  const all = await decodeProfile(bytes);
  const isOfWorker = labelValues(all, "worker").includes(worker);
  const stacks = stacksOf(isOfWorker ? withLabels(all, [{ key: "worker", value: worker }]) : all);
  const type = stacks.defaultType;
  const whose = isOfWorker ? `${title}, ${processName(worker)}` : title;
  const graph = flameGraph(stacks, type, whose);
  if (graph === undefined)
    return html`<h3>${whose}</h3>
      <p class="soft">Nothing was sampled.</p>`;
  const query: Readonly<Record<string, string>> = isOfWorker ? { worker } : {};
  return html`<details${open ? html` open` : undefined}><summary>${whose}</summary>
<p><a href="${flameLink(id, name, whose, query)}">Open in speedscope</a>, or <code>go tool pprof -http=: ${name}</code></p>
${graph}
${functionsTable(stacks, type, FUNCTIONS_MAX)}</details>`;
}

function threadsOf({ worker }: Incident, threads: unknown): Html | undefined {
  if (typeof threads !== "object" || threads === null) return undefined;
  const entries = Object.entries(threads as Readonly<Record<string, unknown>>);
  const shown = entries.filter(([name]) => worker === "all" || name === worker);
  const tables = shown.map(([name, rows]) => {
    const table = threadTable(rows);
    return table === undefined
      ? undefined
      : html`<details>
          <summary>${processName(name)}</summary>
          ${table}
        </details>`;
  });
  return tables.every((table) => table === undefined) ? undefined : html`${tables}`;
}

function filesTable({ id, files }: Incident): Html {
  const description = html`<tr>
    <td><a class="code" href="${fileLink(id, "incident.json")}">incident.json</a></td>
    <td></td>
  </tr>`;
  return html`<table>
    <thead>
      <tr>
        <th scope="col">file</th>
        <th scope="col">size</th>
      </tr>
    </thead>
    <tbody>
      ${description}
      ${files.map(
        ({ name, bytes }) =>
          html`<tr>
            <td><a class="code" href="${fileLink(id, name)}">${name}</a></td>
            <td class="n">${quantityOf(bytes, "bytes")}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}
