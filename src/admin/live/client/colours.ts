// The colours of the stylesheet, as canvases want them: resolved for the scheme that is in force.
//
// A custom property that says `light-dark(…)` is not resolved where it is read, only where it is used: so each is used by an
// element that nobody sees, and read from there.

const NAMES = [
  "soft",
  "edge",
  "mark",
  "line-0",
  "line-1",
  "line-2",
  "line-3",
  "line-4",
  "line-5",
  "line-6",
  "line-7",
] as const;
export type ColourName = (typeof NAMES)[number];

const KEY = "sluice.colours";

export class Colours {
  readonly #probes: ReadonlyMap<ColourName, HTMLElement>;
  readonly #colours = new Map<ColourName, string>();
  readonly #changed: () => void;

  /** @param changed calls when the scheme is another one. */
  constructor(changed: () => void) {
    this.#changed = changed;
    const holder = document.createElement("div");
    holder.hidden = true;
    this.#probes = new Map(
      NAMES.map((name) => {
        const probe = document.createElement("span");
        probe.className = name.startsWith("line-") ? name : `probe-${name}`;
        holder.append(probe);
        return [name, probe] as const;
      }),
    );
    document.body.append(holder);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#read();
    });
    this.#read();
  }

  get(name: ColourName): string {
    return this.#colours.get(name)!;
  }

  /** Has the reader choose, and remembers it. */
  bind(select: HTMLSelectElement): void {
    const choose = (theme: string) => {
      if (theme === "light" || theme === "dark") document.documentElement.dataset["theme"] = theme;
      else delete document.documentElement.dataset["theme"];
      this.#read();
    };
    // Storage may be forbidden; then the choice lasts as long as the page.
    try {
      const kept = localStorage.getItem(KEY);
      if (kept === "light" || kept === "dark") select.value = kept;
    } catch {}
    choose(select.value);
    select.addEventListener("change", () => {
      choose(select.value);
      try {
        localStorage.setItem(KEY, select.value);
      } catch {}
    });
  }

  #read(): void {
    for (const [name, probe] of this.#probes) this.#colours.set(name, getComputedStyle(probe).color);
    this.#changed();
  }
}
