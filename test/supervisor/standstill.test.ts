// A supervisor that stood still hears of everything late, and must not take that for others' silence.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { triggers } from "../../src/config/triggers.ts";
import type { Cause } from "../../src/incidents/incident.ts";
import type { Trigger } from "../../src/incidents/triggers.ts";
import { Silence } from "../../src/supervisor/silence.ts";
import { Timeline } from "../../src/supervisor/timeline.ts";
import { PRICES } from "../../src/telemetry/history-reader.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { FakeClock } from "../support/fake-clock.ts";

/** A clock that can stand still with everything that runs by it, and whose timers are late after that. */
class StoppableClock extends FakeClock {
  #stoodMs = 0;
  standStill(ms: number): void {
    this.#stoodMs += ms;
  }
  override now(): number {
    return super.now() + this.#stoodMs;
  }
  override monotonic(): number {
    return super.monotonic() + this.#stoodMs;
  }
}

/** A worker that speaks every second, as long as the test lets it. */
class Scene {
  readonly clock = new StoppableClock();
  readonly dir = mkdtempSync(join(tmpdir(), "sluice-test-"));
  readonly fired: Trigger[] = [];
  readonly begun: Cause[] = [];
  readonly timeline: Timeline;
  readonly silence: Silence;
  readonly #slot;
  #heardMs = 0;

  constructor() {
    const { clock, dir } = this;
    const heardMs = () => this.#heardMs;
    this.#slot = {
      name: "0",
      metrics: { living: () => undefined },
      get silentMs() {
        return clock.monotonic() - heardMs();
      },
    };
    const read = triggers.parse("default");
    assert.ok("value" in read);
    this.timeline = new Timeline(
      {
        log: silentLogger(),
        clock,
        slots: [this.#slot],
        own: () => undefined,
        onTrigger: (trigger) => this.fired.push(trigger),
      },
      { dataDir: dir, triggers: read.value, prices: PRICES, supervisor: "supervisor" },
    );
    this.silence = new Silence({
      slots: [this.#slot],
      dir,
      watchdogTimeoutMs: 5_000,
      clock,
      failed: (error) => assert.fail(String(error)),
      begin: async (cause) => {
        this.begun.push(cause);
        await Promise.resolve();
      },
    });
    this.timeline.start();
  }

  async seconds(count: number, { speaks }: { readonly speaks: boolean }): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.clock.advance(1_000);
      this.silence.look();
      await this.silence.idle();
      if (!speaks) continue;
      this.#heardMs = this.clock.monotonic();
      this.timeline.pushed(this.#slot, this.clock.now());
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.timeline.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

test("a standstill of the supervisor, or of the machine, is no worker's silence", async () => {
  await using scene = new Scene();
  await scene.seconds(30, { speaks: true });
  scene.clock.standStill(14_000);
  // What was said meanwhile is read only after the first looks.
  await scene.seconds(1, { speaks: false });
  await scene.seconds(30, { speaks: true });
  assert.deepEqual(scene.begun, []);
  assert.deepEqual(scene.fired, []);
});

test("a worker that is silent while the supervisor looks is seen, and one that stays so after a standstill, too", async () => {
  for (const standMs of [0, 14_000]) {
    await using scene = new Scene();
    await scene.seconds(30, { speaks: true });
    scene.clock.standStill(standMs);
    await scene.seconds(15, { speaks: false });
    assert.deepEqual(
      scene.begun.map(({ kind }) => kind),
      ["unresponsive"],
    );
    assert.deepEqual(
      scene.fired.map(({ kind }) => kind),
      ["event_loop"],
    );
  }
});
