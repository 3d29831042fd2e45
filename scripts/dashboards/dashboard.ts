// What all dashboards have in common: variables, incidents as annotations, links to each other.

import { DATASOURCE, type Json, layout, type Row } from "./panel.ts";
import { series } from "./query.ts";

export interface Dashboard {
  /** Stable: it is the dashboard's address, and its file's name. */
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly rows: readonly Row[];
}

/** Grafana 11 writes 39; later ones read it. */
const SCHEMA_VERSION = 39;

function variable(name: string, query: string, hide = false): Json {
  return {
    type: "query",
    name,
    label: name,
    hide: hide ? 2 : 0,
    datasource: DATASOURCE,
    definition: query,
    query: { query, refId: name },
    refresh: 2,
    regex: "",
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: ".*",
    current: { selected: true, text: ["All"], value: ["$__all"] },
    options: [],
  };
}

const VARIABLES: Json = [
  {
    type: "datasource",
    name: "datasource",
    label: "data source",
    hide: 0,
    query: "prometheus",
    refresh: 1,
    regex: "",
    current: {},
    options: [],
  },
  variable("job", "label_values(sluice_build_info, job)"),
  variable("instance", 'label_values(sluice_build_info{job=~"$job"}, instance)'),
  variable("topic", 'label_values(sluice_events_received_total{job=~"$job", instance=~"$instance"}, topic)'),
  variable("worker", 'label_values(sluice_ledger_checks_total{job=~"$job", instance=~"$instance"}, worker)'),
  variable("broker", 'label_values(sluice_kafka_connections{job=~"$job", instance=~"$instance"}, broker)'),
];

function annotation(name: string, color: string, expr: string, title: string): Json {
  return {
    name,
    datasource: DATASOURCE,
    enable: true,
    hide: false,
    iconColor: color,
    expr,
    step: "60s",
    titleFormat: title,
    textFormat: "{{instance}}",
    tagKeys: "instance",
    useValueForTime: false,
  };
}

/** What went wrong, on every time axis. */
const ANNOTATIONS: Json = [
  annotation(
    "Incidents",
    "red",
    `sum by (instance, kind) (increase(${series("sluice_incidents_total")}[1m])) > 0`,
    "incident: {{kind}}",
  ),
  annotation(
    "Restarts",
    "orange",
    `sum by (instance, worker) (increase(${series("sluice_worker_restarts_total")}[1m])) > 0`,
    "worker {{worker}} died",
  ),
];

/** As Grafana imports and provisions it. */
export function json({ uid, title, description, rows }: Dashboard): Json {
  return {
    uid,
    title,
    description,
    tags: ["sluice"],
    schemaVersion: SCHEMA_VERSION,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: "10s",
    time: { from: "now-1h", to: "now" },
    timezone: "browser",
    links: [
      { title: "sluice", type: "dashboards", tags: ["sluice"], asDropdown: true, includeVars: true, keepTime: true },
    ],
    annotations: { list: ANNOTATIONS },
    templating: { list: VARIABLES },
    panels: layout(rows),
  };
}
