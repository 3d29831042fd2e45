// Watches what arrives at the brokers for one promise that the log alone does not show: after a failure the oldest batch of a
// partition is sent again alone, when everything that was in flight has come home (docs/adr/0004-direct-producer.md).
//
// A broker takes up the requests of a connection one after the other. One that is taken up sooner after the answer to another
// than an answer and a request can travel was sent before that answer arrived: the two were in flight together.

import type { Fault, ProduceRequest } from "../support/fake-broker.ts";

/** No answer and request together travel faster. */
const ROUND_TRIP_MS_MIN = 0.1;

interface Taken {
  readonly answeredAtMs: number;
  /** The sequence behind it. */
  readonly next: number;
  /** Does it go back to a sequence that was sent before? */
  readonly goesBack: boolean;
}

export class WireWatch {
  /** By producer id, epoch and connection, the batch that was taken up last; what is late on another connection is lost. */
  readonly #last = new Map<string, Taken>();

  /** @returns what is wrong with the request, if anything. */
  produce({ partitions, connection }: ProduceRequest, fault: Fault | undefined, nowMs: number): string | undefined {
    let wrong: string | undefined;
    for (const { topic, partition, producerId, epoch, baseSequence, count } of partitions) {
      const line = `${topic}/${partition} ${producerId}:${epoch} (${connection})`;
      const last = this.#last.get(line);
      const goesBack = last !== undefined && baseSequence < last.next;
      const isTogether = last !== undefined && nowMs - last.answeredAtMs < ROUND_TRIP_MS_MIN;
      if (isTogether && (goesBack || last.goesBack)) {
        wrong = `${line}:${baseSequence} was in flight together with a batch that was sent again, or is one and was not alone`;
      }
      const answeredAtMs = nowMs + (fault?.delayMs ?? 0);
      this.#last.set(line, { answeredAtMs, next: baseSequence + count, goesBack });
    }
    return wrong;
  }
}
