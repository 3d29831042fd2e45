// One worker slot: the process that lives in it, the service in that process, and the next one when it ends.
//
// It stands for the supervisor: what ends is started again a moment later, with the settings of that moment.

import pino from "pino";
import type { Config } from "../../src/config.ts";
import { createService, type Service } from "../../src/service.ts";
import type { Metrics } from "../../src/telemetry/metrics.ts";
import type { Chance } from "../kafka/support/random.ts";
import { checkDrained } from "./checker.ts";
import { SimulatedProcess, type ProcessEnd } from "./process.ts";
import { SimulatedServer } from "./server.ts";
import type { World } from "./world.ts";

export interface Life {
  readonly process: SimulatedProcess;
  readonly service: Service;
  readonly config: Config;
  server: SimulatedServer | undefined;
  /** Did `start` resolve? */
  started: boolean;
  draining: boolean;
  /** Did the drain end before its deadline? */
  drainedInTime: boolean;
}

const DRAIN_MS = 8_000;
/** A drain may take so long beyond its deadline, for a disk that stalls. */
const DRAIN_SLACK_MS = 60_000;

export class Slot {
  readonly index: number;
  readonly #world: World;
  readonly #chance: Chance;
  life: Life | undefined;
  /** No process is to live here any more. */
  closed = false;
  #lives = 0;
  #restarting = false;

  constructor(index: number, world: World, chance: Chance) {
    this.index = index;
    this.#world = world;
    this.#chance = chance;
  }

  get serving(): boolean {
    return this.life?.server?.serving === true && this.life.started && !this.life.draining;
  }

  start(): void {
    const world = this.#world;
    const name = `w${this.index}.${this.#lives++}`;
    const process = new SimulatedProcess(name, world.scheduler, this.#chance);
    const config: Config = { ...world.config(), kafkaClientId: name };
    const life: { -readonly [K in keyof Life]: Life[K] } = {
      process,
      config,
      service: createService({
        config,
        workerIndex: this.index,
        log: loggerOf((line) => world.trace.note(world.scheduler.nowMs, name, line)),
        environment: {
          clock: process.clock,
          fs: world.disk.mount(process, () => life.started),
          random: () => this.#chance.next(),
          dial: world.network.dialFor(process),
          createServer: (methods) => {
            life.server = new SimulatedServer(methods, process, world.scheduler, this.#chance);
            return life.server;
          },
        },
      }),
      server: undefined,
      started: false,
      draining: false,
      drainedInTime: false,
    };
    this.life = life;
    world.note(name, `starts (${config.kafkaBrokers.length} brokers, ${config.workers} workers)`);
    world.began(life);
    life.service.start().then(
      () => {
        life.started = true;
        world.note(name, "is ready");
      },
      (thrown: unknown) => {
        world.note(name, `did not start: ${String(thrown)}`);
        this.end("killed");
      },
    );
  }

  /** The process ends, and another one starts after a while. */
  end(how: ProcessEnd): void {
    const { life } = this;
    if (life === undefined || !life.process.alive) return;
    this.#world.note(life.process.name, how);
    life.process.end(how);
    this.#world.ended(life);
    this.#restart();
  }

  /** Ends as SIGTERM ends it. */
  async drain(): Promise<void> {
    const { life } = this;
    if (life === undefined || !life.started || life.draining || !life.process.alive) return;
    const world = this.#world;
    const { process, service } = life;
    life.draining = true;
    world.note(process.name, "drains");
    const deadlineMs = process.clock.now() + DRAIN_MS;
    const violate = (): void =>
      world.history.violate(`${process.name} did not end within ${DRAIN_SLACK_MS} ms after the deadline of its drain`);
    // A process that stood still gets some time of its own.
    process.after(DRAIN_MS + DRAIN_SLACK_MS, () => process.after(DRAIN_MS, violate));
    const drainedFromMs = world.scheduler.nowMs;
    await service.drain(deadlineMs);
    life.drainedInTime = process.alive && process.clock.now() < deadlineMs;
    // Calls are ended a little before that, at most by a quarter of the time (src/service.ts).
    const callsEndMs = deadlineMs - Math.min(1_000, (deadlineMs - drainedFromMs) / 4);
    if (process.alive && process.clock.now() < callsEndMs) checkDrained(world, process.name, drainedFromMs);
    await service.dispose();
    // What the dead say is not heard: this goes on only if the process lived until here.
    if (process.alive) this.end("killed");
  }

  #restart(): void {
    if (this.#restarting || this.closed) return;
    this.#restarting = true;
    void this.#world.scheduler.sleep(50 + this.#chance.next() * 3_000).then(() => {
      this.#restarting = false;
      if (!this.closed) this.start();
    });
  }
}

/** What is alive of a service's metrics. */
export function metricsOf(life: Life): Metrics {
  return life.service.metrics;
}

function loggerOf(write: (line: string) => void): pino.Logger {
  const serializers = { err: (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown)) };
  const destination = { write: (line: string) => write(line.trimEnd()) };
  return pino({ level: "info", base: null, timestamp: false, serializers }, destination);
}
