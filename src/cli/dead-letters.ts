// `sluice dead-letters`: what Kafka refused for good of what was acknowledged as PERSISTED.
//
// list and show read the logs beside a running service or without one. retry and drop take letters out of them, which only
// the process can do that holds a log: the running service, asked over its admin port, or else this one.

import { group } from "./command.ts";
import { drop } from "./dead-letters/drop.ts";
import { list } from "./dead-letters/list.ts";
import { retry } from "./dead-letters/retry.ts";
import { show } from "./dead-letters/show.ts";

export const deadLetters = group(
  "dead-letters",
  [
    "An event that was acknowledged as PERSISTED and that Kafka refuses for good is kept in the dead-letter log in DATA_DIR, with the reason, until somebody deals with it. A letter is what was refused together; its id is the number of a worker and the letter's own.",
  ],
  {
    list: { summary: "List the letters, with the reason of each.", command: list },
    show: { summary: "Show a letter and its events.", command: show },
    retry: { summary: "Publish the events of letters again, and drop the letters that are stored.", command: retry },
    drop: { summary: "Drop letters, with their events, for good.", command: drop },
  },
);
