// `sluice incidents`: what went wrong in a running service, as it recorded it itself.

import { group } from "./command.ts";
import { fetchBundle } from "./incidents/fetch.ts";
import { list } from "./incidents/list.ts";
import { record } from "./incidents/record.ts";
import { show } from "./incidents/show.ts";

export const incidents = group(
  "incidents",
  [
    "A service keeps the scene when something goes wrong: profiles of the minutes before and after, charts, log lines, threads, the state of its Kafka client and the ledger. An incident's id begins with its time; the beginning of an id is enough, and `latest` is the newest.",
    "All of this is also at /debug/incidents of the admin port, for browsers; on disk a bundle is a directory in DATA_DIR/incidents.",
  ],
  {
    list: { summary: "List the incidents, newest first.", command: list },
    show: { summary: "Show one: why, where the CPU went, the last log lines.", command: show },
    fetch: { summary: "Download one with all its files, as .tar.gz.", command: fetchBundle },
    record: { summary: "Record one now.", command: record },
  },
);
