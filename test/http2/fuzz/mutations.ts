// Ways to change what a client sent: as bytes, as frames, as header blocks and as messages.

import type { Chance } from "../../kafka/support/random.ts";
import { Flag, frame, FrameSplitter, HEAD_BYTES, PREFACE, Type, uint32 } from "../support/frames.ts";

/** A recording, taken apart: the preface, then frames. */
export function framesOf(recording: Buffer): Buffer[] {
  const splitter = new FrameSplitter();
  const frames = splitter.push(recording.subarray(PREFACE.length));
  return frames.map(({ type, flags, id, payload }) => frame(type, flags, id, payload));
}

type Mutation = (frames: Buffer[], chance: Chance, others: readonly (readonly Buffer[])[]) => void;

/** An index of a frame; frames in front of the first request are chosen less often. */
function anyIndex(frames: readonly Buffer[], chance: Chance): number {
  return chance.below(frames.length);
}

function replace(frames: Buffer[], i: number, change: (bytes: Buffer) => Buffer | void): void {
  const copy = Buffer.from(frames[i]!);
  frames[i] = change(copy) ?? copy;
}

const idOf = (bytes: Buffer): number => bytes.readUInt32BE(5) & 0x7fffffff;

/** A number of a stream: one that is used, one that is not, or one that may not be. */
function anyId(frames: readonly Buffer[], chance: Chance): number {
  if (frames.length > 0 && chance.hit(0.7)) {
    const found = chance.pick(frames);
    if (found.length >= HEAD_BYTES) return idOf(found);
  }
  return chance.pick([0, 1, 2, 3, 5, 21, 99, 0x7fffffff, 0x80000001]);
}

const NUMBERS = [0, 1, 2, 9, 30, 100, 16_384, 65_535, 0x7fff0000, 0x7fffffff, 0x80000000, 0xffffffff];

function anyFrame(frames: readonly Buffer[], chance: Chance): Buffer {
  const id = anyId(frames, chance);
  const bytes = Buffer.from(Array.from({ length: chance.below(20) }, () => chance.below(256)));
  const number = chance.hit(0.5) ? chance.pick(NUMBERS) : chance.below(200);
  return chance.pick([
    () => frame(Type.PING, chance.below(2), chance.hit(0.9) ? 0 : id, Buffer.alloc(chance.hit(0.9) ? 8 : 7)),
    () => frame(Type.WINDOW_UPDATE, 0, id, uint32(number)),
    () => frame(Type.WINDOW_UPDATE, 0, 0, uint32(number)),
    () => frame(Type.RST_STREAM, 0, id, uint32(chance.below(16))),
    () => frame(Type.SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, chance.below(8)]), uint32(number)])),
    () => frame(Type.SETTINGS, 1, 0),
    () => frame(Type.PRIORITY, 0, id, Buffer.concat([uint32(anyId(frames, chance)), Buffer.from([chance.below(256)])])),
    () => frame(Type.CONTINUATION, chance.pick([0, Flag.END_HEADERS]), id, bytes),
    () => frame(Type.DATA, chance.pick([0, 1, 8, 9]), id, bytes),
    () => frame(Type.HEADERS, chance.below(64), id, bytes),
    () => frame(Type.PUSH_PROMISE, 4, id, bytes),
    () => frame(Type.GOAWAY, 0, 0, Buffer.concat([uint32(number), uint32(chance.below(20)), bytes])),
    () => frame(chance.below(256), chance.below(256), id, bytes),
  ])();
}

const flipBit = (bytes: Buffer, at: number, chance: Chance): void => {
  if (at < bytes.length) bytes[at]! ^= 1 << chance.below(8);
};

/** A frame of this type, if there is one. */
function indexOfType(frames: readonly Buffer[], type: number, chance: Chance): number {
  const found = frames.flatMap((bytes, i) => (bytes.length > HEAD_BYTES && bytes[3] === type ? [i] : []));
  return found.length === 0 ? -1 : chance.pick(found);
}

const MUTATIONS: readonly Mutation[] = [
  // Bits and bytes, anywhere.
  (frames, chance) =>
    replace(frames, anyIndex(frames, chance), (bytes) => flipBit(bytes, chance.below(bytes.length), chance)),
  (frames, chance) =>
    replace(frames, anyIndex(frames, chance), (bytes) => {
      bytes[chance.below(bytes.length)] = chance.pick([0, 1, 0x7f, 0x80, 0xff, chance.below(256)]);
    }),
  (frames, chance) =>
    replace(frames, anyIndex(frames, chance), (bytes) => {
      const at = chance.below(bytes.length);
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + chance.below(8))]);
    }),
  (frames, chance) =>
    replace(frames, anyIndex(frames, chance), (bytes) => {
      const at = chance.below(bytes.length);
      const extra = chance.hit(0.5)
        ? bytes.subarray(at, at + 1 + chance.below(16))
        : Buffer.from(Array.from({ length: 1 + chance.below(8) }, () => chance.below(256)));
      return Buffer.concat([bytes.subarray(0, at), extra, bytes.subarray(at)]);
    }),
  (frames, chance) => void frames.splice(1 + chance.below(frames.length)),
  // Heads.
  (frames, chance) =>
    replace(frames, anyIndex(frames, chance), (bytes) => {
      const length = bytes.readUIntBE(0, 3);
      const other = chance.hit(0.8)
        ? length + chance.pick([-5, -1, 1, 2, 9])
        : chance.pick([0, 16_384, 16_385, 0xffffff]);
      bytes.writeUIntBE(Math.min(Math.max(0, other), 0xffffff), 0, 3);
    }),
  (frames, chance) =>
    replace(frames, anyIndex(frames, chance), (bytes) => {
      bytes[3] = chance.below(11);
    }),
  (frames, chance) =>
    replace(frames, anyIndex(frames, chance), (bytes) => {
      bytes[4]! ^= chance.pick([1, 4, 8, 32, 0x80]);
    }),
  (frames, chance) =>
    replace(frames, anyIndex(frames, chance), (bytes) => {
      bytes.writeUInt32BE(anyId(frames, chance) >>> 0, 5);
    }),
  (frames, chance) =>
    replace(frames, anyIndex(frames, chance), (bytes) => {
      bytes[5]! ^= 0x80;
    }),
  // Whole frames.
  (frames, chance) => void frames.splice(anyIndex(frames, chance), 1),
  (frames, chance) => {
    const i = anyIndex(frames, chance);
    frames.splice(chance.below(frames.length + 1), 0, frames[i]!);
  },
  (frames, chance) => {
    const [i, j] = [anyIndex(frames, chance), anyIndex(frames, chance)];
    [frames[i], frames[j]] = [frames[j]!, frames[i]!];
  },
  (frames, chance) => void frames.splice(1 + chance.below(frames.length), 0, anyFrame(frames, chance)),
  (frames, chance) => void frames.splice(1 + chance.below(frames.length), 0, anyFrame(frames, chance)),
  (frames, chance, others) => {
    const other = chance.pick(others);
    frames.splice(
      1 + chance.below(frames.length),
      chance.below(frames.length),
      ...other.slice(chance.below(other.length)),
    );
  },
  // Header blocks.
  (frames, chance) => {
    const i = indexOfType(frames, Type.HEADERS, chance);
    if (i < 0) return;
    replace(frames, i, (bytes) => flipBit(bytes, HEAD_BYTES + chance.below(bytes.length - HEAD_BYTES), chance));
  },
  (frames, chance) => {
    const i = indexOfType(frames, Type.HEADERS, chance);
    if (i < 0) return;
    replace(frames, i, (bytes) => {
      const at = HEAD_BYTES + chance.below(bytes.length - HEAD_BYTES + 1);
      const piece = chance.pick([
        [0x20],
        [0x3f, 0xe1, 0x1f],
        [0x80 | chance.below(128)],
        [0x40, 1, 0x78, 1, 0x79],
        [0xff, 0xff, 0xff, 0x7f],
      ]);
      const longer = Buffer.concat([bytes.subarray(0, at), Buffer.from(piece), bytes.subarray(at)]);
      longer.writeUIntBE(longer.length - HEAD_BYTES, 0, 3);
      return longer;
    });
  },
  // Messages: their flag and their length.
  (frames, chance) => {
    const i = indexOfType(frames, Type.DATA, chance);
    if (i < 0) return;
    replace(frames, i, (bytes) => flipBit(bytes, HEAD_BYTES + chance.below(5), chance));
  },
  // The same bytes in other frames: nothing is wrong with that.
  (frames, chance) => {
    const i = indexOfType(frames, Type.DATA, chance);
    if (i < 0 || frames[i]![4]! & Flag.PADDED) return;
    const [flags, id, payload] = [frames[i]![4]!, frames[i]!.readUInt32BE(5), frames[i]!.subarray(HEAD_BYTES)];
    const at = chance.below(payload.length + 1);
    frames.splice(
      i,
      1,
      frame(Type.DATA, flags & ~1, id, payload.subarray(0, at)),
      frame(Type.DATA, flags, id, payload.subarray(at)),
    );
  },
];

const AGAIN_PROBABILITY = 0.4;
const PREFACE_PROBABILITY = 0.005;

/** @param others the frames of all recordings, to splice from. */
export function mutated(frames: readonly Buffer[], chance: Chance, others: readonly (readonly Buffer[])[]): Buffer {
  const changed = [...frames];
  do {
    if (changed.length === 0) break;
    chance.pick(MUTATIONS)(changed, chance, others);
    for (let i = changed.length - 1; i >= 0; i--) if (changed[i]!.length < HEAD_BYTES) changed[i] = padTo(changed[i]!);
  } while (chance.hit(AGAIN_PROBABILITY));
  const preface = Buffer.from(PREFACE);
  if (chance.hit(PREFACE_PROBABILITY)) flipBit(preface, chance.below(preface.length), chance);
  return Buffer.concat([preface, ...changed]);
}

/** What is left of a frame that lost bytes of its head, filled up, so that it can be changed again. */
function padTo(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(HEAD_BYTES - bytes.length)]);
}
