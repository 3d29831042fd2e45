// Keys and their hashes from Kafka's own test of its Java client (org.apache.kafka.common.utils.UtilsTest).

export const JAVA_VECTORS: readonly (readonly [key: string, hash: number])[] = [
  ["21", -973_932_308],
  ["foobar", -790_332_482],
  ["a-little-bit-long-string", -985_981_536],
  ["a-little-bit-longer-string", -1_486_304_829],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971],
  ["abc", 479_470_107],
];
