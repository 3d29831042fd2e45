// The fuzzer: cases by number, the same for the same seed. What it checks is in case.ts; scripts/fuzz.ts runs more of it.
//
// The first cases are what clients really sent, cut in two at every byte, then in all their bytes, and at random: the answers have
// to be those to the whole. All others are changed, and cut at random.

import { type Chance, chance } from "../../kafka/support/random.ts";
import { type Case, type Outcome, runCase } from "./case.ts";
import { framesOf, mutated } from "./mutations.ts";
import { RECORDINGS, type Recording } from "./recordings.ts";
import { Target } from "./target.ts";

/** Random cuts of each recording. */
const RANDOM_CUTS = 200;
const PIECES_MAX = 8;
/** Of changed cases: that the connection is lost in the middle of everything. */
const LOST_PROBABILITY = 0.15;

interface Source {
  readonly recording: Recording;
  readonly frames: readonly Buffer[];
  /** Its first case, and how many there are of it unchanged. */
  readonly first: number;
  readonly count: number;
}

export interface Prepared extends Case {
  /** For people. */
  readonly what: string;
  readonly recording: Recording;
}

export class Fuzzer {
  readonly seed: number;
  readonly #target = new Target();
  readonly #sources: readonly Source[];
  readonly #frames: readonly (readonly Buffer[])[];
  readonly #whole = new Map<Recording, Outcome>();
  /** Cases that change nothing but the cuts. */
  readonly honestCases: number;

  constructor(seed: number) {
    this.seed = seed;
    let first = 0;
    this.#sources = RECORDINGS.map((recording) => {
      const count = recording.bytes.length + 1 + RANDOM_CUTS;
      const source = { recording, frames: framesOf(recording.bytes), first, count };
      first += count;
      return source;
    });
    this.honestCases = first;
    this.#frames = this.#sources.map(({ frames }) => frames);
  }

  /** What a case is. */
  prepare(number: number): Prepared {
    const random = chance(Math.imul(this.seed, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b));
    const source = this.#sources.find(({ first, count }) => number >= first && number < first + count);
    if (source === undefined) {
      const { recording, frames } = random.pick(this.#sources);
      const bytes = mutated(frames, random, this.#frames);
      const chunks = random.hit(0.3) ? [bytes] : cutAtRandom(bytes, random);
      const lostAfter = random.hit(LOST_PROBABILITY) ? 1 + random.below(chunks.length) : undefined;
      const base = { recording, honest: false, unimplemented: [], lostAfter };
      return { ...base, what: `${recording.name}, changed`, chunks, chance: random };
    }
    const { recording } = source;
    const { bytes, unimplemented } = recording;
    const at = number - source.first;
    const base = { recording, honest: true, unimplemented, lostAfter: undefined };
    if (at < bytes.length) {
      const chunks = [bytes.subarray(0, at), bytes.subarray(at)].filter(({ length }) => length > 0);
      // Every other one with an end of turn where it is cut.
      return { ...base, what: `${recording.name}, cut at ${at}`, chunks, chance: at % 2 === 0 ? undefined : random };
    }
    if (at === bytes.length) {
      const chunks = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
      return { ...base, what: `${recording.name}, byte by byte`, chunks, chance: undefined };
    }
    return { ...base, what: `${recording.name}, cut at random`, chunks: cutAtRandom(bytes, random), chance: random };
  }

  /** @throws what is wrong. */
  run(number: number): void {
    const prepared = this.prepare(number);
    const outcome = runCase(this.#target, prepared);
    if (prepared.honest) assertSame(outcome, this.#outcomeOfWhole(prepared.recording));
  }

  #outcomeOfWhole(recording: Recording): Outcome {
    let outcome = this.#whole.get(recording);
    if (outcome === undefined) {
      const { bytes, unimplemented } = recording;
      const whole = { chunks: [bytes], honest: true, unimplemented, lostAfter: undefined, chance: undefined };
      outcome = runCase(this.#target, whole);
      this.#whole.set(recording, outcome);
    }
    return outcome;
  }
}

function cutAtRandom(bytes: Buffer, random: Chance): Buffer[] {
  const count = 1 + random.below(PIECES_MAX);
  const cuts = Array.from({ length: count }, () => random.below(bytes.length)).sort((a, b) => a - b);
  const borders = [0, ...cuts, bytes.length];
  return borders.slice(1).flatMap((end, i) => (end > borders[i]! ? [bytes.subarray(borders[i], end)] : []));
}

function assertSame(outcome: Outcome, whole: Outcome): void {
  const lines = ({ streams, frames }: Outcome): string[] => [
    ...Object.entries(streams).map(([id, answer]) => `stream ${id}: ${answer}`),
    ...frames,
  ];
  const [one, other] = [lines(outcome), lines(whole)];
  const different = Math.max(one.length, other.length);
  for (let i = 0; i < different; i++) {
    if (one[i] === other[i]) continue;
    throw new Error(`the answers depend on how the bytes were cut:\n  ${one[i]}\n  whole: ${other[i]}`);
  }
}
