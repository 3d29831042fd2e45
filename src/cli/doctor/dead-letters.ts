// The dead-letter logs in DATA_DIR: does anything lie there that somebody has to deal with?

import { statSync } from "node:fs";
import { findLetters, totalEvents } from "../dead-letters/letters.ts";
import { messageOf } from "../io.ts";
import { plural } from "../table.ts";
import { error, type Finding, ok, warning } from "./finding.ts";

export async function checkDeadLetters(dataDir: string): Promise<Finding[]> {
  const subject = "dead letters";
  // Whether the directory can be used is told elsewhere.
  if (statSync(dataDir, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  try {
    const letters = await findLetters(dataDir);
    if (letters.length === 0) return [ok(subject, "none")];
    const events = totalEvents(letters);
    return [
      warning(
        subject,
        `${plural(events, "event")} ${events === 1 ? "lies" : "lie"} in the dead-letter log, because Kafka refused ${events === 1 ? "it" : "them"} for good`,
        "`sluice dead-letters list` shows why; then retry or drop them",
      ),
    ];
  } catch (thrown) {
    return [error(subject, messageOf(thrown), "give DATA_DIR, and the right to read it, to the user that runs this")];
  }
}
