// How metrics are declared.
//
// Names follow Prometheus: base units (_seconds, _bytes), _total for counters, labels of low cardinality only.

import { SizeHistogram, TIME_BUCKETS, TimeHistogram } from "../histograms.ts";
import { Counter, Family, Gauge, type MetricDefinition, ReadGauge } from "../instruments.ts";
import type { LabelLimit } from "../label-limit.ts";

interface Options {
  readonly labels?: readonly string[];
  readonly perWorker?: boolean;
}

/** For metrics of each worker. */
export const PER_WORKER = { perWorker: true } as const;
/** For metrics of each topic and worker. */
export const PER_TOPIC_AND_WORKER = { labels: ["topic"], perWorker: true } as const;

/** Makes families; labels with a limit are folded in all of them alike. */
export class Define {
  readonly #limits: Readonly<Record<string, LabelLimit>>;

  constructor(limits: Readonly<Record<string, LabelLimit>> = {}) {
    this.#limits = limits;
  }

  counter(name: string, help: string, options: Options = {}): Family<Counter> {
    return this.#family("counter", name, help, options, () => new Counter());
  }

  gauge(name: string, help: string, options: Options = {}): Family<Gauge> {
    return this.#family("gauge", name, help, options, () => new Gauge());
  }

  readGauge(name: string, help: string, options: Options = {}): Family<ReadGauge> {
    return this.#family("gauge", name, help, options, () => new ReadGauge());
  }

  time(name: string, help: string, options: Options = {}): Family<TimeHistogram> {
    return this.#family("histogram", name, help, options, () => new TimeHistogram(), TIME_BUCKETS);
  }

  /** @param bounds of `powersOfTwo`. */
  size(name: string, help: string, bounds: readonly number[], options: Options = {}): Family<SizeHistogram> {
    return this.#family("histogram", name, help, options, () => new SizeHistogram(bounds), bounds);
  }

  #family<T extends Counter | Gauge | ReadGauge | TimeHistogram | SizeHistogram>(
    type: MetricDefinition["type"],
    name: string,
    help: string,
    { labels = [], perWorker = false }: Options,
    make: () => T,
    bounds?: readonly number[],
  ): Family<T> {
    const definition = { name, help, type, labels, perWorker, ...(bounds === undefined ? {} : { bounds }) };
    return new Family(definition, make, this.#limits);
  }
}
