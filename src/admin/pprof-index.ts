// The page /debug/pprof/: what can be asked for, with links that work.

import { htmlPage, escapeHtml } from "./page.ts";
import { flameGraphLink, SPEEDSCOPE_PATH } from "./speedscope.ts";

const PROFILE = "/debug/pprof/profile";
const HEAP = "/debug/pprof/heap";

const PROFILES: readonly (readonly [path: string, meaning: string])[] = [
  ["profile", "CPU and wall time of the next 30 s, of all processes; <code>?seconds=</code>"],
  ["profile?past=300", "the same of the last 5 minutes, at once; <code>?past=</code>, <code>&amp;ago=</code>"],
  ["heap", "live objects by where they were allocated; <code>?ago=</code>"],
  ["heap?seconds=30", "what comes to the heap in the next 30 s"],
  ["heap?base=300", "what came to it in the last 5 minutes"],
  ["allocs", "everything that was allocated, where the runtime can tell"],
  ["threads", "native threads: CPU, waiting for a CPU, switches"],
  ["eventloop", "delay of the event loops, second by second"],
  ["cmdline", "the command line, separated by NUL"],
];

/** @param processes the values of the label `worker`. */
export function pprofIndex(processes: readonly string[]): string {
  const rows = PROFILES.map(([path, meaning]) => {
    const text =
      path.startsWith("profile") || path.startsWith("heap")
        ? ` <a href="${escapeHtml(path + (path.includes("?") ? "&" : "?"))}debug=1">text</a>`
        : "";
    return `<tr><td><a href="${escapeHtml(path)}">${escapeHtml(path)}</a>${text}</td><td>${meaning}</td></tr>`;
  });
  const graph = (title: string, path: string) => {
    const href = flameGraphLink(`${path}${path.includes("?") ? "&" : "?"}format=speedscope`, title);
    return `<li><a href="${escapeHtml(href)}">${escapeHtml(title)}</a></li>`;
  };
  const graphs = [
    graph("CPU, the last 5 minutes", `${PROFILE}?past=300`),
    graph("CPU, the last 5 minutes, by worker and topic", `${PROFILE}?past=300&root=worker,topic`),
    ...processes.map((name) =>
      graph(`CPU of ${processTitle(name)}, the last 5 minutes`, `${PROFILE}?past=300&worker=${name}`),
    ),
    graph("CPU, what the last minute has more than the one 5 minutes ago", `${PROFILE}?past=60&base=300`),
    graph("heap", HEAP),
    graph("heap, what came in the last 5 minutes", `${HEAP}?base=300`),
  ];
  return htmlPage(
    "/debug/pprof/",
    `<table>
${rows.join("\n")}
</table>
<h2>Flame graphs</h2>
<ul>
${graphs.join("\n")}
<li><a href="${SPEEDSCOPE_PATH}">speedscope</a>, for a file of yours</li>
</ul>
<h2>Parameters</h2>
<table>
<tr><td><code>worker=0</code></td><td>one process alone: ${escapeHtml(processes.join(", "))}; in a merged profile <code>go tool pprof -tagfocus='worker=^0$'</code></td></tr>
<tr><td><code>label=topic:clicks</code></td><td>only samples with that label; <code>topic:</code> for those without it</td></tr>
<tr><td><code>past=60&amp;ago=300</code></td><td>the 60 s that ended 300 s ago</td></tr>
<tr><td><code>base=300</code></td><td>the difference to the same 300 s earlier; flame graphs show what grew</td></tr>
<tr><td><code>root=worker,topic</code></td><td>labels as frames at the root of each stack</td></tr>
<tr><td><code>type=wall</code></td><td>another sample type than the one that pprof shows</td></tr>
<tr><td><code>format=</code></td><td><code>pprof</code>, <code>folded</code>, <code>speedscope</code>, <code>text</code> (or <code>debug=1</code>)</td></tr>
</table>`,
  );
}

function processTitle(name: string): string {
  return /^\d+$/.test(name) ? `worker ${name}` : `the ${name}`;
}
