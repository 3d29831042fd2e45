// The stylesheet of every page, as a file of its own: the content security policy forbids styles within a page.
//
// Light and dark follow the system. Nothing is smaller than a phone needs; what cannot be narrow scrolls within its box.

export const STYLESHEET = `:root {
  color-scheme: light dark;
  --back: #fff; --front: #1c2024; --soft: #5a6169; --edge: #d5dae0; --panel: #f5f7f9; --link: #0a58b8;
  --bad: #b3261e; --bad-back: #fdecea; --good: #1b6e3c; --mark: #b3261e; --heat: #f3c9a5;
  --c0: #0b62c4; --c1: #b54708; --c2: #1b7f4d; --c3: #8a3ab9; --c4: #a8326b; --c5: #00798a; --c6: #6b6f00; --c7: #6c737a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171a; --front: #e6e9ec; --soft: #a1a9b1; --edge: #363c43; --panel: #1c2125; --link: #7db5ff;
    --bad: #ff9c94; --bad-back: #3a1d1b; --good: #7bd19c; --mark: #ff9c94; --heat: #7a4a22;
    --c0: #6aaeff; --c1: #ffa366; --c2: #5fd39a; --c3: #cf9bf2; --c4: #f58bbd; --c5: #4fd0e0; --c6: #d2d35a; --c7: #a1a9b1;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 0 1.25rem 4rem; max-width: 78rem; background: var(--back); color: var(--front);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
nav { padding: 1rem 0 0; } nav a { margin-right: 1rem; }
h1 { margin: .75rem 0 .25rem; font-size: 1.6rem; line-height: 1.25; }
h2 { margin: 2.25rem 0 .5rem; font-size: 1.2rem; } h3 { margin: 0; font-size: 1rem; }
p { margin: .25rem 0 .75rem; } .soft { color: var(--soft); }
.why { padding: .75rem 1rem; border-left: 4px solid var(--bad); background: var(--bad-back); }
.badge { display: inline-block; padding: 0 .5rem; border: 1px solid currentColor; border-radius: 1rem; font-size: .85rem; white-space: nowrap; }
.recording { color: var(--bad); } .complete { color: var(--good); }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.25rem; margin: 1rem 0; }
dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; }
ul.actions { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0; padding: 0; list-style: none; }
ul.actions a { display: block; padding: .5rem .85rem; border: 1px solid var(--edge); border-radius: .4rem; background: var(--panel); text-decoration: none; }
ul.actions a:hover { border-color: var(--link); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--edge); }
th { font-weight: 600; } thead th { color: var(--soft); font-size: .85rem; white-space: nowrap; }
td.n { text-align: right; white-space: nowrap; } td.time { white-space: nowrap; }
code, pre, .code { font: .86rem/1.45 ui-monospace, monospace; } .code { overflow-wrap: anywhere; }
pre { margin: 0; padding: .75rem 1rem; background: var(--panel); border: 1px solid var(--edge); border-radius: .4rem; overflow-x: auto; }
.wide { overflow-x: auto; }
details { margin-top: .25rem; } summary { cursor: pointer; color: var(--link); width: fit-content; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); gap: 1rem; }
figure { margin: 0; } .chart { padding: .75rem 1rem; border: 1px solid var(--edge); border-radius: .5rem; min-width: 0; }
.chart p { margin: 0 0 .25rem; color: var(--soft); font-size: .88rem; min-height: 2.6em; }
.chart svg { display: block; width: 100%; height: auto; }
.grid { stroke: var(--edge); stroke-width: 1; } .tick { fill: var(--soft); font-size: 11px; }
.mark { stroke: var(--mark); stroke-width: 1.5; stroke-dasharray: 3 3; }
.line { fill: none; stroke-width: 1.3; stroke-linejoin: round; stroke-linecap: round; } .guilty { stroke-width: 2.4; }
.line-0 { stroke: var(--c0); } .line-1 { stroke: var(--c1); stroke-dasharray: 6 2; } .line-2 { stroke: var(--c2); stroke-dasharray: 2 3; }
.line-3 { stroke: var(--c3); stroke-dasharray: 8 3 2 3; } .line-4 { stroke: var(--c4); stroke-dasharray: 4 4; }
.line-5 { stroke: var(--c5); stroke-dasharray: 10 3; } .line-6 { stroke: var(--c6); stroke-dasharray: 1 3; } .line-7 { stroke: var(--c7); stroke-dasharray: 5 2 1 2; }
ul.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .25rem 0 .75rem; padding: 0; list-style: none; }
ul.legend svg { width: 28px; height: 8px; vertical-align: middle; }
.flame { padding: .75rem 1rem; border: 1px solid var(--edge); border-radius: .5rem; }
.flame svg { display: block; min-width: 44rem; width: 100%; height: auto; }
.flame rect { stroke: var(--back); stroke-width: .6; } .flame text { font: 10.5px ui-monospace, monospace; fill: #1c2024; pointer-events: none; }
.flame .h0 { fill: #f6c667; } .flame .h1 { fill: #f4a261; } .flame .h2 { fill: #f2b880; } .flame .h3 { fill: #e9c46a; } .flame .h4 { fill: #f0a58a; } .flame .rest { fill: #cfd4da; }
td.bar { width: 9rem; } td.bar svg { display: block; width: 8rem; height: .9rem; margin-top: .3rem; } td.bar rect { fill: var(--heat); }
@media (max-width: 40rem) {
  body { padding: 0 .9rem 3rem; } .tick { font-size: 13px; } .roomy { display: none; } .chart p { min-height: 0; }
  dl.facts { grid-template-columns: 1fr; gap: 0; } dl.facts dd { margin-bottom: .5rem; }
  table.cards thead { position: absolute; clip-path: inset(50%); } table.cards, table.cards tbody, table.cards tr { display: block; width: 100%; }
  table.cards tr { padding: .6rem 0; border-bottom: 1px solid var(--edge); }
  table.cards td, table.cards th { display: block; border: 0; padding: .05rem 0; text-align: left; white-space: normal; }
}
@media print { ul.actions, nav { display: none; } }
`;
