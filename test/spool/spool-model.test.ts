// The spool against a model, by random sequences of what can happen to it: batches, outcomes in any order, faults of the
// disk, shutdowns, crashes and power cuts. The model is a list of what was appended and what became of it.

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Code, IngestError } from "../../src/errors.ts";
import { UNASSIGNED_PARTITION } from "../../src/ingest/producer.ts";
import type { Lane, LaneEntry } from "../../src/spool/lane.ts";
import { seeded, settle, slowly, type SpoolFixture, startSpool, stopSpool } from "./support/fixtures.ts";
import { MemoryFileSystem } from "./support/memory-file-system.ts";

const PARTITIONS = [UNASSIGNED_PARTITION, 0, 1];
const OPTIONS = { segmentBytes: 500, bytesMax: 6000 };

interface ModelBatch {
  readonly text: string;
  readonly partition: number;
  readonly count: number;
  /**
   * What was told; "done" if Kafka or the dead-letter log has it; "unknown" if the process died first, or it was told so;
   * "recovered" if a later process found it although nobody was told that it is stored.
   */
  state: "pending" | "stored" | "refused" | "unknown" | "recovered" | "done";
}

class Model {
  readonly batches: ModelBatch[] = [];
  /** Batches that were done in this or an earlier life whose marker may not have survived a crash. */
  readonly maybeBack = new Set<ModelBatch>();
  /** A sync failed: what it was about can be read until the power goes, and is gone then. */
  syncFailed = false;

  find(text: string): ModelBatch {
    const batch = this.batches.find((each) => each.text === text);
    assert.ok(batch, `${text} was never appended`);
    return batch;
  }
}

interface Real {
  fixture: SpoolFixture;
  /** Of this life. */
  taken: { readonly lane: Lane; readonly index: number; readonly entry: LaneEntry; readonly batch: ModelBatch }[];
  persisted: number;
  next: number;
}

/** Brings what the settlers were told into the model. */
function listen(model: Model, real: Real): void {
  for (const [text, outcome] of real.fixture.outcomes.all) {
    const batch = model.find(text);
    if (batch.state !== "pending") continue;
    if (!(outcome instanceof IngestError)) {
      batch.state = "stored";
      real.persisted += batch.count;
    } else {
      batch.state = outcome.code === Code.RESOURCE_EXHAUSTED ? "refused" : "unknown";
    }
  }
}

function check(model: Model, real: Real): void {
  listen(model, real);
  const { spool, metrics } = real.fixture;
  for (const partition of PARTITIONS.slice(1)) {
    const lanes = [...spool.backlogs.topics()].flatMap((topic) => [topic.unassigned, topic.lanes.get(partition)]);
    const sum = lanes.reduce((total, lane) => total + (lane?.backlog ?? 0), 0);
    assert.equal(spool.backlog("clicks", partition), sum);
  }
  const value = (family: typeof metrics.eventsForwarded) => family.with("clicks").value;
  const recovered = spool.recoveredEvents.get("clicks") ?? 0;
  const done = value(metrics.eventsForwarded) + value(metrics.eventsDeadLettered);
  assert.equal(real.persisted + recovered, done + metrics.eventsSpooled.with("clicks").value, "the ledger balances");
}

/** After a start: what has to be there, what must not be, and in which order. */
function checkRecovered(model: Model, real: Real, clean: boolean): void {
  const open = real.fixture.open();
  assert.equal(new Set(open).size, open.length, "nothing is there twice");
  for (const partition of PARTITIONS) {
    const mine = open.filter((text) => model.find(text).partition === partition);
    const order = model.batches.filter(({ text }) => mine.includes(text)).map(({ text }) => text);
    assert.deepEqual(mine, order, "in the order of appending");
  }
  for (const batch of model.batches) {
    const there = open.includes(batch.text);
    if (batch.state === "stored") assert.ok(there, `${batch.text} was acknowledged and is gone`);
    if (batch.state === "refused") assert.ok(!there, `${batch.text} was answered as not stored and is there`);
    if (batch.state === "done" && there) {
      assert.ok(!clean || model.maybeBack.has(batch), `${batch.text} was done before a clean end and is back`);
      batch.state = "recovered";
    }
    // One that nobody knows may come back later still: the name of a segment that was deleted may survive a power cut.
    if (batch.state === "recovered" && !there) {
      assert.ok(model.syncFailed, `${batch.text} was found after a crash and is gone`);
      batch.state = "unknown";
    }
    if (batch.state === "unknown" || batch.state === "pending") batch.state = there ? "recovered" : "unknown";
    if (batch.state === "done" && !there) model.maybeBack.delete(batch);
  }
}

type Command = fc.AsyncCommand<Model, Real>;

abstract class Step implements Command {
  check(): boolean {
    return true;
  }

  async run(model: Model, real: Real): Promise<void> {
    await this.act(model, real);
    check(model, real);
  }

  abstract act(model: Model, real: Real): Promise<void>;

  toString(): string {
    return `${this.constructor.name}(${JSON.stringify(Object.values(this))})`;
  }
}

class Append extends Step {
  readonly partition: number;
  readonly size: number;
  readonly count: number;
  constructor(partition: number, size: number, count: number) {
    super();
    this.partition = partition;
    this.size = size;
    this.count = count;
  }

  async act(model: Model, real: Real): Promise<void> {
    const text = `${real.next++} `.padEnd(this.size, "x");
    const { partition, count } = this;
    model.batches.push({ text, partition, count, state: "pending" });
    real.fixture.append(text, { partition, count });
  }
}

class LetRun extends Step {
  readonly turns: number;
  constructor(turns: number) {
    super();
    this.turns = turns;
  }

  act(): Promise<void> {
    return settle(this.turns);
  }
}

class Take extends Step {
  readonly partition: number;
  constructor(partition: number) {
    super();
    this.partition = partition;
  }

  async act(model: Model, real: Real): Promise<void> {
    const lane = real.fixture.spool.backlogs.topic("clicks").lane(this.partition);
    const entry = lane.peek();
    if (entry === undefined) return;
    const bytes = real.fixture.fs.contents(entry.segment.path).subarray(entry.position, entry.position + entry.bytes);
    const batch = model.find(bytes.subarray(24 + 18 + 6).toString());
    assert.equal(batch.count, entry.count);
    real.taken.push({ lane, index: lane.take(), entry, batch });
  }
}

class Finish extends Step {
  readonly which: number;
  readonly dead: boolean;
  constructor(which: number, dead: boolean) {
    super();
    this.which = which;
    this.dead = dead;
  }

  async act(model: Model, real: Real): Promise<void> {
    const [taken] = real.taken.splice(this.which % Math.max(1, real.taken.length), 1);
    if (taken === undefined) return;
    const { lane, index, entry, batch } = taken;
    const { spool } = real.fixture;
    if (this.dead) spool.deadLettered(lane, index, entry, 1);
    else spool.forwarded(lane, index, entry);
    batch.state = "done";
    model.maybeBack.add(batch);
  }
}

class Wait extends Step {
  readonly ms: number;
  constructor(ms: number) {
    super();
    this.ms = ms;
  }

  act(_: Model, real: Real): Promise<void> {
    return real.fixture.clock.advance(this.ms);
  }
}

class Fault extends Step {
  readonly operation: "write" | "sync" | "truncate" | "remove" | "open" | "syncDirectory" | "rename";
  readonly code: string;
  readonly times: number;
  constructor(operation: Fault["operation"], code: string, times: number) {
    super();
    this.operation = operation;
    this.code = code;
    this.times = times;
  }

  async act(model: Model, real: Real): Promise<void> {
    if (this.operation === "sync") model.syncFailed = true;
    real.fixture.fs.fail(this.operation, /./, this.code, this.times);
  }
}

class Fill extends Step {
  readonly room: number;
  constructor(room: number) {
    super();
    this.room = room;
  }

  async act(_: Model, real: Real): Promise<void> {
    const { fs } = real.fixture;
    fs.capacity = fs.paths().reduce((sum, path) => sum + fs.contents(path).length, this.room);
  }
}

class Heal extends Step {
  async act(_: Model, real: Real): Promise<void> {
    heal(real);
  }
}

function heal(real: Real): void {
  real.fixture.fs.heal();
  real.fixture.fs.capacity = Infinity;
}

class Restart extends Step {
  readonly end: "shutdown" | "crash" | "power cut";
  readonly seed: number;
  constructor(end: Restart["end"], seed: number) {
    super();
    this.end = end;
    this.seed = seed;
  }

  async act(model: Model, real: Real): Promise<void> {
    heal(real);
    if (this.end === "shutdown") {
      real.fixture.fs.before = undefined;
      await settle();
      // After a full disk nothing is tried for a moment; markers have to be tried.
      await real.fixture.clock.advance(2000);
      await stopSpool(real.fixture);
    }
    listen(model, real);
    if (this.end === "shutdown") model.maybeBack.clear();
    const { fs, clock } = real.fixture;
    fs.before = undefined;
    const next = this.end === "power cut" ? fs.cutPower(seeded(this.seed)) : fs.kill();
    real.fixture = await startSpool(next, OPTIONS, clock);
    next.before = slowly(seeded(this.seed));
    real.taken = [];
    real.persisted = 0;
    checkRecovered(model, real, this.end === "shutdown");
  }
}

test("whatever happens, the spool does what the model does", async () => {
  const partition = fc.constantFrom(...PARTITIONS);
  const commands = fc.commands<Model, Real, false>(
    [
      fc.tuple(partition, fc.nat(200), fc.integer({ min: 1, max: 5 })).map((args) => new Append(...args)),
      fc.tuple(partition, fc.nat(200), fc.integer({ min: 1, max: 5 })).map((args) => new Append(...args)),
      fc.integer({ min: 1, max: 6 }).map((turns) => new LetRun(turns)),
      fc.integer({ min: 1, max: 6 }).map((turns) => new LetRun(turns)),
      partition.map((each) => new Take(each)),
      partition.map((each) => new Take(each)),
      fc.tuple(fc.nat(20), fc.boolean()).map((args) => new Finish(...args)),
      fc.tuple(fc.nat(20), fc.boolean()).map((args) => new Finish(...args)),
      fc.constantFrom(100, 600, 5000).map((ms) => new Wait(ms)),
      fc
        .tuple(
          fc.constantFrom("write", "sync", "truncate", "remove", "open", "syncDirectory", "rename"),
          fc.constantFrom("EIO", "ENOSPC"),
          fc.integer({ min: 1, max: 4 }),
        )
        .map((args) => new Fault(...args)),
      fc.nat(400).map((room) => new Fill(room)),
      fc.constant(new Heal()),
      fc.tuple(fc.constantFrom("shutdown", "crash", "power cut"), fc.nat()).map((args) => new Restart(...args)),
    ],
    { size: "+1", maxCommands: 80 },
  );
  await fc.assert(
    fc.asyncProperty(commands, async (sequence) => {
      const fixture = await startSpool(new MemoryFileSystem(), OPTIONS);
      fixture.fs.before = slowly(seeded(1));
      const real: Real = { fixture, taken: [], persisted: 0, next: 0 };
      const model = new Model();
      await fc.asyncModelRun(() => ({ model, real }), sequence);
      for (const end of ["crash", "shutdown", "shutdown"] as const) await new Restart(end, 0).run(model, real);
    }),
    { numRuns: 150 },
  );
});
