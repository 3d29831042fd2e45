// The tail of a topic for the page: what `sluice tail --follow --from end` reads, from Kafka or from the spool.
//
// It is here, and handed to the supervisor when it is started, because reading topics is the command line's business: the
// service itself never reads one. The Kafka client for it is loaded when somebody asks for the first time.

import type { TailedEvent, TopicTail } from "../../admin/state.ts";
import type { Config } from "../../config.ts";
import { eventLine, type TailEvent } from "./event.ts";

/** With a spool alone nothing is passed over: what comes faster than it is shown is shown later. */
export function topicTail(config: Config): TopicTail {
  return async function* (topic, skip, signal) {
    const options = { topic, from: "end", follow: true, skip, signal } as const;
    const bunches =
      config.kafkaBrokers.length > 0
        ? (await import("./kafka-source.ts")).tailKafka(config, options)
        : (await import("./spool-source.ts")).tailSpool(config.dataDir, options);
    for await (const bunch of bunches) yield bunch.map(tailed);
  };
}

/** Its text is made only if it is shown. */
function tailed(event: TailEvent): TailedEvent {
  return { line: () => eventLine(event, true) };
}
