// What V8 does otherwise in workers than by default. Each of these was measured with the bench; a default may change with Node.
//
// - The young generation stays small: buffers lie outside of the heap, and a larger one would wait for so long before it lets go of
//   them that they add up to the pressure that starts full collections: twice the events per CPU-second on streams of batches, the same on
//   unary calls.
// - Nothing is allocated old. V8 takes a constructor whose objects have survived for a while, as those of calls do when Kafka is slow for a
//   moment, and from then on, for ever, makes them in the old generation. Those die as young as before, but only a full
//   collection finds that out, and until then they keep everything alive that they point to: half of what was allocated was
//   promoted, and unary calls on a real broker cost half as much again.
// - More is inlined. The way of an event is a row of small functions with many arguments, in files of one noun each. V8's budget for
//   inlining ends in the midst of it, and where depends on which function happened to be compiled first: calls, and numbers that are
//   boxed and checked again on both sides of each, are a sixth of what the transcode takes, and 3 to 7 % of whole requests
//   (docs/benchmarks.md, "What V8 inlines"). The price: compiling takes longer after a start.
//   Rejected: writing the way as one function. Nobody could read it.

/** For the worker's command line. */
export const WORKER_V8_FLAGS: readonly string[] = [
  "--max-semi-space-size=8",
  "--no-allocation-site-pretenuring",
  "--max-inlined-bytecode-size=1000",
  "--max-inlined-bytecode-size-cumulative=3000",
];
