// A native server that is attacked, with somebody honest beside the attacker who has to be served all the while.

import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { pino } from "pino";
import { type Clock, systemClock } from "../../../src/clock.ts";
import { type NativeOptions, NativeServer } from "../../../src/grpc/native/server.ts";
import type { Attack } from "../../../src/http2/error-code.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { RawClient } from "../../support/raw-client.ts";
import { TEST_OPTIONS } from "./options.ts";
import { EchoCounts, echoMethods, UNARY } from "./echo.ts";
import { RawConnection, type RawOptions } from "./raw-connection.ts";

export class Victim implements AsyncDisposable {
  readonly server: NativeServer;
  readonly metrics = createMetrics();
  readonly counts = new EchoCounts();
  /** What was logged, a parsed line each. */
  readonly lines: Readonly<Record<string, unknown>>[] = [];
  readonly #connections: RawConnection[] = [];

  constructor(options: Partial<NativeOptions>, clock: Clock) {
    const lines = this.lines;
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>);
        done();
      },
    });
    this.server = new NativeServer(
      { log: pino({ level: "info" }, sink), metrics: this.metrics, clock },
      echoMethods(this.counts),
      { ...TEST_OPTIONS, ...options },
    );
  }

  static async start(options: Partial<NativeOptions> = {}, clock: Clock = systemClock): Promise<Victim> {
    const victim = new Victim(options, clock);
    await victim.server.start();
    return victim;
  }

  /** An attacker's connection, closed in the end. */
  async connect(options: RawOptions = { settings: [] }): Promise<RawConnection> {
    const connection = await RawConnection.open(this.server.address, options);
    this.#connections.push(connection);
    return connection;
  }

  /** How often an attack was counted. */
  attacks(kind: Attack): number {
    return this.metrics.grpcAttacks.with(kind).value;
  }

  /** Every attack that was counted. */
  get allAttacks(): Readonly<Record<string, number>> {
    const counted = this.metrics.grpcAttacks.snapshot().series.filter(([, value]) => value !== 0);
    return Object.fromEntries(counted.map(([labels, value]) => [labels.join(), value as number]));
  }

  /** The lines about an attack. */
  told(kind: Attack): readonly Readonly<Record<string, unknown>>[] {
    return this.lines.filter((line) => Object.values(line).includes(kind));
  }

  /** One attack of this kind, and no other, was counted and told. */
  assertAttacked(kind: Attack): void {
    assert.deepEqual(Object.keys(this.allAttacks), [kind], JSON.stringify(this.allAttacks));
    assert.notEqual(this.told(kind).length, 0, `nothing was logged of ${kind}: ${JSON.stringify(this.lines)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) connection[Symbol.dispose]();
    await this.server.dispose();
  }
}

/**
 * Runs an attack while an honest client (@grpc/grpc-js') calls on one connection of its own; none of its calls may fail, during
 * the attack or after it.
 */
export async function whileServing(victim: Victim, attack: () => Promise<void>): Promise<void> {
  using bystander = new RawClient(victim.server.address);
  const call = async (i: number): Promise<void> => {
    const bytes = Buffer.from(`bystander ${i}`);
    const answer = await bystander.unary(UNARY, bytes, { deadline: Date.now() + 20_000 });
    assert.deepEqual(answer, bytes, "the other client was not served");
  };
  const over = new AbortController();
  let calls = 0;
  await call(calls++);
  const calling = (async () => {
    while (!over.signal.aborted) {
      await call(calls++);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  })();
  try {
    await Promise.race([attack(), calling]);
  } finally {
    over.abort();
    await calling;
  }
  for (let i = 0; i < 3; i++) await call(calls++);
}

/** Starts a server, attacks it while it serves somebody else, and ends it. */
export async function underAttack(
  options: Partial<NativeOptions>,
  attack: (victim: Victim) => Promise<void>,
): Promise<void> {
  await using victim = await Victim.start(options);
  await whileServing(victim, () => attack(victim));
}

/** Sends what `make` makes, piece by piece, until the server says GOAWAY or closes. @returns how many were sent. */
export async function flood(
  connection: RawConnection,
  make: (i: number) => Uint8Array,
  options: { readonly max?: number; readonly batch?: number } = {},
): Promise<number> {
  const { max = 50_000, batch = 100 } = options;
  let sent = 0;
  for (; sent < max && connection.wentAway === undefined && !connection.isClosed; sent += batch) {
    const first = sent;
    await connection.sendAll(...Array.from({ length: batch }, (_, i) => make(first + i)));
    await new Promise((resolve) => setImmediate(resolve));
  }
  return sent;
}
