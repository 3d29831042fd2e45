// The page's stylesheet. One set of names for both colour schemes: each colour says how it is in light and in dark, and the
// switch on the page only sets which of them `color-scheme` takes.
//
// Text has a contrast of at least 4.5 on its ground, lines and marks of at least 3. Lines differ in their dashes as well.

export const STYLESHEET = `:root {
  color-scheme: light dark;
  --back: light-dark(#f4f6f8, #0f1215); --panel: light-dark(#fff, #171b1f); --front: light-dark(#1a1f24, #e6eaee);
  --soft: light-dark(#56606a, #9ea8b2); --edge: light-dark(#d8dee4, #2b3238); --link: light-dark(#0a58b8, #7db5ff);
  --accent: light-dark(#0b62c4, #6aaeff); --good: light-dark(#1b6e3c, #7bd19c); --warn: light-dark(#8a5200, #f0b35e);
  --bad: light-dark(#b3261e, #ff9c94); --bad-back: light-dark(#fdecea, #3a1d1b); --warn-back: light-dark(#fdf3e1, #33270f);
  --good-back: light-dark(#e8f5ed, #15291d); --rail: light-dark(#e3e8ed, #2b3238); --mark: light-dark(#b3261e, #ff9c94);
  --c0: light-dark(#0b62c4, #6aaeff); --c1: light-dark(#b54708, #ffa366); --c2: light-dark(#1b7f4d, #5fd39a);
  --c3: light-dark(#8a3ab9, #cf9bf2); --c4: light-dark(#a8326b, #f58bbd); --c5: light-dark(#00798a, #4fd0e0);
  --c6: light-dark(#6b6f00, #d2d35a); --c7: light-dark(#6c737a, #a1a9b1);
}
:root[data-theme="light"] { color-scheme: light; }
:root[data-theme="dark"] { color-scheme: dark; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 0 1.25rem 2rem; max-width: 100rem; background: var(--back); color: var(--front);
  font: 14px/1.45 system-ui, sans-serif; overflow-wrap: break-word; }
a { color: var(--link); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
main:focus-visible { outline: none; }
.hidden { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
[hidden] { display: none !important; }
.skip { position: absolute; left: 1rem; top: -4rem; padding: .5rem 1rem; background: var(--panel); border: 1px solid var(--edge); z-index: 3; }
.skip:focus { top: .5rem; }
.soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); }
header { display: grid; grid-template-columns: 1fr auto; gap: .4rem 1.5rem; align-items: center; padding: .9rem 0 .7rem; }
.title { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem .9rem; }
h1 { margin: 0; font-size: 1.35rem; line-height: 1.2; font-weight: 650; } h1 .soft { font-weight: 400; }
h2 { margin: 0; font-size: 1rem; font-weight: 650; } h3 { margin: 0; font-size: .9rem; font-weight: 600; }
header nav { grid-column: 1; display: flex; flex-wrap: wrap; gap: .15rem 1.1rem; }
header nav a { padding: .25rem 0; }
.controls { grid-column: 2; grid-row: 1 / span 2; display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; justify-content: flex-end; }
#connection { font-variant-numeric: tabular-nums; margin-right: .25rem; }
button, select, input { font: inherit; color: var(--front); background: var(--panel); border: 1px solid var(--edge); border-radius: .4rem; padding: .3rem .7rem; min-height: 2rem; }
button { cursor: pointer; } button:hover, select:hover { border-color: var(--accent); }
button[aria-pressed="true"] { background: var(--accent); border-color: var(--accent); color: light-dark(#fff, #0f1215); }
.choice { display: flex; } .choice button { border-radius: 0; margin-left: -1px; } .choice button:first-child { border-radius: .4rem 0 0 .4rem; margin-left: 0; } .choice button:last-child { border-radius: 0 .4rem .4rem 0; }
.badge { display: inline-block; padding: .05rem .6rem; border-radius: 1rem; font-size: .82rem; font-weight: 600; white-space: nowrap; }
.badge.good { background: var(--good-back); } .badge.warn { background: var(--warn-back); color: var(--warn); } .badge.bad { background: var(--bad-back); }
.now { display: grid; gap: .6rem; }
.bottleneck { padding: .65rem 1rem; background: var(--panel); border: 1px solid var(--edge); border-left: 4px solid var(--good); border-radius: .5rem; font-size: 1.05rem; min-height: 3rem; }
.bottleneck:has(.stage-admit, .stage-queue, .stage-produce, .stage-worker, .not-ready) { border-left-color: var(--bad); }
.bottleneck p { margin: 0; } .bottleneck strong { margin-right: .5rem; } .bottleneck .also { color: var(--soft); font-size: .95rem; }
.problems { margin: 0; padding: .6rem 1rem .6rem 2rem; background: var(--warn-back); border-radius: .5rem; }
.tiles { display: grid; grid-template-columns: repeat(10, 1fr); gap: 1px; margin: 0; background: var(--edge); border: 1px solid var(--edge); border-radius: .5rem; overflow: hidden; }
.tile { padding: .55rem .7rem .5rem; background: var(--panel); min-width: 0; }
.tile dt { color: var(--soft); font-size: .82rem; } .tile dd { margin: 0; }
.tile .value { display: block; font-size: 1.3rem; line-height: 1.3; font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tile .note { display: block; color: var(--soft); font-size: .8rem; font-variant-numeric: tabular-nums; min-height: 1.2em; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.tile.bad .value { color: var(--bad); }
#charts-title { margin: 1.3rem 0 .5rem; }
.strip { position: relative; height: 2rem; margin: 0 0 .5rem; border-bottom: 2px solid var(--edge); }
.strip span { position: absolute; bottom: .2rem; left: 0; color: var(--soft); font-size: .8rem; font-variant-numeric: tabular-nums; } .strip span + span { left: auto; right: 0; }
.strip a { position: absolute; bottom: 0; width: 1.6rem; height: 1.6rem; margin-left: -.8rem; display: grid; place-items: end center; text-decoration: none; color: var(--mark); font-weight: 700; line-height: 1; }
.strip a::after { content: "▼"; font-size: .95rem; } .strip a:hover { color: var(--link); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 25rem), 1fr)); gap: .75rem; }
.chart { margin: 0; padding: .65rem .8rem .5rem; background: var(--panel); border: 1px solid var(--edge); border-radius: .5rem; min-width: 0; min-height: 16rem; display: flex; flex-direction: column; }
.chart figcaption { display: flex; justify-content: space-between; gap: 1rem; align-items: baseline; }
.chart figcaption .soft { font-size: .8rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.plot { height: 10.5rem; margin: .3rem 0; border-radius: .2rem; } .plot .uplot { width: 100%; } .plot.at-incident .u-over { cursor: pointer; }
.chart table { width: 100%; margin-top: auto; font-size: .82rem; } .chart th, .chart td { padding: .08rem 0 .08rem .6rem; border: 0; } .chart th:first-child { padding-left: 0; }
.chart thead th { font-size: .75rem; } .chart tbody th { font-weight: 400; overflow-wrap: anywhere; }
.chart .key { width: 26px; height: 8px; margin-right: .45rem; vertical-align: middle; }
.legend-scroll { max-height: 8.4rem; overflow-y: auto; margin-top: auto; }
.line { fill: none; stroke-width: 2; }
${Array.from({ length: 8 }, (_, i) => `.line-${i} { stroke: var(--c${i}); color: var(--c${i}); }`).join(" ")}
.probe-soft { color: var(--soft); } .probe-edge { color: var(--edge); } .probe-mark { color: var(--mark); }
.u-cursor-x { border-color: var(--soft) !important; } .u-select { background: light-dark(#0b62c422, #6aaeff33); }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); gap: .75rem; margin-top: .75rem; }
.panel { padding: .75rem 1rem .9rem; background: var(--panel); border: 1px solid var(--edge); border-radius: .5rem; min-width: 0; }
.panel > p { margin: .1rem 0 .5rem; font-size: .88rem; } .panel:has(#workers, #brokers, #incidents, #ledger, #tail-title) { grid-column: 1 / -1; }
.wide { overflow-x: auto; border-radius: .2rem; } .wide p { margin: .3rem 0 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } .panel table { min-width: 100%; }
th, td { padding: .25rem 0 .25rem .8rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--edge); }
.panel th, .panel td { white-space: nowrap; } th:first-child { padding-left: 0; }
#incidents td:nth-child(3) { white-space: normal; min-width: 14rem; }
tbody tr:last-child > * { border-bottom: 0; } #ledger tbody tr:last-child > * { border-top: 2px solid var(--edge); font-weight: 600; }
tbody th { font-weight: 500; } thead th { color: var(--soft); font-size: .8rem; font-weight: 500; }
th.n, td.n { text-align: right; }
.load { width: 60px; height: 10px; margin-right: .5rem; vertical-align: baseline; } .load .rail { fill: var(--rail); } .load .share { fill: var(--accent); } .load.uneven .share { fill: var(--warn); } .load line { stroke: var(--front); stroke-width: 1; }
#tail-form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin-top: .5rem; } #tail-topic { flex: 1; min-width: 8rem; }
#tail-lines { margin: 0; padding: 0; list-style: none; max-height: 18rem; font: .8rem/1.5 ui-monospace, monospace; } #tail-lines li { white-space: pre; border-bottom: 1px solid var(--edge); }
code { font: .92em ui-monospace, monospace; }
footer { margin-top: 1.2rem; font-size: .85rem; font-variant-numeric: tabular-nums; }
@media (max-width: 70rem) { .tiles { grid-template-columns: repeat(5, 1fr); } }
@media (max-width: 46rem) {
  body { padding: 0 .8rem 2rem; } header { grid-template-columns: 1fr; } .controls { grid-column: 1; grid-row: auto; justify-content: flex-start; }
  #connection { flex-basis: 100%; } .tiles { grid-template-columns: 1fr 1fr; } header nav a { padding: .35rem 0; } button, select, input { min-height: 2.5rem; }
}
@media (prefers-reduced-motion: no-preference) { .bottleneck { transition: border-color .3s; } }
@media print { .controls, header nav { display: none; } }
`;
