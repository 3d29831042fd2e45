// Paths of the admin port that its clients know, too; apart from the routes, which load the server.

export const INCIDENTS_PATH = "/debug/incidents";

/** What the page and `sluice top` are told: a snapshot, and below it the seconds as they end. */
export const LIVE_PATH = "/debug/live";
