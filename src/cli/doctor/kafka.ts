// Everything that the doctor asks of Kafka: brokers, topics, consumer groups, clocks. It only reads.
//
// All of it together has a bounded time. What is not done by then, or may not be seen, is a finding of level "unknown", and
// what was found until then is told.

import { setTimeout as pause } from "node:timers/promises";
import { Admin } from "@platformatic/kafka";
import type { Config } from "../../config.ts";
import { kafkaOptions, kafkaReason } from "../kafka.ts";
import { plural } from "../table.ts";
import { acknowledgements, checkBrokerSettings } from "./broker-settings.ts";
import { checkBrokers } from "./brokers.ts";
import { checkClocks } from "./kafka-clock.ts";
import { error, type Finding, type NamedFinding, named, unknown } from "./finding.ts";
import { groupsFacts } from "./group-facts.ts";
import { judgeGroup } from "./groups.ts";
import { absentTopic, judgeTopic, topicFacts, type TopicFacts } from "./topics.ts";

export interface KafkaOptions {
  /** The topics that were asked for, or that the service has. Empty: all of the cluster's. */
  readonly topics: readonly string[];
  /** For how long lag is watched, in milliseconds. */
  readonly lookMs: number;
  readonly signal: AbortSignal;
  /** In all, in milliseconds, beside the time for which lag is watched. */
  readonly timeMaxMs?: number;
}

/** Of a cluster's topics, if nobody says which. */
const TOPICS_MAX = 200;
const TIME_MAX_MS = 30_000;

export async function checkKafka(config: Config, options: KafkaOptions): Promise<NamedFinding[]> {
  const brokers = named("broker", await checkBrokers(config));
  // Without a broker everything else would tell the same once more.
  if (brokers.every(({ level }) => level === "error")) return brokers;
  const timeMaxMs = (options.timeMaxMs ?? TIME_MAX_MS) + options.lookMs;
  const found: NamedFinding[] = [];
  const admin = new Admin(kafkaOptions(config));
  const deadline = AbortSignal.any([AbortSignal.timeout(timeMaxMs), options.signal]);
  const late = new Promise<"late">((resolve) => {
    deadline.addEventListener("abort", () => {
      resolve("late");
    });
  });
  // What comes later than the deadline goes to a list that nobody reads any more.
  const work = new Inspection(admin, config, options, found).run();
  try {
    if ((await Promise.race([work, late])) === "late") {
      work.catch(() => {});
      found.push({
        ...unknown(
          "Kafka",
          `what is not told of it was not looked at: its answers take longer than ${timeMaxMs / 1000} s`,
          "name the topics that matter with --topic, and look at the brokers' load",
        ),
        check: "kafka",
      });
    }
    return [...brokers, ...found];
  } finally {
    await admin.close().catch(() => {});
  }
}

/** One visit: the findings so far are in the list that it was given. */
class Inspection {
  readonly #admin: Admin;
  readonly #config: Config;
  readonly #options: KafkaOptions;
  readonly #found: NamedFinding[];

  constructor(admin: Admin, config: Config, options: KafkaOptions, found: NamedFinding[]) {
    this.#admin = admin;
    this.#config = config;
    this.#options = options;
    this.#found = found;
  }

  async run(): Promise<void> {
    const { kafkaAutoCreateTopics: autoCreate, kafkaClient, recordBatchBytesMax } = this.#config;
    this.#tell("acks", [acknowledgements(kafkaClient)]);
    this.#tell("broker-settings", await checkBrokerSettings(this.#admin, { autoCreate, recordBatchBytesMax }));
    const topics = await this.#topics();
    const counts = new Map(topics.map(({ name, partitions }) => [name, partitions.length]));
    const afterMaxMs = Math.min(...topics.map(({ settings }) => settings?.timestampAfterMaxMs ?? Infinity));
    this.#tell("clock-skew", await checkClocks(this.#admin, counts, afterMaxMs));
    if (counts.size > 0) this.#tell("group", await this.#groups(counts));
  }

  #tell(check: string, findings: readonly Finding[]): void {
    this.#found.push(...named(check, findings));
  }

  /** Those that exist. */
  async #topics(): Promise<TopicFacts[]> {
    const { kafkaAutoCreateTopics: autoCreate, deadLetterTopic, recordBatchBytesMax } = this.#config;
    const names = new Set(await this.#names());
    if (deadLetterTopic !== undefined) names.add(deadLetterTopic);
    const found: TopicFacts[] = [];
    for (const name of names) {
      try {
        const facts = await topicFacts(this.#admin, name);
        found.push(facts);
        this.#tell("topic", judgeTopic(facts, recordBatchBytesMax));
      } catch (thrown) {
        const otherwise =
          name === deadLetterTopic ? "dead letters go to the log instead (DEAD_LETTER_TOPIC)" : "its events fail";
        this.#tell("topic", [absentTopic(name, thrown, autoCreate, otherwise)]);
      }
    }
    return found;
  }

  async #names(): Promise<readonly string[]> {
    if (this.#options.topics.length > 0) return this.#options.topics;
    try {
      const names = await this.#admin.listTopics();
      if (names.length > TOPICS_MAX)
        this.#tell("topic", [
          unknown(
            "topics",
            `${plural(names.length - TOPICS_MAX, "topic")} of ${names.length} were not looked at`,
            "name those that matter with --topic",
          ),
        ]);
      return names.slice(0, TOPICS_MAX);
    } catch (thrown) {
      this.#tell("topic", [
        error(
          "topics",
          `cannot be listed: ${kafkaReason(thrown)}`,
          "check the brokers above, or name topics with --topic",
        ),
      ]);
      return [];
    }
  }

  async #groups(counts: ReadonlyMap<string, number>): Promise<Finding[]> {
    const remedy = "give this user DESCRIBE on groups and on the cluster";
    try {
      const facts = await groupsFacts(this.#admin, counts, async () => {
        await pause(this.#options.lookMs, undefined, { signal: this.#options.signal });
      });
      return [
        ...facts.groups.flatMap((group) => judgeGroup(group, counts)),
        ...facts.unknown.map(({ group, reason }) =>
          unknown(`group ${group}`, `cannot be looked at: ${reason}`, remedy),
        ),
        ...(facts.leftOut === 0
          ? []
          : [
              unknown(
                "groups",
                `${plural(facts.leftOut, "group")} were not looked at: there are too many`,
                "ask Kafka's own tools",
              ),
            ]),
      ];
    } catch (thrown) {
      return [unknown("groups", `cannot be looked at: ${kafkaReason(thrown)}`, remedy)];
    }
  }
}
