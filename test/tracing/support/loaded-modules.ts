// Preloaded into a service: writes the name of each package of OpenTelemetry that a process loads to a file, behind `worker` or
// `supervisor`.

import { appendFileSync } from "node:fs";
import { registerHooks } from "node:module";

const file = process.env["LOADED_MODULES_FILE"];
const who = process.argv[2] === "worker" ? "worker" : "supervisor";

registerHooks({
  load: (url, context, nextLoad) => {
    const name = /@opentelemetry\/[\w-]+/.exec(url)?.[0];
    if (file !== undefined && name !== undefined) appendFileSync(file, `${who} ${name}\n`);
    return nextLoad(url, context);
  },
});
