// One case: bytes of a client, in pieces, against the server, and everything that has to hold of what comes of it.

import { gunzipSync } from "node:zlib";
import type { Connection } from "../../../src/http2/connection.ts";
import type { Transport } from "../../../src/http2/transport.ts";
import type { Chance } from "../../kafka/support/random.ts";
import { REPEATS } from "../support/echo.ts";
import { windowUpdate } from "../support/frames.ts";
import { ClientModel, type StreamModel } from "./client-model.ts";
import { OutputReader, type StreamOutput, Violation } from "./output-reader.ts";
import { CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES, type Target } from "./target.ts";

export interface Case {
  readonly chunks: readonly Buffer[];
  /** The bytes are those of a real client: every request of it has to be answered, and well, */
  readonly honest: boolean;
  /** but for calls of methods that do not exist, on these streams. */
  readonly unimplemented: readonly number[];
  /** The connection is lost after so many chunks, whatever is under way. */
  readonly lostAfter: number | undefined;
  /** Undefined: the socket takes everything at once, and nothing happens between chunks. */
  readonly chance: Chance | undefined;
}

/** What was answered, in a form that does not depend on how the request was cut. */
export interface Outcome {
  readonly streams: Readonly<Record<number, string>>;
  readonly frames: readonly string[];
}

/** Turns of the event loop after which nothing is under way any more. */
const TURNS_MAX = 200;
const PENDING_WRITE_PROBABILITY = 0.3;
const TURN_PROBABILITY = 0.5;
const GENEROUS = 1_000_000;

class MemoryTransport implements Transport {
  readonly peer = "fuzz";
  readonly peerIdentity = undefined;
  readonly #output: OutputReader;
  readonly #slow: () => boolean;
  /** What was written and may not be changed yet. */
  #lent: { readonly bytes: Uint8Array; readonly copy: Buffer }[] = [];
  paused = false;
  ended = false;
  destroyed = false;
  violation: Error | undefined;

  constructor(output: OutputReader, slow: () => boolean) {
    this.#output = output;
    this.#slow = slow;
  }

  get busy(): boolean {
    return this.#lent.length > 0;
  }

  write(bytes: Uint8Array): boolean {
    return this.writeAll([bytes]);
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    try {
      if (this.busy) throw new Violation("a write while another one is under way");
      if (this.ended) throw new Violation("a write after the end");
      for (const bytes of pieces) this.#output.push(bytes);
    } catch (error) {
      this.violation ??= error as Error;
    }
    if (!this.#slow()) return true;
    this.#lent = pieces.map((bytes) => ({ bytes, copy: Buffer.from(bytes) }));
    return false;
  }

  /** The socket has taken what was written. */
  take(): void {
    for (const { bytes, copy } of this.#lent) {
      if (!copy.equals(bytes)) this.violation ??= new Violation("bytes were changed while they were being written");
    }
    this.#lent = [];
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    if (this.busy) this.violation ??= new Violation("the end, while a write is under way");
    this.ended = true;
  }

  destroy(): void {
    this.destroyed = true;
  }
}

/** Runs a case. @throws Violation, or whatever the server throws. */
export function runCase(target: Target, each: Case): Outcome {
  const { chunks, chance, lostAfter } = each;
  const client = new ClientModel();
  const output = new OutputReader(client);
  const transport = new MemoryTransport(output, () => chance?.hit(PENDING_WRITE_PROBABILITY) === true);
  const connection = target.connect(transport);
  const run = { target, client, output, transport, connection };
  let outcome: Outcome;
  try {
    for (const chunk of chunks.slice(0, lostAfter)) {
      if (transport.destroyed) break;
      if (transport.paused) settle(run);
      if (transport.paused) throw new Violation("the client is stopped, though everything that was written has left");
      client.push(chunk);
      target.deliver(connection, chunk);
      if (chance?.hit(TURN_PROBABILITY) === true) target.clock.runImmediates();
      if (transport.busy && chance?.hit(TURN_PROBABILITY) === true) drain(run);
    }
    if (lostAfter === undefined) {
      settle(run);
      check(run, each);
    }
    outcome = outcomeOf(client, output);
  } finally {
    finish(run, chance, lostAfter !== undefined);
  }
  throwIfViolated(run);
  target.assertSound();
  target.assertClean();
  if (lostAfter === undefined) output.finish();
  return outcome;
}

interface Run {
  readonly target: Target;
  readonly client: ClientModel;
  readonly output: OutputReader;
  readonly transport: MemoryTransport;
  readonly connection: Connection;
}

function drain({ transport, connection }: Run): void {
  transport.take();
  connection.drained();
}

/** Lets everything happen that does not wait for the client or for time. */
function settle(run: Run): void {
  for (let turn = 0; turn < TURNS_MAX; turn++) {
    if (run.transport.busy) drain(run);
    if (run.target.clock.immediates === 0 && !run.transport.busy) return;
    run.target.clock.runImmediates();
  }
  throw new Violation("it does not come to rest");
}

function throwIfViolated({ transport }: Run): void {
  if (transport.violation !== undefined) throw transport.violation;
}

/** The client hangs up, or time passes until the server does. Nothing that it throws hides what was found before. */
function finish(run: Run, chance: Chance | undefined, isLost: boolean): void {
  const { connection, target, transport } = run;
  if (isLost) {
    connection.closed();
    settle(run);
    return;
  }
  const how = chance?.below(40) ?? 0;
  if (how === 0 && chance !== undefined) {
    for (let i = 0; i < 100 && !transport.ended && !transport.destroyed; i++) {
      target.clock.advance(1000);
      connection.sweep();
      settle(run);
    }
  } else if (how < 20) {
    connection.ended();
    settle(run);
  }
  connection.closed();
  connection.closed();
  settle(run);
}

function check(run: Run, { honest, unimplemented }: Case): void {
  const { client, output, target, transport } = run;
  throwIfViolated(run);
  target.assertSound();
  if (honest && output.goaway !== undefined)
    throw new Violation(`GOAWAY ${output.goaway.code}: ${output.goaway.debug}`);
  const isOver = (): boolean => output.goaway !== undefined || transport.ended || transport.destroyed || output.isHttp1;
  if (client.broken !== undefined && !output.isHttp1 && (output.goaway?.code ?? 0) === 0) {
    throw new Violation(`${client.broken}, and the connection goes on`);
  }
  if (!isOver() && client.atBoundary) {
    checkProgress(run);
    open(run);
    throwIfViolated(run);
    if (!isOver()) checkLiveness(run);
  }
  client.takeUnfinished();
  for (const [id, answer] of output.streams) checkAnswer(id, answer, client.streams.get(id), honest);
  if (honest) checkStatuses(run, unimplemented);
  if (!isOver() && client.atBoundary) checkCredit(run);
}

/** What is not sent is held back by a window. */
function checkProgress({ client, output }: Run): void {
  if (output.bodyBytes >= client.granted) return;
  for (const [id, stream] of client.streams) {
    const answer = output.streams.get(id);
    if (!stream.ended || stream.reset || answer?.over === true) continue;
    const sent = answer?.bodyBytes ?? 0;
    const allowed = client.initialWindow + stream.granted;
    if (sent < allowed) throw new Violation(`stream ${id} has a window of ${allowed}, and is sent ${sent} bytes`);
  }
}

/** Every call of an honest client ends well. */
function checkStatuses({ client, output }: Run, unimplemented: readonly number[]): void {
  for (const [id, stream] of client.streams) {
    if (stream.reset || !stream.ended) continue;
    const status = output.streams.get(id)?.fields.get("grpc-status");
    const expected = unimplemented.includes(id) ? "12" : "0";
    if (status !== expected) throw new Violation(`stream ${id} ends with status ${status}, not ${expected}`);
  }
}

/** Opens all windows, so that nothing is held back for want of them. */
function open(run: Run): void {
  const { client, output, target, connection } = run;
  const pieces = [windowUpdate(0, GENEROUS)];
  for (const [id, stream] of client.streams) {
    if (output.streams.get(id)?.over !== true && !stream.reset) pieces.push(windowUpdate(id, GENEROUS));
  }
  const bytes = Buffer.concat(pieces);
  client.push(bytes);
  target.deliver(connection, bytes);
  settle(run);
}

/** Every request that is complete has its answer. */
function checkLiveness({ client, output, connection }: Run): void {
  let open = 0;
  for (const [id, stream] of client.streams) {
    const over = output.streams.get(id)?.over === true;
    if (!over && !stream.reset) open++;
    if (stream.ended && !stream.reset && !over) throw new Violation(`the request on stream ${id} is not answered`);
  }
  if (connection.streamCount > open) {
    throw new Violation(`${connection.streamCount} streams are open, and the client knows of ${open}`);
  }
}

function inflated({ compressed, bytes }: { readonly compressed: boolean; readonly bytes: Buffer }): Buffer | undefined {
  if (!compressed) return bytes;
  try {
    return gunzipSync(bytes, { maxOutputLength: 100_000 });
  } catch {
    return undefined;
  }
}

/** An answer is made of whole messages of its own request, by one of the methods' rules, and is OK only if it is complete. */
function checkAnswer(id: number, answer: StreamOutput, request: StreamModel | undefined, honest: boolean): void {
  const answered = answer.messages;
  const ok = answer.ended && answer.fields.get("grpc-status") === "0";
  if (answered.length === 0 && !ok && !honest) return;
  if (request === undefined) throw new Violation(`an answer on stream ${id}, which nobody opened`);
  const sent: Buffer[] = [];
  const { messages, isWhole } = request.content;
  for (const each of messages) {
    const bytes = inflated(each);
    if (bytes === undefined) break;
    sent.push(bytes);
  }
  const isPrefix = (of: readonly Buffer[]): boolean =>
    answered.length <= of.length && answered.every((bytes, i) => bytes.equals(of[i]!));
  const joined = [Buffer.concat(sent)];
  const first = sent.slice(0, 1);
  const repeated = first.flatMap((bytes) => Array.from({ length: REPEATS }, () => bytes));
  const rules = [sent, joined, repeated];
  if (!rules.some(isPrefix)) {
    const text = (each: readonly Buffer[]): string =>
      each.map((bytes) => JSON.stringify(bytes.toString("latin1"))).join();
    throw new Violation(`stream ${id} was sent ${text(sent)} and is answered ${text(answered)}`);
  }
  if (ok && !isWhole) throw new Violation(`stream ${id} is answered OK, and its request ends inside a message`);
  if (ok && !request.ended) throw new Violation(`stream ${id} is answered OK before its request has ended`);
  if (ok && !rules.some((rule) => isPrefix(rule) && rule.length === answered.length)) {
    throw new Violation(`stream ${id} is answered OK with ${answered.length} messages of ${sent.length}`);
  }
}

/** What was received and dealt with was given back, but for what is not worth a frame yet. */
function checkCredit({ client, output }: Run): void {
  const held = client.counted - output.granted;
  if (held > CONNECTION_WINDOW_BYTES / 2 + 1) {
    throw new Violation(`${held} bytes of ${client.counted} were not given back to the connection's window`);
  }
  for (const [id, stream] of client.streams) {
    const answer = output.streams.get(id);
    if (stream.ended || stream.reset || answer?.over === true) continue;
    const left = stream.counted - (answer?.granted ?? 0);
    if (left > STREAM_WINDOW_BYTES / 2) {
      throw new Violation(`${left} bytes of ${stream.counted} were not given back to stream ${id}'s window`);
    }
  }
}

/** How much of an answer was sent before its client cancelled the call is a matter of time. */
function outcomeOf(client: ClientModel, output: OutputReader): Outcome {
  const streams: Record<number, string> = {};
  for (const [id, { blocks, body, ended, reset }] of output.streams) {
    if (client.streams.get(id)?.reset === true) continue;
    const parts = [...blocks.map((block) => block.toString("hex")), Buffer.concat(body).toString("hex")];
    streams[id] = `${parts.join(" ")} ${ended ? "ended" : "open"} ${reset ?? "not reset"}`;
  }
  return { streams, frames: [...output.frames] };
}
