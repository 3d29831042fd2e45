// The queries of a dashboard's JSON, as Grafana would send them.

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly refId: string }[];
  readonly panels?: readonly Panel[];
}

interface Variable {
  readonly name: string;
  readonly type: string;
  readonly definition?: string;
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr: string }[] };
}

export interface DashboardQuery {
  readonly title: string;
  readonly query: string;
}

/** Of a dashboard, those in closed rows, too. */
export function panelsOf({ panels }: Dashboard): Panel[] {
  return panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
}

/** Of panels, annotations and variables, with everything chosen in every variable and a minute for rates. */
export function queriesOf(json: string): DashboardQuery[] {
  const dashboard = JSON.parse(json) as Dashboard;
  const queries = [
    ...panelsOf(dashboard).flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, query: expr }))),
    ...dashboard.annotations.list.map(({ name, expr }) => ({
      title: `annotation ${name}`,
      // That there was none is well: what has to be there is what it counts.
      query: expr.replace(/ > 0$/, ""),
    })),
    ...dashboard.templating.list
      .filter(({ type }) => type === "query")
      .map(({ name, definition = "" }) => {
        const [, selector = "", label = ""] = /^label_values\((.*), (\w+)\)$/.exec(definition) ?? [];
        const [, metric, matchers = ""] = /^(\w+)(?:\{(.*)\})?$/.exec(selector) ?? [];
        const all = [matchers, `${label}!=""`].filter((part) => part !== "").join(", ");
        return { title: `variable ${name}`, query: `count by (${label}) (${metric}{${all}})` };
      }),
  ];
  return queries.map(({ title, query }) => ({ title, query: substituted(query) }));
}

function substituted(query: string): string {
  const text = query.replaceAll("$__rate_interval", "1m").replaceAll(/\$(?:job|instance|topic|worker|broker)\b/g, ".*");
  if (text.includes("$")) throw new Error(`a variable that is not known: ${text}`);
  return text;
}
