// Takes letters out of their logs, by whichever process holds them.
//
//   log is held     ── POST /dead-letters/drop to the service's admin port ── supervisor ── the worker
//   log is free     ── opened here, as a worker opens it
//
// The service is told the random id of each log, so that another service on that port drops nothing. Rejected: a signal or a
// file that the worker watches; neither answers, and "dropped" has to mean synced.

import { userInfo } from "node:os";
import type { LetterDrop, LettersDropped } from "../../admin/state.ts";
import type { Config } from "../../config.ts";
import { systemClock } from "../../clock.ts";
import { DeadLetters } from "../../spool/dead-letters.ts";
import { nodeFileSystem } from "../../spool/file-system.ts";
import { createLogger } from "../../telemetry/log.ts";
import { createMetrics } from "../../telemetry/metrics.ts";
import { AdminError, credentialsRemedy, isRefusal } from "../admin-error.ts";
import { AdminPort, type Answered } from "../admin-port.ts";
import { type AdminTarget, adminTarget, type AdminValues } from "../admin-target.ts";
import { CliError, messageOf } from "../io.ts";
import type { FoundLetter } from "./letters.ts";

/** Letters that are dropped with one request; the service writes one log line a request. */
const LETTERS_MAX = 500;
/** More than a worker may take for it. */
const TIMEOUT_MS = 60_000;

export class Dropper {
  readonly #config: Config;
  readonly #admin: AdminValues;
  readonly #why: LetterDrop["why"];
  #target: AdminTarget | undefined;

  /** @param admin what was said of the service's admin port. */
  constructor(config: Config, admin: AdminValues, why: LetterDrop["why"]) {
    this.#config = config;
    this.#admin = admin;
    this.#why = why;
  }

  /** Throws a CliError if these letters could not be dropped now: a retry that finds out later sends its events twice. */
  async check(letters: readonly FoundLetter[]): Promise<void> {
    for (const [dir, [first]] of Map.groupBy(letters, (letter) => letter.dir)) {
      if (!(await isHeld(dir))) continue;
      const { problems } = await this.#ask({ ...this.#request([]), logs: logsOf([first!]) });
      if (problems.length > 0) throw new CliError(problems.join("; "));
    }
  }

  /** Drops the letters; `problems` say which could not be. Throws a CliError if the service cannot be asked. */
  async drop(letters: readonly FoundLetter[]): Promise<LettersDropped> {
    const outcomes: LettersDropped[] = [];
    for (const [dir, those] of Map.groupBy(letters, (letter) => letter.dir)) {
      for (let at = 0; at < those.length; at += LETTERS_MAX) {
        const request = this.#request(those.slice(at, at + LETTERS_MAX));
        outcomes.push((await isHeld(dir)) ? await this.#ask(request) : await this.#dropHere(dir, request));
      }
    }
    return {
      dropped: outcomes.flatMap(({ dropped }) => dropped),
      events: outcomes.reduce((sum, { events }) => sum + events, 0),
      missing: outcomes.flatMap(({ missing }) => missing),
      problems: outcomes.flatMap(({ problems }) => problems),
    };
  }

  #request(letters: readonly FoundLetter[]): LetterDrop {
    const by = `${userName()}, sluice dead-letters ${this.#why === "retried" ? "retry" : "drop"}, pid ${process.pid}`;
    return { letters: letters.map(({ id }) => id), logs: logsOf(letters), why: this.#why, by };
  }

  async #ask(request: LetterDrop): Promise<LettersDropped> {
    // Read when it is needed only: without a service letters are dropped here, whatever its certificate is like.
    const target = (this.#target ??= adminTarget(this.#admin, this.#config));
    if (target.address.port === 0)
      throw new CliError(
        "a service holds the dead-letter log, and ADMIN_LISTEN says port 0, which is any; give the service's ADMIN_LISTEN, or --admin",
      );
    // Without a signal: what was stored is dropped also when the command is asked to end.
    const port = new AdminPort(target);
    let answered: Answered;
    try {
      answered = await port.ask("/dead-letters/drop", { method: "POST", json: request, timeoutMs: TIMEOUT_MS });
    } catch (cause) {
      if (!(cause instanceof AdminError)) throw cause;
      throw new CliError(
        `a service holds the dead-letter log, and its admin port at ${port.where} cannot be asked (${cause.why}); ${cause.remedy}`,
        { cause },
      );
    }
    const { status, body } = answered;
    if (status >= 200 && status < 300) return JSON.parse(body) as LettersDropped;
    const remedy = isRefusal(status) ? `; ${credentialsRemedy(target)}` : "";
    throw new CliError(`the service at ${port.where} does not drop dead letters (${status}): ${body.trim()}${remedy}`);
  }

  async #dropHere(dir: string, request: LetterDrop): Promise<LettersDropped> {
    // Its lines are those of the service, and go where they would have gone.
    const log = createLogger({ level: this.#config.logLevel, name: "dead-letters" });
    const letters = new DeadLetters(
      { log, metrics: createMetrics(), clock: systemClock, fs: nodeFileSystem },
      { dir, segmentBytes: this.#config.spoolSegmentBytes },
    );
    try {
      await letters.start();
      const outcome = await letters.drop(request);
      return { ...outcome, problems: [] };
    } catch (cause) {
      throw new CliError(messageOf(cause), { cause });
    } finally {
      await letters.drain();
      await letters.dispose();
    }
  }
}

/** Does a service, or anybody else, hold the log? */
async function isHeld(dir: string): Promise<boolean> {
  try {
    const lock = await nodeFileSystem.lock(`${dir}/lock`);
    await lock?.release();
    return lock === undefined;
  } catch (cause) {
    throw new CliError(`the dead-letter log in ${dir} cannot be changed: ${messageOf(cause)}`, { cause });
  }
}

function logsOf(letters: readonly FoundLetter[]): Readonly<Record<string, string>> {
  return Object.fromEntries(letters.map(({ worker, logId }) => [worker, logId.toString("hex")]));
}

/** For the service's log. A container's user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? "unknown"}`;
  }
}
