// A flame graph as SVG that the server makes: what the incident's page shows without a script; speedscope is a link away.
//
// It hangs from its root, and what is narrower than a reader could see is left out. Numbers per function are in the table
// beside it (functions.ts), which is also what those read who do not see the drawing.

import { quantity } from "../../profiling/text.ts";
import type { Frame, Stacks } from "../../profiling/stacks.ts";
import { html, type Html } from "./html.ts";

interface Node {
  readonly frame: Frame | undefined;
  value: number;
  readonly children: Map<string, Node>;
}

const WIDTH = 1100;
const ROW = 17;
const DEPTH_MAX = 48;
/** Share of the whole under which a function is not drawn. */
const SHARE_MIN = 0.002;
const CHAR_WIDTH = 6.4;
const HUES = 5;

function node(frame: Frame | undefined): Node {
  return { frame, value: 0, children: new Map() };
}

function treeOf({ samples }: Stacks, type: number): Node {
  const root = node(undefined);
  for (const { frames, values } of samples) {
    const value = values[type] ?? 0;
    if (value <= 0) continue;
    root.value += value;
    let at = root;
    for (const frame of frames) {
      // Lines of one function are one box: a flame graph is of functions.
      const key = `${frame.name}\0${frame.file}`;
      let child = at.children.get(key);
      if (child === undefined) at.children.set(key, (child = node(frame)));
      child.value += value;
      at = child;
    }
  }
  return root;
}

/** The same function has the same hue wherever it stands. */
function hueOf({ name, file }: Frame): number {
  let hash = 0;
  for (const char of name + file) hash = (hash * 31 + char.codePointAt(0)!) % 65_521;
  return hash % HUES;
}

/** @param type which of the sample types, by its index. Undefined if the profile holds none of it. */
export function flameGraph(stacks: Stacks, type: number, title: string): Html | undefined {
  const root = treeOf(stacks, type);
  if (root.value === 0) return undefined;
  const { unit = "" } = stacks.types[type] ?? {};
  const boxes: Html[] = [];
  let depthMost = 0;
  const draw = ({ children }: Node, from: number, depth: number): void => {
    if (depth > DEPTH_MAX) return;
    let x = from;
    for (const child of [...children.values()].sort((a, b) => b.value - a.value)) {
      const share = child.value / root.value;
      if (share < SHARE_MIN) break;
      depthMost = Math.max(depthMost, depth);
      boxes.push(box(child, x, depth, share, unit));
      draw(child, x, depth + 1);
      x += share * WIDTH;
    }
  };
  draw(root, 0, 1);
  const total = quantity(root.value, unit);
  const height = (depthMost + 1) * ROW;
  return html`<figure class="flame">
    <div class="wide" tabindex="0" role="group" aria-label="${title}">
      <svg viewBox="0 0 ${WIDTH} ${height}" role="img">
        <title>${title}</title>
        <desc>A flame graph of ${total}; the table of functions tells the same in numbers.</desc>
        <g>
          <title>everything: ${total}</title>
          <rect class="rest" x="0" y="0" width="${WIDTH}" height="${ROW}" />
          <text x="4" y="12">everything, ${total}</text>
        </g>
        ${boxes}
      </svg>
    </div>
  </figure>`;
}

function box({ frame, value }: Node, x: number, depth: number, share: number, unit: string): Html {
  const { name, file } = frame!;
  const width = share * WIDTH;
  const y = depth * ROW;
  const chars = Math.floor((width - 6) / CHAR_WIDTH);
  const label = chars < 3 ? "" : name.length <= chars ? name : `${name.slice(0, chars - 1)}…`;
  const words = `${name}${file === "" ? "" : ` (${file})`}: ${quantity(value, unit)}, ${(share * 100).toFixed(1)} %`;
  return html`<g
    ><title>${words}</title
    ><rect
      class="h${hueOf(frame!)}"
      x="${x.toFixed(1)}"
      y="${y}"
      width="${width.toFixed(1)}"
      height="${ROW}"
    />${label === "" ? undefined : html`<text x="${(x + 3).toFixed(1)}" y="${y + 12}">${label}</text>`}</g
  > `;
}
