// Work for profilers to see, and what they say of it.

import { setImmediate } from "node:timers/promises";

// Three functions alike, because a profile tells functions apart.
export function burnFirst(): number {
  let x = 0;
  for (let i = 0; i < 3_000_000; i++) x = (x * 31 + i) % 1_000_003;
  return x;
}

export function burnSecond(): number {
  let x = 0;
  for (let i = 0; i < 3_000_000; i++) x = (x * 37 + i) % 1_000_003;
  return x;
}

export function burnThird(): number {
  let x = 0;
  for (let i = 0; i < 3_000_000; i++) x = (x * 41 + i) % 1_000_003;
  return x;
}

/** A few microseconds each. */
export function sumFirst(): number {
  let x = 0;
  for (let i = 0; i < 5_000; i++) x = (x * 31 + i) % 1_000_003;
  return x;
}

export function sumSecond(): number {
  let x = 0;
  for (let i = 0; i < 5_000; i++) x = (x * 37 + i) % 1_000_003;
  return x;
}

/** Calls it, one turn of the event loop after the other, until `done`. */
export async function during(burn: () => unknown, done: () => boolean): Promise<void> {
  while (!done()) {
    burn();
    await setImmediate();
  }
}

/** Calls it until the promise is settled. */
export async function until<T>(burn: () => unknown, promise: Promise<T>): Promise<T> {
  let settled = false;
  const end = promise.finally(() => {
    settled = true;
  });
  await during(burn, () => settled);
  return await end;
}

export function forMs(ms: number): () => boolean {
  const endMs = performance.now() + ms;
  return () => performance.now() > endMs;
}
