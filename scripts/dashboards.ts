// `npm run dashboards`: writes Grafana's dashboards, deploy/grafana/dashboards/*.json, from the catalogue of metrics.
//
// They are committed, so that whoever has no Node.js can import them; test/deploy/dashboards.test.ts fails when one is not
// what this would write. To change one, change scripts/dashboards/, not the JSON.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { catalogue } from "./dashboards/catalogue.ts";
import { json } from "./dashboards/dashboard.ts";
import { overview } from "./dashboards/overview.ts";

const ROOT = join(import.meta.dirname, "..");
/** From the root. */
export const DASHBOARDS = "deploy/grafana/dashboards";

/** The text of each file, by its path from the root. */
export function dashboards(): ReadonlyMap<string, string> {
  return new Map(
    [overview(), catalogue()].map((dashboard) => [
      `${DASHBOARDS}/${dashboard.uid}.json`,
      `${JSON.stringify(json(dashboard), null, 1)}\n`,
    ]),
  );
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

if (import.meta.main) {
  mkdirSync(join(ROOT, DASHBOARDS), { recursive: true });
  for (const [path, text] of dashboards()) {
    if (readIfThere(join(ROOT, path)) === text) continue;
    writeFileSync(join(ROOT, path), text);
    process.stdout.write(`${path}\n`);
  }
}
