// Paths of the admin port that its clients know, too; apart from the routes, which load the server.

export const INCIDENTS_PATH = "/debug/incidents";
