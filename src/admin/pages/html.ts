// HTML and SVG as templates whose values are escaped, so that no page can forget it: a topic, a log line and a function's name
// come from outside. A template's own text is markup; what is put into it is text, unless it is a template's result.
//
//   html`<p>${name}</p>${rows.map((row) => html`<tr>${row}</tr>`)}`
//
// Rejected: a template library with files of its own, which the package would have to carry and find.

type Value = string | number | Html | readonly Value[] | undefined;

/** Markup; only `html` makes it. */
export class Html {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** Text as markup shows it, in an element or in a quoted attribute. */
export function escapeMarkup(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

function rendered(value: Value): string {
  if (value === undefined) return "";
  if (value instanceof Html) return value.toString();
  if (typeof value === "object") return value.map(rendered).join("");
  return escapeMarkup(String(value));
}

/** Undefined is nothing; a list is its items, one after the other. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Html {
  return new Html(parts.reduce((text, part, i) => text + rendered(values[i - 1]) + part));
}
