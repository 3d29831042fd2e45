// The five bytes before each message of an answer. Those of short ones are made once and shared: nobody writes to them.
//
//   Compressed-Flag:uint8 Message-Length:uint32be

const SHARED_LENGTHS = 512;

const shared = Array.from({ length: SHARED_LENGTHS }, (_, length) => make(0, length));

/** @param length of the message, in bytes. */
export function prefixOf(compressed: boolean, length: number): Buffer {
  return !compressed && length < SHARED_LENGTHS ? shared[length]! : make(compressed ? 1 : 0, length);
}

function make(flag: number, length: number): Buffer {
  const prefix = Buffer.allocUnsafe(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(length, 1);
  return prefix;
}
