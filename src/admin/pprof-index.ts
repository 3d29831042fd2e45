// The page /debug/pprof/: what can be asked for, with links that work.

import { CRUMBS, documentOf } from "./pages/document.ts";
import { html, type Html } from "./pages/html.ts";
import { processName } from "./pages/process-name.ts";
import { flameGraphLink, SPEEDSCOPE_PATH } from "./speedscope.ts";

const PROFILE = "/debug/pprof/profile";
const HEAP = "/debug/pprof/heap";

const code = (text: string): Html => html`<code>${text}</code>`;

const PROFILES: readonly (readonly [path: string, meaning: Html])[] = [
  ["profile", html`CPU and wall time of the next 30 s, of all processes; ${code("?seconds=")}`],
  ["profile?past=300", html`the same of the last 5 minutes, at once; ${code("?past=")}, ${code("&ago=")}`],
  ["heap", html`live objects by where they were allocated; ${code("?ago=")}`],
  ["heap?seconds=30", html`what comes to the heap in the next 30 s`],
  ["heap?base=300", html`what came to it in the last 5 minutes`],
  ["allocs", html`everything that was allocated, where the runtime can tell`],
  ["threads", html`native threads: CPU, waiting for a CPU, switches`],
  ["eventloop", html`delay of the event loops, second by second`],
  ["cmdline", html`the command line, separated by NUL`],
];

/** @param processes the values of the label `worker`. */
function parameters(processes: readonly string[]): readonly (readonly [parameter: string, meaning: Html])[] {
  return [
    [
      "worker=0",
      html`one process alone: ${processes.join(", ")}; in a merged profile
      ${code("go tool pprof -tagfocus='worker=^0$'")}`,
    ],
    ["label=topic:clicks", html`only samples with that label; ${code("topic:")} for those without it`],
    ["past=60&ago=300", html`the 60 s that ended 300 s ago`],
    ["base=300", html`the difference to the same 300 s earlier; flame graphs show what grew`],
    ["root=worker,topic", html`labels as frames at the root of each stack`],
    ["type=wall", html`another sample type than the one that pprof shows`],
    [
      "format=",
      html`${code("pprof")}, ${code("folded")}, ${code("speedscope")}, ${code("text")} (or ${code("debug=1")})`,
    ],
  ];
}

/** @param processes the values of the label `worker`. */
export function pprofIndex(processes: readonly string[]): string {
  const rows = PROFILES.map(([path, meaning]) => {
    const hasText = path.startsWith("profile") || path.startsWith("heap");
    const text = `${path}${path.includes("?") ? "&" : "?"}debug=1`;
    return html`<tr>
      <th scope="row">
        <a href="${path}">${path}</a>
        ${hasText ? html`<a href="${text}" aria-label="${path} as text">text</a>` : undefined}
      </th>
      <td>${meaning}</td>
    </tr> `;
  });
  const graph = (title: string, path: string) => {
    const href = flameGraphLink(`${path}${path.includes("?") ? "&" : "?"}format=speedscope`, title);
    return html`<li><a href="${href}">${title}</a></li> `;
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
  return documentOf(
    "Profiles",
    [CRUMBS.home, CRUMBS.incidents],
    html`<p class="soft">For ${code("go tool pprof")}, and as flame graphs in the browser.</p>
      <div class="wide" tabindex="0" role="group" aria-label="Profiles">
        <table>
          ${rows}
        </table>
      </div>
      <h2>Flame graphs</h2>
      <ul>
        ${graphs}
        <li><a href="${SPEEDSCOPE_PATH}">speedscope</a>, for a file of yours</li>
      </ul>
      <h2>Parameters</h2>
      <div class="wide" tabindex="0" role="group" aria-label="Parameters">
        <table>
          ${parameters(processes).map(
            ([parameter, meaning]) =>
              html`<tr>
                <th scope="row">${code(parameter)}</th>
                <td>${meaning}</td>
              </tr> `,
          )}
        </table>
      </div>`,
  );
}

function processTitle(name: string): string {
  return name === processName(name) ? `the ${name}` : processName(name);
}
