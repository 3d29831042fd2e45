// The service's own books, looked at every second: do they balance, at every look and for every topic?
//
// A service that is killed takes its counters along, so they are added up over its lives; what the last second before a kill
// counted is lost.

import { type Ledger, ledgerMistakes, readLedger, samples } from "../../src/cli/ledger.ts";

const INTERVAL_MS = 1_000;
const TIMEOUT_MS = 5_000;
const MISTAKES_MAX = 20;

export class LedgerWatch implements AsyncDisposable {
  readonly #url: string;
  readonly #topics: readonly string[];
  readonly #mistakes: string[] = [];
  readonly #pastLives = new Map<string, number>();
  #metrics = "";
  #life = 0;
  #looks = 0;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<unknown> = Promise.resolve();

  constructor(adminUrl: string, topics: readonly string[]) {
    this.#url = `${adminUrl}/metrics`;
    this.#topics = topics;
  }

  start(): void {
    this.#timer ??= setInterval(() => {
      this.#looking = this.#looking.then(() => this.look());
    }, INTERVAL_MS);
  }

  /** The books that did not balance, each as a sentence. */
  get mistakes(): readonly string[] {
    return this.#mistakes;
  }

  /** How often they were looked at. */
  get looks(): number {
    return this.#looks;
  }

  /** Looks now. Resolves with false if the service does not answer. */
  async look(): Promise<boolean> {
    const life = this.#life;
    const metrics = await fetch(this.#url, { signal: AbortSignal.timeout(TIMEOUT_MS) }).then(
      async (response) => (response.ok ? await response.text() : undefined),
      () => undefined,
    );
    // What a life that has ended meanwhile told last is in the past already.
    if (metrics === undefined || life !== this.#life) return false;
    this.#metrics = metrics;
    this.#looks++;
    for (const topic of [undefined, ...this.#topics]) {
      for (const mistake of ledgerMistakes(readLedger(metrics, topic))) {
        if (this.#mistakes.length < MISTAKES_MAX)
          this.#mistakes.push(`${new Date().toISOString()} ${topic ?? "all topics"}: ${mistake}`);
      }
    }
    return true;
  }

  /** The books at the last look; they begin anew with each life of the service. */
  ledger(topic?: string): Ledger {
    return readLedger(this.#metrics, topic);
  }

  /** The sum over a metric's series at the last look, of those with these labels. */
  now(name: string, labels: Readonly<Record<string, string>> = {}): number {
    let sum = 0;
    for (const sample of samples(this.#metrics)) {
      if (sample.name === name && Object.entries(labels).every(([label, is]) => sample.labels[label] === is))
        sum += sample.value;
    }
    return sum;
  }

  /** A counter over all lives of the service. */
  total(name: string): number {
    return (this.#pastLives.get(name) ?? 0) + this.now(name);
  }

  /** The service has been killed: its counters begin at 0 again. */
  lifeEnded(): void {
    this.#life++;
    const names = new Set<string>();
    for (const { name } of samples(this.#metrics)) names.add(name);
    for (const name of names) this.#pastLives.set(name, this.total(name));
    this.#metrics = "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }
}
