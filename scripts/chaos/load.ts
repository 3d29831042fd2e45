// The load client: a process of its own, started by the run with a plan, that sends until SIGTERM and then settles.

import { setMaxListeners } from "node:events";
import { connect } from "../../src/client/index.ts";
import { RecordWriter } from "./record.ts";
import { Sender, type SenderPlan } from "./sender.ts";

/** As JSON in the first argument. */
export interface LoadPlan {
  readonly run: string;
  readonly address: string;
  readonly recordFile: string;
  readonly seed: number;
  readonly senders: readonly SenderPlan[];
}

/** What each topic of a run is for. */
export interface LoadTopics {
  /** Take both durabilities. There PERSISTED stands in line behind REPLICATED while Kafka takes nothing. */
  readonly mixed: readonly string[];
  /** Takes PERSISTED only, and so fills the spool when Kafka takes nothing. */
  readonly persisted: string;
  /** Will be deleted. It has senders of its own: what waits for it must not fill the windows of the others. */
  readonly doomed: string;
}

/** Streams and unary callers, for one durability and for both in turn. */
export function planSenders({ mixed, persisted, doomed }: LoadTopics, rate: number): readonly SenderPlan[] {
  const shapes = [
    { kind: "stream", topics: mixed, durabilities: [1, 2], share: 3 },
    { kind: "stream", topics: mixed, durabilities: [1, 2], share: 3 },
    { kind: "stream", topics: mixed, durabilities: [2], share: 2 },
    { kind: "stream", topics: mixed, durabilities: [1], share: 2 },
    { kind: "unary", topics: mixed, durabilities: [1, 2], share: 1 },
    { kind: "unary", topics: mixed, durabilities: [2], share: 1 },
    { kind: "unary", topics: mixed, durabilities: [1], share: 1 },
    { kind: "stream", topics: [persisted], durabilities: [2], share: 2 },
    { kind: "stream", topics: [persisted], durabilities: [2], share: 2 },
    { kind: "unary", topics: [persisted], durabilities: [2], share: 1 },
    { kind: "stream", topics: [doomed], durabilities: [1, 2], share: 1 },
    { kind: "stream", topics: [doomed], durabilities: [2], share: 1 },
    { kind: "unary", topics: [doomed], durabilities: [1, 2], share: 1 },
  ] as const;
  const shares = shapes.reduce((sum, { share }) => sum + share, 0);
  return shapes.map(({ share, ...shape }) => ({ ...shape, rate: (rate * share) / shares }));
}

async function main({ run, address, recordFile, seed, senders }: LoadPlan): Promise<void> {
  const record = new RecordWriter(recordFile);
  const ending = new AbortController();
  setMaxListeners(2 * senders.length, ending.signal);
  process.once("SIGTERM", () => {
    ending.abort();
  });
  const client = connect(address);
  await Promise.all(
    senders.map((plan, index) => {
      return new Sender({ run, index, seed: seed + index }, plan, client, record).send(ending.signal);
    }),
  );
  await client.close();
  record.close();
}

if (import.meta.main) await main(JSON.parse(process.argv[2]!) as LoadPlan);
