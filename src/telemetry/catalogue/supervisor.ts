// What the supervisor tells: of the workers, of the whole service, and of what it keeps.

import type { Define } from "./define.ts";

/** Workers, load, sockets, profiles. */
export function supervisorFamilies(define: Define) {
  return {
    up: define.gauge("sluice_worker_up", "1 if the worker takes events, else 0.", { labels: ["worker"] }),
    restarts: define.counter("sluice_worker_restarts_total", "Times a worker was started again after it had died.", {
      labels: ["worker"],
    }),
    load: define.gauge(
      "sluice_worker_load_ratio",
      "The worker's share of the load of the last 10 s (events, and batches as what 15 events cost) over the mean of all workers: 1 is even.",
      { labels: ["worker"] },
    ),
    imbalance: define.gauge(
      "sluice_worker_imbalance_ratio",
      "The largest of these shares: 1 if load is even or there is none, the number of workers if one has all of it.",
    ),
    sockets: define.gauge(
      "sluice_sockets",
      "TCP sockets of the service's ports and to its brokers, by state; those in time_wait belong to no process any more.",
      { labels: ["state"] },
    ),
    buildInfo: define.gauge("sluice_build_info", "What runs here; always 1.", { labels: ["version", "node_version"] }),
    profileBytes: define.gauge("sluice_profile_bytes", "Slices of all processes' profiles that are kept on disk."),
  };
}

/** What is counted of incidents. */
export function incidentFamilies(define: Define) {
  return {
    incidents: define.counter("sluice_incidents_total", "Incidents whose recording began, by kind.", {
      labels: ["kind"],
    }),
    incidentBytes: define.gauge("sluice_incident_bytes", "Bytes of the incidents that are kept (INCIDENTS_BYTES_MAX)."),
  };
}
